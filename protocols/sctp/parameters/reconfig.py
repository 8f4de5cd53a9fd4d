"""Parameters of stream reconfiguration, RFC 6525 §4."""

from dataclasses import dataclass
from struct import Struct, pack, unpack
from typing import ClassVar, Self

from protocols.errors import LengthError
from protocols.sctp.ids import ParameterType
from protocols.sctp.tlv import MALFORMED, WORD, Tlv, Word, at_least, multiple, sized

_OUTGOING = Struct(">III")
_RESPONSE = Struct(">II")
_NEXT_TSNS = Struct(">II")
_ADD = Struct(">IHH")


def _streams(view: memoryview, field: str) -> tuple[int, ...]:
    return unpack(f">{len(multiple(view, 2, field)) // 2}H", view)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingReset(Tlv):
    """Outgoing SSN Reset Request, RFC 6525 §4.1. No streams: all of them."""

    TYPE: ClassVar[int] = ParameterType.OUTGOING_RESET
    request: int
    response: int
    last_tsn: int
    streams: tuple[int, ...] = ()

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        request, response, last_tsn = _OUTGOING.unpack_from(at_least(body, 12, "Outgoing SSN Reset"))
        streams = _streams(body[12:], "Outgoing SSN Reset")
        return cls(request=request, response=response, last_tsn=last_tsn, streams=streams, padding=padding)

    def body(self) -> bytes:
        fixed = _OUTGOING.pack(self.request, self.response, self.last_tsn)
        return fixed + pack(f">{len(self.streams)}H", *self.streams)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingReset(Tlv):
    """Incoming SSN Reset Request, RFC 6525 §4.2. No streams: all of them."""

    TYPE: ClassVar[int] = ParameterType.INCOMING_RESET
    request: int
    streams: tuple[int, ...] = ()

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        (request,) = WORD.unpack_from(at_least(body, 4, "Incoming SSN Reset"))
        return cls(request=request, streams=_streams(body[4:], "Incoming SSN Reset"), padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.request) + pack(f">{len(self.streams)}H", *self.streams)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsnReset(Word):
    """SSN/TSN Reset Request: the value is the request sequence number, RFC 6525 §4.3."""

    TYPE: ClassVar[int] = ParameterType.TSN_RESET


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetResponse(Tlv):
    """Re-configuration Response, RFC 6525 §4.4; `next_tsns` (sender's, receiver's) only after a TSN reset."""

    TYPE: ClassVar[int] = ParameterType.RESET_RESPONSE
    response: int
    result: int
    next_tsns: tuple[int, int] | None = None

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        if len(body) not in {8, 16}:
            raise LengthError(MALFORMED, "Re-configuration Response", len(body), "8 or 16 bytes of value")
        response, result = _RESPONSE.unpack_from(body)
        next_tsns = _NEXT_TSNS.unpack_from(body, 8) if len(body) == 16 else None
        return cls(response=response, result=result, next_tsns=next_tsns, padding=padding)

    def body(self) -> bytes:
        fixed = _RESPONSE.pack(self.response, self.result)
        return fixed + _NEXT_TSNS.pack(*self.next_tsns) if self.next_tsns else fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class AddStreams(Tlv):
    """Ask for more streams; `reserved` is kept as it came."""

    request: int
    streams: int
    reserved: int = 0

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        request, streams, reserved = _ADD.unpack(sized(body, 8, cls.__name__))
        return cls(request=request, streams=streams, reserved=reserved, padding=padding)

    def body(self) -> bytes:
        return _ADD.pack(self.request, self.streams, self.reserved)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOutgoingStreams(AddStreams):
    """RFC 6525 §4.5."""

    TYPE: ClassVar[int] = ParameterType.ADD_OUTGOING_STREAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIncomingStreams(AddStreams):
    """RFC 6525 §4.6."""

    TYPE: ClassVar[int] = ParameterType.ADD_INCOMING_STREAMS
