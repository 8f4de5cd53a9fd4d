"""Parameters of address reconfiguration, RFC 5061 §4.2."""

from dataclasses import dataclass
from typing import ClassVar, Self

from protocols.errors import ContentError
from protocols.sctp.causes import Cause, build_causes, parse_causes
from protocols.sctp.ids import ParameterType
from protocols.sctp.parameters.address import Address4, Address6
from protocols.sctp.tlv import WORD, Tlv, Word, at_least, build_all, split

Address = Address4 | Address6
FAMILIES: dict[int, type[Address4 | Address6]] = {Address4.TYPE: Address4, Address6.TYPE: Address6}


def parse_address(view: memoryview, field: str) -> Address:
    """Exactly one address parameter. Raises ProtocolError."""
    items = list(split(view, field))
    if len(items) != 1 or items[0][0] not in FAMILIES:
        kinds = [kind for kind, _, _ in items]
        raise ContentError(
            "unresolvable-address", field, kinds, "one parameter, IPv4 (5) or IPv6 (6) address"
        )
    kind, body, padding = items[0]
    return FAMILIES[kind].parse(body, padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange(Tlv):
    """A request about one address; its answer bears the same correlation id."""

    correlation: int
    address: Address

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        (correlation,) = WORD.unpack_from(at_least(body, 4, cls.__name__))
        address = parse_address(body[4:], cls.__name__)
        return cls(correlation=correlation, address=address, padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.correlation) + build_all((self.address,))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAddress(AddressChange):
    """Add IP Address, RFC 5061 §4.2.1."""

    TYPE: ClassVar[int] = ParameterType.ADD_ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAddress(AddressChange):
    """Delete IP Address, RFC 5061 §4.2.2."""

    TYPE: ClassVar[int] = ParameterType.DELETE_ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPrimary(AddressChange):
    """Set Primary IP Address, RFC 5061 §4.2.4; also in INIT and INIT ACK."""

    TYPE: ClassVar[int] = ParameterType.SET_PRIMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCauseIndication(Tlv):
    """Why the request of that correlation id failed, RFC 5061 §4.2.3."""

    TYPE: ClassVar[int] = ParameterType.ERROR_CAUSE_INDICATION
    correlation: int
    causes: tuple[Cause, ...] = ()

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        (correlation,) = WORD.unpack_from(at_least(body, 4, "Error Cause Indication"))
        return cls(correlation=correlation, causes=parse_causes(body[4:]), padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.correlation) + build_causes(self.causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessIndication(Word):
    """The value is the correlation id of the request that was granted, RFC 5061 §4.2.5."""

    TYPE: ClassVar[int] = ParameterType.SUCCESS_INDICATION
