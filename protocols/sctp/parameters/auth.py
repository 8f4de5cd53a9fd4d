"""Parameters of the authentication of chunks, RFC 4895 §3. Both sides' keys are made of their bytes."""

from dataclasses import dataclass
from struct import pack, unpack
from typing import ClassVar, Self

from protocols.sctp.ids import ParameterType
from protocols.sctp.tlv import Opaque, Tlv, at_least, multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class Random(Opaque):
    """RANDOM: 32 bytes if the sender keeps to RFC 4895 §6.1."""

    TYPE: ClassVar[int] = ParameterType.RANDOM


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkList(Opaque):
    """CHUNKS: each byte is the number of a chunk type to be authenticated."""

    TYPE: ClassVar[int] = ParameterType.CHUNK_LIST


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacAlgorithms(Tlv):
    """HMAC-ALGO: identifiers in the sender's order (1 SHA-1, 3 SHA-256)."""

    TYPE: ClassVar[int] = ParameterType.HMAC_ALGORITHMS
    identifiers: tuple[int, ...]

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        at_least(multiple(body, 2, "HMAC-ALGO"), 2, "HMAC-ALGO")
        return cls(identifiers=unpack(f">{len(body) // 2}H", body), padding=padding)

    def body(self) -> bytes:
        return pack(f">{len(self.identifiers)}H", *self.identifiers)
