"""AUTH (RFC 4895), ASCONF and ASCONF-ACK (RFC 5061), RE-CONFIG (RFC 6525)."""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from protocols.errors import ContentError
from protocols.sctp.chunks.chunk import Chunk
from protocols.sctp.ids import ChunkType
from protocols.sctp.parameters.asconf import FAMILIES
from protocols.sctp.parameters.registry import Parameter, build_parameters, parse_parameters
from protocols.sctp.tlv import MALFORMED, WORD, at_least

_AUTH = Struct(">HH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth(Chunk):
    """AUTH: covers every chunk behind it with the HMAC of this identifier and shared key."""

    TYPE: ClassVar[int] = ChunkType.AUTH
    key: int
    algorithm: int
    hmac: bytes

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        key, algorithm = _AUTH.unpack_from(at_least(body, 4, "AUTH"))
        return cls(flags=flags, key=key, algorithm=algorithm, hmac=bytes(body[4:]), padding=padding)

    def body(self) -> bytes:
        return _AUTH.pack(self.key, self.algorithm) + self.hmac


@dataclass(frozen=True, slots=True, kw_only=True)
class AsconfAck(Chunk):
    """ASCONF-ACK: answers to the requests of the ASCONF with this serial number."""

    TYPE: ClassVar[int] = ChunkType.ASCONF_ACK
    serial: int
    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        (serial,) = WORD.unpack_from(at_least(body, 4, cls.__name__))
        return cls(flags=flags, serial=serial, parameters=parse_parameters(body[4:]), padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.serial) + build_parameters(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asconf(Chunk):
    """ASCONF. The first parameter is an address that finds the association (RFC 5061 §4.1.1); requests follow."""

    TYPE: ClassVar[int] = ChunkType.ASCONF
    serial: int
    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        (serial,) = WORD.unpack_from(at_least(body, 4, "ASCONF"))
        parameters = parse_parameters(body[4:])
        if not parameters or parameters[0].type not in FAMILIES:
            kinds = [parameter.type for parameter in parameters]
            raise ContentError(MALFORMED, "ASCONF parameters", kinds, "an IPv4 (5) or IPv6 (6) address first")
        return cls(flags=flags, serial=serial, parameters=parameters, padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.serial) + build_parameters(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReConfig(Chunk):
    """RE-CONFIG: one or two stream reconfiguration parameters."""

    TYPE: ClassVar[int] = ChunkType.RE_CONFIG
    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        return cls(flags=flags, parameters=parse_parameters(body), padding=padding)

    def body(self) -> bytes:
        return build_parameters(self.parameters)
