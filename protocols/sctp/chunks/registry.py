"""Which class speaks which chunk, and a packet's chunks as bytes."""

from collections.abc import Iterable, Iterator
from struct import error as StructError  # noqa: N812  # an exception

from protocols.errors import LengthError, RangeError, TruncatedError
from protocols.sctp.chunks import control, data, extension, handshake
from protocols.sctp.chunks.chunk import HEADER, Chunk, UnknownChunk
from protocols.sctp.tlv import LONGEST, MALFORMED

CHUNKS: dict[int, type[Chunk]] = {
    known.TYPE: known
    for known in (
        data.Data,
        handshake.Init,
        handshake.InitAck,
        data.Sack,
        control.Heartbeat,
        control.HeartbeatAck,
        control.Abort,
        control.Shutdown,
        control.ShutdownAck,
        control.Error,
        handshake.CookieEcho,
        handshake.CookieAck,
        control.Ecne,
        control.Cwr,
        control.ShutdownComplete,
        extension.Auth,
        data.IData,
        extension.AsconfAck,
        extension.ReConfig,
        control.Pad,
        data.ForwardTsn,
        extension.Asconf,
        data.IForwardTsn,
    )
}


def walk(view: memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """Type, flags, value and padding of each chunk, nothing decoded. Raises TruncatedError, LengthError."""
    at, end = 0, len(view)
    while at < end:
        if end - at < 4:
            raise TruncatedError(MALFORMED, "chunk", bytes(view[at:]), "at least 4 bytes a chunk")
        kind, flags, length = HEADER.unpack_from(view, at)
        stop = at + length
        following = stop + (-length & 3)
        if length < 4 or following > end:  # RFC 9260 §3.2: the padding is there, also behind the last chunk
            raise LengthError(
                MALFORMED, f"chunk {kind} length", length, f"4 to {end - at}, padded within the packet"
            )
        yield kind, flags, view[at + 4 : stop], view[stop:following]
        at = following


def parse_chunks(raw: bytes | memoryview) -> tuple[Chunk, ...]:
    """Every chunk of what follows the common header. Raises ProtocolError."""
    found: list[Chunk] = []
    for kind, flags, body, padding in walk(memoryview(raw)):
        odd = bytes(padding) if any(padding) else None
        if kind in CHUNKS:
            found.append(CHUNKS[kind].parse(flags, body, odd))
        else:
            found.append(UnknownChunk(number=kind, flags=flags, value=bytes(body), padding=odd))
    return tuple(found)


def build_chunk(chunk: Chunk) -> bytes:
    """One chunk with its padding. Raises RangeError for what does not fit."""
    try:
        body = chunk.body()
        if len(body) > LONGEST - 4:
            raise RangeError("invalid-value", type(chunk).__name__, len(body), f"at most {LONGEST - 4} bytes")
        header = HEADER.pack(chunk.type, chunk.flags, len(body) + 4)
    except StructError as error:
        raise RangeError("invalid-value", type(chunk).__name__, chunk, str(error)) from error
    return header + body + (bytes(-len(body) & 3) if chunk.padding is None else chunk.padding)


def build_chunks(chunks: Iterable[Chunk]) -> bytes:
    """The chunks in order. Raises RangeError."""
    return b"".join(map(build_chunk, chunks))
