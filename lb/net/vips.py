"""VIPs as addresses of this machine, so that it answers ARP, ND and ping for them.

A journal tells which addresses are ours to remove, by a later process too. An address that was there before a
service asked for it is its owner's, and is neither announced nor removed.
"""

import json
import logging
import threading
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EEXIST
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lb.datapath.attach import inside
from lb.model import Address, Assign, Policy
from lb.net.announce import announce

log = logging.getLogger(__name__)
LOOPBACK = "lo"
REPAIR = "move it away; VIPs that it lists stay until `ip address del`"
NODAD = 0x02  # IFA_F_NODAD: the address is ours by policy, and must answer at once


class JournalError(Exception):
    """One sentence about the journal and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Link:
    name: str
    index: int
    mac: bytes
    up: bool


def wanted(policy: Policy) -> dict[Address, Assign]:
    """Each VIP of a policy that is to be assigned, and where."""
    return {
        vip: service.assign
        for service in policy.services.values()
        if service.assign is not Assign.NONE
        for vip in service.vips
    }


class Vips:
    """The addresses that services brought with them, in one network namespace."""

    def __init__(self, journal: Path, *, netns: str | None = None) -> None:
        self._journal = journal
        self._netns = netns
        self.held: dict[Address, str] = self._read()
        self._lock = threading.Lock()  # policies and the kernel's changes come from several threads

    def _read(self) -> dict[Address, str]:
        try:
            journal = json.loads(self._journal.read_text())
            return {ip_address(text): str(name) for text, name in journal.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, OSError) as error:
            raise JournalError(f"{self._journal} cannot be read ({error}): {REPAIR}") from error

    def _write(self) -> None:
        """Whole or not at all: removal depends on it."""
        text = json.dumps({str(address): name for address, name in self.held.items()}, indent=1)
        beside = self._journal.with_suffix(".new")
        try:
            beside.write_text(text)
            beside.replace(self._journal)
        except OSError as error:
            raise JournalError(f"{self._journal} cannot be written ({error.strerror})") from error

    def apply(self, policy: Policy) -> None:
        """Assign what the policy wants, then remove what it no longer wants. An address that fails is logged."""
        places = wanted(policy)
        if not places and not self.held:
            return
        with self._lock, inside(self._netns), IPRoute() as netlink:
            links, there = _links(netlink), _addresses(netlink)
            for address, assign in places.items():
                self._assign(netlink, address, _place(address, assign, links, there), there)
            for address in [held for held in self.held if held not in places]:
                self._remove(netlink, address, links)

    def _assign(
        self,
        netlink: IPRoute,
        address: Address,
        link: _Link,
        there: dict[str, list[IPv4Interface | IPv6Interface]],
    ) -> None:
        present = any(one.ip == address for listed in there.values() for one in listed)
        if present:
            return  # ours from before, or somebody else's
        self.held[address] = link.name
        self._write()  # before it is there: a crash in between must not leave it behind
        try:
            netlink.addr(
                "add", index=link.index, address=str(address), prefixlen=address.max_prefixlen, flags=NODAD
            )
        except NetlinkError as error:
            if error.code != EEXIST:
                log.warning("VIP %s cannot be assigned to %s: %s", address, link.name, error)
            return
        log.info("VIP %s assigned to %s", address, link.name)
        if link.name != LOOPBACK and link.up:
            try:
                announce(link.name, link.mac, address)
            except OSError as error:
                log.warning("VIP %s cannot be announced on %s: %s", address, link.name, error)

    def _remove(self, netlink: IPRoute, address: Address, links: dict[str, _Link]) -> None:
        name = self.held[address]
        if name in links:
            try:
                netlink.addr(
                    "del", index=links[name].index, address=str(address), prefixlen=address.max_prefixlen
                )
            except NetlinkError as error:
                if error.code != EADDRNOTAVAIL:
                    log.warning("VIP %s cannot be removed from %s: %s", address, name, error)
                    return
        del self.held[address]
        self._write()
        log.info("VIP %s removed from %s", address, name)


def _links(netlink: IPRoute) -> dict[str, _Link]:
    found = {}
    for link in netlink.get_links():
        name, text = link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_ADDRESS") or ""
        mac = bytes.fromhex(text.replace(":", "")) if text else b""
        found[name] = _Link(name, link["index"], mac, bool(link["flags"] & 1))
    return found


def _addresses(netlink: IPRoute) -> dict[str, list[IPv4Interface | IPv6Interface]]:
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in netlink.get_links()}
    found: dict[str, list[IPv4Interface | IPv6Interface]] = {}
    for one in netlink.get_addr():
        text = one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS")
        found.setdefault(names[one["index"]], []).append(ip_interface(f"{text}/{one['prefixlen']}"))
    return found


def _place(
    address: Address,
    assign: Assign,
    links: dict[str, _Link],
    there: dict[str, list[IPv4Interface | IPv6Interface]],
) -> _Link:
    """The interface whose subnet holds the address; the loopback where none does, or the service says so."""
    if assign is Assign.INTERFACE:
        for name, listed in there.items():
            if name != LOOPBACK and any(
                one.network.prefixlen < one.max_prefixlen and address in one.network for one in listed
            ):
                return links[name]
    return links[LOOPBACK]
