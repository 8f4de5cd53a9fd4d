"""From a topology to `ip -batch` lines: the switch, the balancer's cables, each host's addresses and routes.

Every cable ends at one switch namespace, a bridge a subnet, so that cutting it there takes nobody's
addresses away and the balancer sees loss of carrier only when its own cable is cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from .topology import BALANCER, Interface, Kind, Topology

SOURCE_TABLE = 101  # NIC k of a host looks up packets from its own addresses in table 101 + k


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the lab's namespaces on the real host are called."""

    lab: str

    @property
    def balancer(self) -> str:
        return f"{self.lab}-{BALANCER}"

    @property
    def switch(self) -> str:
        return f"{self.lab}-switch"

    def of(self, topology: Topology, host: str) -> str:
        """The namespace a host's cables lead to: of its guest, or its own."""
        shared = topology.host(host).kind is Kind.SHARED
        return f"{self.lab}-{'shared' if shared else host}"


def cable(host: str, nic: int) -> str:
    """The name of both ends of a host's cable: at the switch, and where the guest's raw socket is."""
    return f"{host}-{nic}"


def mac(topology: Topology, host: str, nic: int) -> str:
    """A NIC's fixed hardware address, so that a rebooted host keeps it."""
    found = topology.host(host)
    place = [subnet.name for subnet in topology.subnets].index(found.subnets[nic])
    return f"02:00:00:00:{place + 1:02x}:{found.number:02x}"


def switch(topology: Topology, names: Names) -> Iterator[str]:
    """In the switch namespace: bridges, and every cable with its far end where it belongs."""
    for subnet in topology.subnets:
        yield f"link add name br-{subnet.name} up type bridge mcast_snooping 0"
        yield f"link add name {subnet.name} type veth peer name {subnet.name} netns {names.balancer}"
        yield f"link set {subnet.name} up master br-{subnet.name}"
    for host in topology.hosts:
        for nic, subnet_name in enumerate(host.subnets):
            port = cable(host.name, nic)
            yield f"link add name {port} type veth peer name {port} netns {names.of(topology, host.name)}"
            yield f"link set {port} up master br-{subnet_name}"


def balancer(topology: Topology) -> Iterator[str]:
    """In the balancer's namespace: one NIC a subnet, named as the subnet."""
    for subnet in topology.subnets:
        yield f"link set {subnet.name} up"
        for gateway in subnet.gateways:
            yield _address(gateway, subnet.name)


def host_nics(topology: Topology, host: str) -> Iterator[str]:
    """In a host whose NICs are already called eth0, eth1 …: up, with their addresses."""
    yield "link set lo up"
    for nic, interfaces in enumerate(topology.interfaces(host)):
        yield f"link set eth{nic} up"
        yield from (_address(own, f"eth{nic}") for own in interfaces)


def host_routes(topology: Topology, host: str, version: int) -> Iterator[str]:
    """For `ip -4` or `ip -6` in a host: routes that keep paths apart.

    Each subnet, and what lies behind it, goes by its own NIC; so do packets that carry a NIC's own address.
    """
    default = "::/0" if version == 6 else "0.0.0.0/0"
    for nic, interfaces in enumerate(topology.interfaces(host)):
        subnet, table = topology.subnet(topology.host(host).subnets[nic]), SOURCE_TABLE + nic
        for own, gateway in zip(interfaces, subnet.gateways, strict=True):
            if own.version != version:
                continue
            via = f"via {gateway.ip} dev eth{nic}"
            yield from (f"route add {net} {via}" for net in subnet.via if ip_network(net).version == version)
            yield f"route add {default} {via} metric {100 + nic}"
            yield f"route add {own.network} dev eth{nic} table {table}"
            yield f"route add {default} {via} table {table}"
            yield f"rule add from {own.ip} lookup {table}"


def _address(interface: Interface, device: str) -> str:
    return f"addr add {interface} dev {device}{' nodad' if interface.version == 6 else ''}"
