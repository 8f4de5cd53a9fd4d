"""An SCTP packet: the common header and its chunks (RFC 9260 §3.1)."""

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812  # an exception

from protocols.crc32c import sctp_checksum
from protocols.errors import ChecksumError, LengthError, RangeError, TruncatedError
from protocols.sctp.chunks.chunk import Chunk
from protocols.sctp.chunks.registry import build_chunks, parse_chunks
from protocols.sctp.tlv import MALFORMED

_HEADER = Struct(">HHI")
_CHECKSUM = Struct("<I")  # RFC 9260 Appendix A: CRC32c goes out with its low byte first
HEADER_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Ports, verification tag, chunks; `checksum` None is the right one, else the number that CRC32c would be."""

    source: int
    destination: int
    tag: int
    chunks: tuple[Chunk, ...]
    checksum: int | None = None


def checksum_holds(raw: bytes | memoryview) -> bool:
    """Whether the stored CRC32c is that of the bytes. Raises TruncatedError below 12 bytes."""
    return bool(_stored(memoryview(raw)) == sctp_checksum(raw))


def _stored(view: memoryview) -> int:
    if len(view) < HEADER_LENGTH:
        raise TruncatedError(MALFORMED, "SCTP packet", bytes(view), "at least 12 bytes")
    return int(_CHECKSUM.unpack_from(view, 8)[0])


def decode(raw: bytes | memoryview, *, verify: bool = True) -> Packet:
    """A packet with everything in it; `encode` gives the same bytes back.

    Without `verify` the checksum is not computed (60 ns a byte) but kept. Raises ProtocolError: ChecksumError if it
    does not hold; LengthError, TruncatedError or ContentError for the rest.
    """
    view = memoryview(raw)
    stored = _stored(view)
    if len(view) % 4:  # RFC 9260 §3.2: every chunk is padded
        raise LengthError(MALFORMED, "SCTP packet length", len(view), "a multiple of 4")
    if verify and stored != sctp_checksum(view):
        raise ChecksumError("discard", "SCTP checksum", f"{stored:#010x}", f"{sctp_checksum(view):#010x}")
    source, destination, tag = _HEADER.unpack_from(view)
    chunks = parse_chunks(view[HEADER_LENGTH:])
    kept = None if verify else stored
    return Packet(source=source, destination=destination, tag=tag, chunks=chunks, checksum=kept)


def encode(packet: Packet) -> bytes:
    """The packet's bytes, with the right checksum if it names none. Raises RangeError for what does not fit."""
    body = build_chunks(packet.chunks)
    try:
        header = _HEADER.pack(packet.source, packet.destination, packet.tag)
        if packet.checksum is not None:
            return header + _CHECKSUM.pack(packet.checksum) + body
    except StructError as error:
        raise RangeError("invalid-value", "SCTP common header", packet, str(error)) from error
    return header + _CHECKSUM.pack(sctp_checksum(header + bytes(4) + body)) + body
