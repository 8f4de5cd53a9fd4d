"""The four chunks of a handshake, RFC 9260 §3.3.2, §3.3.3, §3.3.11, §3.3.12."""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from protocols.sctp.chunks.chunk import Chunk, EmptyChunk, OpaqueChunk
from protocols.sctp.ids import ChunkType
from protocols.sctp.parameters.registry import Parameter, build_parameters, parse_parameters
from protocols.sctp.tlv import at_least

_INIT = Struct(">IIHHI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(Chunk):
    """INIT and INIT ACK: the sender's tag, window (bytes), streams and first TSN, and its parameters."""

    tag: int
    window: int = 65536
    outbound: int = 10
    inbound: int = 10
    tsn: int = 1
    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        tag, window, outbound, inbound, tsn = _INIT.unpack_from(at_least(body, 16, cls.__name__))
        return cls(
            flags=flags,
            tag=tag,
            window=window,
            outbound=outbound,
            inbound=inbound,
            tsn=tsn,
            parameters=parse_parameters(body[16:]),
            padding=padding,
        )

    def body(self) -> bytes:
        fixed = _INIT.pack(self.tag, self.window, self.outbound, self.inbound, self.tsn)
        return fixed + build_parameters(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Init(Opening):
    """INIT."""

    TYPE: ClassVar[int] = ChunkType.INIT


@dataclass(frozen=True, slots=True, kw_only=True)
class InitAck(Opening):
    """INIT ACK."""

    TYPE: ClassVar[int] = ChunkType.INIT_ACK


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieEcho(OpaqueChunk):
    """COOKIE ECHO: the value is the State Cookie parameter's."""

    TYPE: ClassVar[int] = ChunkType.COOKIE_ECHO


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieAck(EmptyChunk):
    """COOKIE ACK."""

    TYPE: ClassVar[int] = ChunkType.COOKIE_ACK
