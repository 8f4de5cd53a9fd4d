"""Parameters that name a host, RFC 9260 §3.3.2.1."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import pack, unpack
from typing import ClassVar, Self

from protocols.sctp.ids import ParameterType
from protocols.sctp.tlv import Opaque, Tlv, at_least, multiple, sized


@dataclass(frozen=True, slots=True, kw_only=True)
class Address4(Tlv):
    """IPv4 Address."""

    TYPE: ClassVar[int] = ParameterType.IPV4_ADDRESS
    address: IPv4Address

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        return cls(address=IPv4Address(bytes(sized(body, 4, "IPv4 Address"))), padding=padding)

    def body(self) -> bytes:
        return self.address.packed


@dataclass(frozen=True, slots=True, kw_only=True)
class Address6(Tlv):
    """IPv6 Address."""

    TYPE: ClassVar[int] = ParameterType.IPV6_ADDRESS
    address: IPv6Address

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        return cls(address=IPv6Address(bytes(sized(body, 16, "IPv6 Address"))), padding=padding)

    def body(self) -> bytes:
        return self.address.packed


@dataclass(frozen=True, slots=True, kw_only=True)
class HostName(Opaque):
    """Host Name Address, deprecated: answered with ABORT (RFC 9260 §3.3.2.1.4). The bytes include the final NUL."""

    TYPE: ClassVar[int] = ParameterType.HOST_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportedAddressTypes(Tlv):
    """The parameter numbers of the address types that the sender can use."""

    TYPE: ClassVar[int] = ParameterType.SUPPORTED_ADDRESS_TYPES
    types: tuple[int, ...]

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        at_least(multiple(body, 2, "Supported Address Types"), 2, "Supported Address Types")
        return cls(types=unpack(f">{len(body) // 2}H", body), padding=padding)

    def body(self) -> bytes:
        return pack(f">{len(self.types)}H", *self.types)
