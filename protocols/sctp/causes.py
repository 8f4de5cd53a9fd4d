"""Error causes of ABORT and ERROR, RFC 9260 §3.3.10, RFC 5061 §4.3, RFC 4895 §4."""

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct, pack, unpack
from typing import ClassVar, Self

from protocols.errors import LengthError
from protocols.sctp.ids import CauseCode
from protocols.sctp.tlv import (
    MALFORMED,
    WORD,
    Empty,
    Opaque,
    Tlv,
    Word,
    at_least,
    build_all,
    parse_all,
    sized,
)

Cause = Tlv
_STREAM = Struct(">HH")
_HMAC = Struct(">H")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidStream(Tlv):
    """Invalid Stream Identifier; `reserved` is kept as it came."""

    TYPE: ClassVar[int] = CauseCode.INVALID_STREAM
    stream: int
    reserved: int = 0

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        stream, reserved = _STREAM.unpack(sized(body, 4, "Invalid Stream Identifier"))
        return cls(stream=stream, reserved=reserved, padding=padding)

    def body(self) -> bytes:
        return _STREAM.pack(self.stream, self.reserved)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingParameter(Tlv):
    """Missing Mandatory Parameter: the numbers of those missing."""

    TYPE: ClassVar[int] = CauseCode.MISSING_PARAMETER
    types: tuple[int, ...] = ()

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        (count,) = WORD.unpack_from(at_least(body, 4, "Missing Mandatory Parameter"))
        if len(body) != 4 + 2 * count:
            raise LengthError(MALFORMED, "Missing Mandatory Parameter", count, f"{len(body) - 4} bytes / 2")
        return cls(types=unpack(f">{count}H", body[4:]), padding=padding)

    def body(self) -> bytes:
        return pack(f">I{len(self.types)}H", len(self.types), *self.types)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleCookie(Word):
    """The value is how long the cookie had been expired, in µs."""

    TYPE: ClassVar[int] = CauseCode.STALE_COOKIE


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUserData(Word):
    """The value is the TSN of the DATA chunk without user data."""

    TYPE: ClassVar[int] = CauseCode.NO_USER_DATA


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedHmac(Tlv):
    """Unsupported HMAC Identifier, RFC 4895 §4.1."""

    TYPE: ClassVar[int] = CauseCode.UNSUPPORTED_HMAC
    identifier: int

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        return cls(identifier=_HMAC.unpack(sized(body, 2, "Unsupported HMAC"))[0], padding=padding)

    def body(self) -> bytes:
        return _HMAC.pack(self.identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class BareCause(Empty):
    """A cause that its code says in full: out of resource, invalid mandatory parameter, cookie while shutting down."""

    code: int

    @property
    def type(self) -> int:
        return self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotingCause(Opaque):
    """A cause with the chunk, parameters or words that it is about in `value`, and each code unknown to us."""

    code: int

    @property
    def type(self) -> int:
        return self.code


BARE = {CauseCode.OUT_OF_RESOURCE, CauseCode.INVALID_PARAMETER, CauseCode.COOKIE_WHILE_SHUTTING_DOWN}
CAUSES: dict[int, type[Cause]] = {
    known.TYPE: known for known in (InvalidStream, MissingParameter, StaleCookie, NoUserData, UnsupportedHmac)
}


def _other(code: int, value: bytes, padding: bytes | None) -> Cause:
    if code not in BARE:
        return QuotingCause(code=code, value=value, padding=padding)
    if value:
        raise LengthError(MALFORMED, f"{CauseCode(code).name} length", 4 + len(value), "4")
    return BareCause(code=code, padding=padding)


def parse_causes(raw: bytes | memoryview) -> tuple[Cause, ...]:
    """A list of error causes. Raises ProtocolError."""
    return parse_all(memoryview(raw), CAUSES, _other, "error cause")


def build_causes(causes: Iterable[Cause]) -> bytes:
    """The bytes of a list, without padding behind the last one. Raises RangeError."""
    return build_all(causes)
