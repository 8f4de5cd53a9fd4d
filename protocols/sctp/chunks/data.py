"""Chunks of user messages and their acknowledgement: DATA, I-DATA, SACK, FORWARD-TSN, I-FORWARD-TSN."""

from dataclasses import dataclass
from itertools import chain
from struct import Struct, pack, unpack
from typing import ClassVar, Self

from protocols.errors import LengthError
from protocols.sctp.chunks.chunk import Chunk
from protocols.sctp.ids import ChunkType
from protocols.sctp.tlv import MALFORMED, WORD, at_least, multiple

END, BEGIN, UNORDERED, IMMEDIATE = 1, 2, 4, 8  # flags, RFC 9260 §3.3.1
_DATA = Struct(">IHHI")
_I_DATA = Struct(">IHHII")
_SACK = Struct(">IIHH")
_SKIPPED = Struct(">HH")
_I_SKIPPED = Struct(">HHI")


def _payload(body: memoryview, fixed: int, field: str) -> bytes:
    if len(body) <= fixed:  # RFC 9260 §6.2
        raise LengthError("no-user-data", f"{field} value", len(body), f"more than {fixed} bytes")
    return bytes(body[fixed:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Chunk):
    """DATA, RFC 9260 §3.3.1. By default one whole ordered message."""

    TYPE: ClassVar[int] = ChunkType.DATA
    flags: int = BEGIN | END
    tsn: int
    stream: int = 0
    ssn: int = 0
    ppid: int = 0
    payload: bytes

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        payload = _payload(body, 12, "DATA")
        tsn, stream, ssn, ppid = _DATA.unpack_from(body)
        return cls(flags=flags, tsn=tsn, stream=stream, ssn=ssn, ppid=ppid, payload=payload, padding=padding)

    def body(self) -> bytes:
        return _DATA.pack(self.tsn, self.stream, self.ssn, self.ppid) + self.payload


@dataclass(frozen=True, slots=True, kw_only=True)
class IData(Chunk):
    """I-DATA, RFC 8260 §2.1. `ppid_or_fsn` is the PPID in a first fragment, else the fragment's number."""

    TYPE: ClassVar[int] = ChunkType.I_DATA
    flags: int = BEGIN | END
    tsn: int
    stream: int = 0
    reserved: int = 0
    mid: int = 0
    ppid_or_fsn: int = 0
    payload: bytes

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        payload = _payload(body, 16, "I-DATA")
        tsn, stream, reserved, mid, ppid_or_fsn = _I_DATA.unpack_from(body)
        return cls(
            flags=flags,
            tsn=tsn,
            stream=stream,
            reserved=reserved,
            mid=mid,
            ppid_or_fsn=ppid_or_fsn,
            payload=payload,
            padding=padding,
        )

    def body(self) -> bytes:
        fixed = _I_DATA.pack(self.tsn, self.stream, self.reserved, self.mid, self.ppid_or_fsn)
        return fixed + self.payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Sack(Chunk):
    """SACK, RFC 9260 §3.3.4. `gaps` are (start, end) as offsets from the cumulative TSN; `window` is in bytes."""

    TYPE: ClassVar[int] = ChunkType.SACK
    tsn: int
    window: int
    gaps: tuple[tuple[int, int], ...] = ()
    duplicates: tuple[int, ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        tsn, window, gaps, duplicates = _SACK.unpack_from(at_least(body, 12, "SACK"))
        if len(body) != 12 + 4 * (gaps + duplicates):
            raise LengthError(MALFORMED, "SACK value", len(body), f"{12 + 4 * (gaps + duplicates)} bytes")
        middle = 12 + 4 * gaps
        return cls(
            flags=flags,
            tsn=tsn,
            window=window,
            gaps=tuple(_SKIPPED.iter_unpack(body[12:middle])),
            duplicates=unpack(f">{duplicates}I", body[middle:]),
            padding=padding,
        )

    def body(self) -> bytes:
        fixed = _SACK.pack(self.tsn, self.window, len(self.gaps), len(self.duplicates))
        ends = pack(f">{2 * len(self.gaps)}H", *chain.from_iterable(self.gaps))
        return fixed + ends + pack(f">{len(self.duplicates)}I", *self.duplicates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardTsn(Chunk):
    """FORWARD TSN, RFC 3758 §3.2; `skipped` are (stream, stream sequence number)."""

    TYPE: ClassVar[int] = ChunkType.FORWARD_TSN
    tsn: int
    skipped: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        (tsn,) = WORD.unpack_from(at_least(multiple(body, 4, "FORWARD TSN"), 4, "FORWARD TSN"))
        return cls(flags=flags, tsn=tsn, skipped=tuple(_SKIPPED.iter_unpack(body[4:])), padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.tsn) + b"".join(_SKIPPED.pack(*one) for one in self.skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class IForwardTsn(Chunk):
    """I-FORWARD-TSN, RFC 8260 §2.3.1; `skipped` are (stream, 15 reserved bits and the U bit, message id)."""

    TYPE: ClassVar[int] = ChunkType.I_FORWARD_TSN
    tsn: int
    skipped: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        (tsn,) = WORD.unpack_from(at_least(body, 4, "I-FORWARD-TSN"))
        listed = multiple(body[4:], 8, "I-FORWARD-TSN list")
        return cls(flags=flags, tsn=tsn, skipped=tuple(_I_SKIPPED.iter_unpack(listed)), padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.tsn) + b"".join(_I_SKIPPED.pack(*one) for one in self.skipped)
