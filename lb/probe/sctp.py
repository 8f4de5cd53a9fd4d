"""INIT, and what its answer means: nothing that stays behind on either side (RFC 9260 §5.1, §8.4).

An endpoint keeps no state for an INIT, so that the ABORT after its INIT ACK is a courtesy. An INIT that meets an
association of the same addresses and ports leaves it as it is (§5.2.2), and the ABORT's tag is not its tag.
"""

from dataclasses import dataclass
from struct import Struct

from protocols.crc32c import crc32c

SOURCE_PORT = 1023  # the datapath's translated ports begin above it
INIT, INIT_ACK, ABORT = 1, 2, 6
_HEADER = Struct(">HHII")
_CHUNK = Struct(">BBH")
_INIT = Struct(">BBHIIHHI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To whom (``token``, the tag of our INIT), whether an endpoint serves there, and what to send back."""

    token: int
    ok: bool
    reason: str
    reply: bytes = b""


def _packet(port: int, tag: int, chunk: bytes) -> bytes:
    empty = _HEADER.pack(SOURCE_PORT, port, tag, 0) + chunk
    return empty[:8] + crc32c(empty).to_bytes(4, "little") + chunk


def init(port: int, token: int) -> bytes:
    """An INIT with one stream each way; its tag and first TSN are the token."""
    return _packet(port, 0, _INIT.pack(INIT, 0, _INIT.size, token, 65_536, 1, 1, token))


def answer(packet: bytes) -> Answer | None:
    """What an SCTP packet says to one of our INITs; None: nothing, or it is damaged."""
    if len(packet) < _HEADER.size + _CHUNK.size:
        return None
    sport, dport, tag, _ = _HEADER.unpack_from(packet)
    kind, _, length = _CHUNK.unpack_from(packet, _HEADER.size)
    whole = crc32c(packet[:8] + bytes(4) + packet[12:]).to_bytes(4, "little") == packet[8:12]
    if dport != SOURCE_PORT or not whole:
        return None
    if kind == ABORT:
        return Answer(token=tag, ok=False, reason="refused by ABORT")
    if kind != INIT_ACK or length < _INIT.size or len(packet) < _HEADER.size + _INIT.size:
        return None
    theirs = int.from_bytes(packet[16:20], "big")
    return Answer(
        token=tag, ok=True, reason="INIT ACK", reply=_packet(sport, theirs, _CHUNK.pack(ABORT, 0, 4))
    )
