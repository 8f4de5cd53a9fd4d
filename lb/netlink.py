"""rtnetlink, as much as a daemon that starts needs: routes towards an address, links, addresses (RFC 3549).

The package pyroute2 knows the rest; loading it takes a tenth of the time in which a restarted daemon must be ready.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from struct import Struct, pack, unpack_from
from types import TracebackType
from typing import Self

from lb.model import Address

NETLINK_ROUTE = 0
ERROR, DONE = 2, 3  # NLMSG_…
GET_LINK, NEW_ADDRESS, DELETE_ADDRESS, GET_ADDRESS, GET_ROUTE = 18, 20, 21, 22, 26  # RTM_…
REQUEST, ACKNOWLEDGE, EXCLUSIVE, DUMP, CREATE = 1, 4, 0x200, 0x300, 0x400  # NLM_F_…
IFLA_ADDRESS, IFLA_IFNAME = 1, 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_PREFSRC = 1, 7
IFF_UP = 1
IFA_F_NODAD = 0x02
HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
LINK_BYTES, ADDRESS_BYTES, ROUTE_BYTES = 16, 8, 12  # ifinfomsg, ifaddrmsg, rtmsg
ROOM = 1 << 16


class NetlinkError(OSError):
    """The kernel's refusal, with its errno."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface."""

    name: str
    index: int
    mac: bytes
    up: bool


def _attribute(kind: int, value: bytes) -> bytes:
    return pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _attributes(raw: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(raw):
        length, kind = unpack_from("=HH", raw, at)
        if length < 4:
            break
        found[kind] = raw[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


class Netlink:
    """Questions to the kernel of the network namespace in which it was opened. Raises NetlinkError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        """The bodies of what answers; an acknowledgement has none."""
        self._sequence += 1
        head = HEADER.pack(HEADER.size + len(body), kind, REQUEST | flags, self._sequence, 0)
        self._socket.send(head + body)
        while True:
            raw, at = self._socket.recv(ROOM), 0
            while at < len(raw):
                length, kind, _, sequence, _ = HEADER.unpack_from(raw, at)
                answer = raw[at + HEADER.size : at + length]
                at += (length + 3) & ~3
                if sequence != self._sequence:
                    continue
                if kind == ERROR and (number := -unpack_from("=i", answer)[0]):
                    raise NetlinkError(number, os.strerror(number))
                if kind in {ERROR, DONE}:
                    return
                yield answer
                if flags & DUMP != DUMP:
                    return

    def source_towards(self, server: Address) -> Address | None:
        """Our address that faces another by the kernel's routes; None where there is no route."""
        bits = server.max_prefixlen
        body = pack("=8BI", _family(server), bits, 0, 0, 0, 0, 0, 0, 0) + _attribute(RTA_DST, server.packed)
        try:
            answer = next(self._ask(GET_ROUTE, 0, body))
        except NetlinkError:
            return None
        source = _attributes(answer[ROUTE_BYTES:]).get(RTA_PREFSRC)
        return ip_address(source) if source else None

    def links(self) -> dict[str, Link]:
        """Every interface by name."""
        found = {}
        for answer in self._ask(GET_LINK, DUMP, bytes(LINK_BYTES)):
            _, index, flags = unpack_from("=IiI", answer)
            attributes = _attributes(answer[LINK_BYTES:])
            name = attributes[IFLA_IFNAME].rstrip(b"\0").decode()
            found[name] = Link(name, index, attributes.get(IFLA_ADDRESS, b""), bool(flags & IFF_UP))
        return found

    def addresses(self) -> dict[int, list[IPv4Interface | IPv6Interface]]:
        """The addresses of each interface by its index."""
        found: dict[int, list[IPv4Interface | IPv6Interface]] = {}
        for answer in self._ask(GET_ADDRESS, DUMP, bytes(ADDRESS_BYTES)):
            _, prefix, _, _, index = unpack_from("=4BI", answer)
            attributes = _attributes(answer[ADDRESS_BYTES:])
            address = ip_address(attributes.get(IFA_LOCAL) or attributes[IFA_ADDRESS])
            found.setdefault(index, []).append(ip_interface(f"{address}/{prefix}"))
        return found

    def add_address(self, index: int, address: Address) -> None:
        """Give an interface an address of its own, which answers at once."""
        self._change(NEW_ADDRESS, CREATE | EXCLUSIVE, index, address)

    def delete_address(self, index: int, address: Address) -> None:
        """Take it away again."""
        self._change(DELETE_ADDRESS, 0, index, address)

    def _change(self, kind: int, flags: int, index: int, address: Address) -> None:
        body = pack("=4BI", _family(address), address.max_prefixlen, IFA_F_NODAD, 0, index)
        body += _attribute(IFA_LOCAL, address.packed) + _attribute(IFA_ADDRESS, address.packed)
        for _ in self._ask(kind, flags | ACKNOWLEDGE, body):
            pass
