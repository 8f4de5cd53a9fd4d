"""What a lab consists of, as values: subnets, hosts, VIPs, and the addresses that follow."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network

from .errors import LabTopologyError

Interface = IPv4Interface | IPv6Interface
BALANCER = "lb"
GATEWAY_NUMBER = 1  # the balancer is address .1 of every subnet


class Side(StrEnum):
    """Which side of the balancer a subnet lies on."""

    CLIENT = "client"
    ENDPOINT = "endpoint"


class Kind(StrEnum):
    """What carries a host."""

    SHARED = "shared"  # a network namespace of the one guest all such hosts share
    OWN = "own"  # a guest of its own: can hang, die and reboot
    PLAIN = "plain"  # a network namespace of the real host: no SCTP stack, thus never answers SCTP itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One cable plant: a switch, a NIC of the balancer and one of each host on it.

    `via` are the networks (VIPs, the same path's subnet on the other side) that hosts here reach through it.
    """

    name: str
    side: Side
    networks: tuple[str, ...]
    via: tuple[str, ...] = ()

    def interfaces(self, number: int) -> tuple[Interface, ...]:
        """The addresses, with prefix length, of the host with this number."""
        networks = [ip_network(text) for text in self.networks]
        return tuple(ip_interface(f"{net[number]}/{net.prefixlen}") for net in networks)

    @property
    def gateways(self) -> tuple[Interface, ...]:
        return self.interfaces(GATEWAY_NUMBER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine: its number is the host part of its address in every subnet it has a NIC in."""

    name: str
    number: int
    subnets: tuple[str, ...]
    kind: Kind = Kind.SHARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The whole lab; `vips` are what the balancer may own, each reached through the subnet of its place."""

    name: str
    subnets: tuple[Subnet, ...]
    hosts: tuple[Host, ...]
    vips: tuple[str, ...]

    def __post_init__(self) -> None:
        known = {subnet.name for subnet in self.subnets}
        seen: dict[str, str] = {}
        for host in self.hosts:
            self._check_host(host, known)
            for address in self.addresses(host.name):
                if address in seen:
                    raise LabTopologyError(
                        f"{host.name}.number: {address} already belongs to {seen[address]}"
                    )
                seen[address] = host.name
        names = [host.name for host in self.hosts]
        if len(set(names)) != len(names):
            raise LabTopologyError(f"hosts: names must differ, got {sorted(names)}")

    def _check_host(self, host: Host, known: set[str]) -> None:
        if host.name == BALANCER or not host.name.isalnum() or len(host.name) > 11:  # IFNAMSIZ less "-nn"
            raise LabTopologyError(f"host.name: {host.name!r} must be 1 to 11 letters or digits and not 'lb'")
        if host.number <= GATEWAY_NUMBER:
            raise LabTopologyError(
                f"{host.name}.number: {host.number} must be above {GATEWAY_NUMBER}, the balancer's"
            )
        for name in host.subnets:
            if name not in known:
                raise LabTopologyError(f"{host.name}.subnets: {name!r} is none of {sorted(known)}")

    def host(self, name: str) -> Host:
        """The host of that name; LabTopologyError names those there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabTopologyError(f"host: {name!r} is none of {[host.name for host in self.hosts]}")

    def subnet(self, name: str) -> Subnet:
        for subnet in self.subnets:
            if subnet.name == name:
                return subnet
        raise LabTopologyError(f"subnet: {name!r} is none of {[subnet.name for subnet in self.subnets]}")

    def interfaces(self, host: str) -> tuple[tuple[Interface, ...], ...]:
        """Per NIC of the host, its addresses with prefix lengths."""
        found = self.host(host)
        return tuple(self.subnet(name).interfaces(found.number) for name in found.subnets)

    def addresses(self, host: str) -> tuple[str, ...]:
        """All addresses of a host, NIC by NIC."""
        return tuple(str(interface.ip) for nic in self.interfaces(host) for interface in nic)
