"""Parameters of INIT and INIT ACK in every shape that the RFCs allow, with addresses that must not get through."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from struct import pack

from tests.datapath.packets import addresses, parameter

HOST_NAME, TYPES, ZERO_CHECKSUM, EXTENSIONS, SET_PRIMARY = 11, 12, 0x8001, 0x8008, 0xC004
ODD = 0xC123  # unknown: skip and report
ASCONF, ASCONF_ACK = 0xC1, 0x80
FAMILIES = {4: 5, 6: 6}  # version → parameter type
MOST = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which addresses are listed beside the header's, of which families, and what else there is."""

    count: int
    versions: tuple[int, ...]  # in turn
    stated: tuple[int, ...] | None  # Supported Address Types; None: not there
    own: str  # where the header's own address is listed: "", "first", "last"
    odd: bool  # unknown parameters between
    open_end: bool  # the last parameter's padding is not in its length

    def listed(self, net: int) -> tuple[str, ...]:
        """The addresses, apart from the header's; ``net`` tells sides apart."""
        made = (self.versions[i % len(self.versions)] for i in range(self.count))
        return tuple(
            f"10.{net}.231.{17 * i + 1}" if version == 4 else f"fd{net}:e7::{17 * i + 1:x}"
            for i, version in enumerate(made)
        )

    def parameters(self, header: str, net: int) -> bytes:
        """As bytes; what is translated stands among what must become PAD."""
        listed = [*self.listed(net)]
        if self.own:
            listed.insert(0 if self.own == "first" else len(listed), header)
        parts = [addresses(address) for address in listed]
        primary = parameter(SET_PRIMARY, pack(">I", 7) + addresses(header))
        parts[1:1] = [primary, parameter(ZERO_CHECKSUM, pack(">I", 1))]
        if self.odd:
            parts = [part for pair in zip(parts, _fillers(len(parts)), strict=True) for part in pair]
        if self.stated is not None:
            kinds = (FAMILIES[version] for version in self.stated)
            parts.insert(0, parameter(TYPES, b"".join(pack(">H", kind) for kind in kinds)))
        last = parameter(EXTENSIONS, bytes((0x82, ASCONF, ASCONF_ACK)))
        return b"".join(parts) + (last[:-1] if self.open_end else last)

    def families(self, header: int) -> set[int]:
        """Those that the sender can use."""
        if self.stated is not None:
            return set(self.stated)
        return {header, *(self.versions[i % len(self.versions)] for i in range(self.count))}


def _fillers(count: int) -> list[bytes]:
    return [parameter(ODD, bytes(range(i, 2 * i))) for i in range(count)]


def shapes() -> Iterator[Shape]:
    """All of them, by 0 to 7 listed addresses."""
    for count, versions, stated, (own, odd, open_end) in product(
        range(MOST + 1),
        ((4,), (6,), (4, 6)),
        (None, (4,), (6,), (4, 6)),
        (("", False, False), ("first", False, True), ("last", True, False), ("first", True, True)),
    ):
        if count or versions == (4,):
            yield Shape(count=count, versions=versions, stated=stated, own=own, odd=odd, open_end=open_end)
