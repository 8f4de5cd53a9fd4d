"""VIPs as addresses of this machine, so that it answers ARP, ND and ping for them.

A journal tells which addresses are ours to remove, by a later process too. An address that was there before a
service asked for it is its owner's, and is neither announced nor removed.
"""

import json
import logging
import threading
from errno import EADDRNOTAVAIL, EEXIST
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

from lb.datapath.attach import inside
from lb.model import Address, Assign, Policy
from lb.net.announce import announce
from lb.netlink import Link, Netlink, NetlinkError

log = logging.getLogger(__name__)
LOOPBACK = "lo"
REPAIR = "move it away; VIPs that it lists stay until `ip address del`"


class JournalError(Exception):
    """One sentence about the journal and what is wrong with it."""


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
        with self._lock, inside(self._netns), Netlink() as netlink:
            links = netlink.links()
            names = {link.index: name for name, link in links.items()}
            there = {names[index]: listed for index, listed in netlink.addresses().items() if index in names}
            for address, assign in places.items():
                self._assign(netlink, address, _place(address, assign, links, there), there)
            for address in [held for held in self.held if held not in places]:
                self._remove(netlink, address, links)

    def _assign(
        self,
        netlink: Netlink,
        address: Address,
        link: Link,
        there: dict[str, list[IPv4Interface | IPv6Interface]],
    ) -> None:
        present = any(one.ip == address for listed in there.values() for one in listed)
        if present:
            return  # ours from before, or somebody else's
        self.held[address] = link.name
        self._write()  # before it is there: a crash in between must not leave it behind
        try:
            netlink.add_address(link.index, address)
        except NetlinkError as error:
            if error.errno != EEXIST:
                log.warning("VIP %s cannot be assigned to %s: %s", address, link.name, error)
            return
        log.info("VIP %s assigned to %s", address, link.name)
        if link.name != LOOPBACK and link.up:
            try:
                announce(link.name, link.mac, address)
            except OSError as error:
                log.warning("VIP %s cannot be announced on %s: %s", address, link.name, error)

    def _remove(self, netlink: Netlink, address: Address, links: dict[str, Link]) -> None:
        name = self.held[address]
        if name in links:
            try:
                netlink.delete_address(links[name].index, address)
            except NetlinkError as error:
                if error.errno != EADDRNOTAVAIL:
                    log.warning("VIP %s cannot be removed from %s: %s", address, name, error)
                    return
        del self.held[address]
        self._write()
        log.info("VIP %s removed from %s", address, name)


def _place(
    address: Address,
    assign: Assign,
    links: dict[str, Link],
    there: dict[str, list[IPv4Interface | IPv6Interface]],
) -> Link:
    """The interface whose subnet holds the address; the loopback where none does, or the service says so."""
    if assign is Assign.INTERFACE:
        for name, listed in there.items():
            if name != LOOPBACK and any(
                one.network.prefixlen < one.max_prefixlen and address in one.network for one in listed
            ):
                return links[name]
    return links[LOOPBACK]
