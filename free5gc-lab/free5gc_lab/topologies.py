"""The topologies that come with the lab.

Path k is subnet k of either side: client NIC k, VIP k, endpoint NIC k, so that routes keep each path apart.
The mixed one uses documentation addresses: Linux ignores a listed address of narrower scope than the packet's
source.
"""

from .errors import LabTopologyError
from .topology import Host, Kind, Side, Subnet, Topology

CLIENT_SIDE = ("client1", "client2")
ENDPOINT_SIDE = ("endpoint1", "endpoint2")


def _subnets(
    clients: tuple[tuple[str, ...], ...],
    endpoints: tuple[tuple[str, ...], ...],
    vips: tuple[tuple[str, ...], ...],
) -> tuple[Subnet, ...]:
    """Both sides of path 1 and path 2 from their networks."""
    made = []
    for name, own, other, vip in zip(CLIENT_SIDE, clients, endpoints, vips, strict=True):
        made.append(Subnet(name=name, side=Side.CLIENT, networks=own, via=other + vip))
    for name, own, other, vip in zip(ENDPOINT_SIDE, endpoints, clients, vips, strict=True):
        made.append(Subnet(name=name, side=Side.ENDPOINT, networks=own, via=other + vip))
    return tuple(made)


_V4 = _subnets(
    (("10.1.0.0/24",), ("10.2.0.0/24",)),
    (("10.11.0.0/24",), ("10.12.0.0/24",)),
    (("10.100.0.0/24",), ("10.101.0.0/24",)),
)
_V6 = _subnets(
    (("fd00:1::/64",), ("fd00:2::/64",)),
    (("fd00:11::/64",), ("fd00:12::/64",)),
    (("fd00:100::/64",), ("fd00:101::/64",)),
)
_MIXED = _subnets(
    (("192.0.2.0/26", "2001:db8:1::/64"), ("192.0.2.64/26", "2001:db8:2::/64")),
    (("198.51.100.0/26", "2001:db8:11::/64"), ("198.51.100.64/26", "2001:db8:12::/64")),
    (("203.0.113.0/26", "2001:db8:100::/64"), ("203.0.113.64/26", "2001:db8:101::/64")),
)
_VIPS_V4 = ("10.100.0.1", "10.101.0.1")
_VIPS_V6 = ("fd00:100::1", "fd00:101::1")
_VIPS_MIXED = ("203.0.113.1", "2001:db8:100::1", "203.0.113.65", "2001:db8:101::1")

_PAIR = (
    Host(name="gnb1", number=2, subnets=CLIENT_SIDE),
    Host(name="amf1", number=2, subnets=ENDPOINT_SIDE),
)
_BYSTANDERS = (
    Host(name="stranger", number=66, subnets=(CLIENT_SIDE[0],), kind=Kind.PLAIN),
    Host(name="sink", number=99, subnets=(ENDPOINT_SIDE[0],), kind=Kind.PLAIN),
)
_CORE = (
    Host(name="gnb1", number=2, subnets=CLIENT_SIDE),
    Host(name="gnb2", number=3, subnets=CLIENT_SIDE),
    Host(name="amf1", number=2, subnets=ENDPOINT_SIDE),
    Host(name="amf2", number=3, subnets=ENDPOINT_SIDE),
    Host(name="amf3", number=4, subnets=ENDPOINT_SIDE, kind=Kind.OWN),
)

TOPOLOGIES = {
    made.name: made
    for made in (
        Topology(name="small", subnets=_V4, hosts=_PAIR, vips=_VIPS_V4),
        Topology(name="small6", subnets=_V6, hosts=_PAIR, vips=_VIPS_V6),
        Topology(name="mixed", subnets=_MIXED, hosts=_PAIR, vips=_VIPS_MIXED),
        Topology(name="core", subnets=_V4, hosts=_CORE + _BYSTANDERS, vips=_VIPS_V4),
    )
}


def topology(name: str) -> Topology:
    """The topology of that name; LabTopologyError names those there are."""
    try:
        return TOPOLOGIES[name]
    except KeyError:
        raise LabTopologyError(f"topology: {name!r} is none of {sorted(TOPOLOGIES)}") from None
