"""INIT, and what its answer means: nothing that stays behind on either side (RFC 9260 §5.1, §8.4).

An endpoint keeps no state for an INIT, so that the ABORT after its INIT ACK is a courtesy. An INIT that meets an
association of the same addresses and ports leaves it as it is (§5.2.2), and the ABORT's tag is not its tag.
"""

from dataclasses import dataclass

from protocols.errors import ProtocolError
from protocols.sctp import Abort, Init, InitAck, Packet, decode, encode

SOURCE_PORT = 1023  # the datapath's translated ports begin above it
WINDOW = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """To whom (``token``, the tag of our INIT), whether an endpoint serves there, and what to send back."""

    token: int
    ok: bool
    reason: str
    reply: bytes = b""


def init(port: int, token: int) -> bytes:
    """An INIT with one stream each way; its tag and first TSN are the token."""
    chunk = Init(tag=token, window=WINDOW, outbound=1, inbound=1, tsn=token)
    return encode(Packet(source=SOURCE_PORT, destination=port, tag=0, chunks=(chunk,)))


def answer(packet: bytes) -> Answer | None:
    """What an SCTP packet says to one of our INITs; None: nothing, or it is damaged."""
    try:
        found = decode(packet)
    except ProtocolError:
        return None
    first = found.chunks[0] if found.chunks else None
    if isinstance(first, Abort):
        return Answer(token=found.tag, ok=False, reason="refused by ABORT")
    if not isinstance(first, InitAck):
        return None
    farewell = Packet(source=SOURCE_PORT, destination=found.source, tag=first.tag, chunks=(Abort(),))
    return Answer(token=found.tag, ok=True, reason="INIT ACK", reply=encode(farewell))
