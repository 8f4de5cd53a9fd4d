"""What every chunk has, and the shapes that several share (RFC 9260 §3.2)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from protocols.sctp.ids import Action
from protocols.sctp.tlv import WORD, sized

HEADER = Struct(">BBH")
T_BIT = 1  # ABORT, SHUTDOWN COMPLETE: the tag is the one that the sender was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk(ABC):
    """One chunk. `padding` None is the usual: zeros to a multiple of four; else the very bytes."""

    TYPE: ClassVar[int]
    flags: int = 0
    padding: bytes | None = None

    @property
    def type(self) -> int:
        """The number on the wire."""
        return self.TYPE

    @classmethod
    @abstractmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        """From what follows the length. Raises ProtocolError."""

    @abstractmethod
    def body(self) -> bytes:
        """What follows the length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyChunk(Chunk):
    """No value at all."""

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        sized(body, 0, cls.__name__)
        return cls(flags=flags, padding=padding)

    def body(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueChunk(Chunk):
    """Bytes."""

    value: bytes = b""

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        return cls(flags=flags, value=bytes(body), padding=padding)

    def body(self) -> bytes:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class TsnChunk(Chunk):
    """One TSN."""

    tsn: int

    @classmethod
    def parse(cls, flags: int, body: memoryview, padding: bytes | None) -> Self:
        return cls(flags=flags, tsn=WORD.unpack(sized(body, 4, cls.__name__))[0], padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.tsn)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownChunk(OpaqueChunk):
    """A chunk of a number that we have no class for, kept as it came."""

    number: int

    @property
    def type(self) -> int:
        return self.number

    @property
    def action(self) -> Action:
        """What a receiver that does not know it does, RFC 9260 §3.2."""
        return Action(self.number >> 6)
