"""Chunks that watch, end or pad an association, RFC 9260 §3.3.5 to §3.3.13, RFC 4960 Appendix A, RFC 4820 §3."""

from dataclasses import dataclass
from typing import ClassVar, Self

from protocols.sctp.causes import Cause, build_causes, parse_causes
from protocols.sctp.chunks.chunk import Chunk, EmptyChunk, OpaqueChunk, TsnChunk
from protocols.sctp.ids import ChunkType
from protocols.sctp.parameters.registry import Parameter, build_parameters, parse_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(Chunk):
    """HEARTBEAT and HEARTBEAT ACK: usually one Heartbeat Info."""

    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        return cls(flags=flags, parameters=parse_parameters(body), padding=padding)

    def body(self) -> bytes:
        return build_parameters(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Beat):
    """HEARTBEAT."""

    TYPE: ClassVar[int] = ChunkType.HEARTBEAT


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAck(Beat):
    """HEARTBEAT ACK."""

    TYPE: ClassVar[int] = ChunkType.HEARTBEAT_ACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint(Chunk):
    """ABORT and ERROR: error causes."""

    causes: tuple[Cause, ...] = ()

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        return cls(flags=flags, causes=parse_causes(body), padding=padding)

    def body(self) -> bytes:
        return build_causes(self.causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Complaint):
    """ABORT; with the T bit in `flags` the packet's tag is a reflected one."""

    TYPE: ClassVar[int] = ChunkType.ABORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Complaint):
    """Operation Error."""

    TYPE: ClassVar[int] = ChunkType.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(TsnChunk):
    """SHUTDOWN with the cumulative TSN ack."""

    TYPE: ClassVar[int] = ChunkType.SHUTDOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownAck(EmptyChunk):
    """SHUTDOWN ACK."""

    TYPE: ClassVar[int] = ChunkType.SHUTDOWN_ACK


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownComplete(EmptyChunk):
    """SHUTDOWN COMPLETE; the T bit as in ABORT."""

    TYPE: ClassVar[int] = ChunkType.SHUTDOWN_COMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecne(TsnChunk):
    """ECN echo with the lowest TSN that met congestion."""

    TYPE: ClassVar[int] = ChunkType.ECNE


@dataclass(frozen=True, slots=True, kw_only=True)
class Cwr(TsnChunk):
    """Congestion window reduced; answers an ECN echo."""

    TYPE: ClassVar[int] = ChunkType.CWR


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(OpaqueChunk):
    """PAD."""

    TYPE: ClassVar[int] = ChunkType.PAD
