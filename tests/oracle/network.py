"""The namespace that the datapath runs in, and what the model knows of it: next hops, MTUs, neighbours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from tests.datapath.conftest import namespace, run

SUBNETS = ("10.1.0", "10.2.0", "10.11.0", "10.12.0", "10.3.0")
SMALL_LINK, SMALL_MTU, MTU = 4, 1280, 1500
HOSTS = range(2, 40)  # permanent neighbours; the others of a subnet are unknown
GATEWAY, BEHIND = "10.1.0.9", "10.50.0.0/16"


@dataclass(frozen=True, slots=True)
class NextHop:
    """How a packet leaves; no addresses: the neighbour is unknown."""

    macs: bytes
    mtu: int


def mac(link: int, host: int) -> str:
    """A neighbour's, and for host 1 our own."""
    return f"02:00:00:00:{link:02x}:{host:02x}"


def _commands() -> Iterator[str]:
    yield "link set lo up"
    for i, subnet in enumerate(SUBNETS):
        yield f"link add v{i} address {mac(i, 1)} type veth peer name p{i}"
        yield f"link set v{i} mtu {SMALL_MTU if i == SMALL_LINK else MTU} up"
        yield f"link set p{i} up"
        yield f"addr add {subnet}.1/24 dev v{i}"
        yield f"addr add fd00:{i}::1/64 dev v{i} nodad"
        for host in HOSTS:
            for address in (f"{subnet}.{host}", f"fd00:{i}::{host:x}"):
                yield f"neigh add {address} lladdr {mac(i, host)} dev v{i} nud permanent"
    yield f"route add {BEHIND} via {GATEWAY}"


@contextmanager
def network() -> Iterator[None]:
    """The namespace, entered."""
    with namespace():
        run("sysctl", "-qw", "net.ipv4.conf.all.forwarding=1", "net.ipv6.conf.all.forwarding=1")
        run("sysctl", "-qw", "net.ipv6.conf.default.accept_ra=0")
        for command in _commands():
            run("ip", *command.split())
        yield


def next_hop(to: bytes) -> NextHop | None:
    """Where a packet to this address goes; None: there is no route."""
    text = str(ip_address(to))
    if text.startswith(BEHIND.removesuffix("0.0/16")):
        text = GATEWAY
    for i, subnet in enumerate(SUBNETS):
        host = _host(text, subnet, i)
        if host in ({1, 255} if len(to) == 4 else {0, 1}):
            return None  # ourselves, everybody, any router
        if host is not None:
            known = host in HOSTS
            macs = bytes.fromhex((mac(i, host) + mac(i, 1)).replace(":", "")) if known else b""
            return NextHop(macs, SMALL_MTU if i == SMALL_LINK else MTU)
    return None


def _host(text: str, subnet: str, link: int) -> int | None:
    if text.startswith(subnet + "."):
        return int(text.rpartition(".")[2])
    prefix = f"fd00:{link}::" if link else "fd00::"
    if text.startswith(prefix):
        rest = text.removeprefix(prefix)
        return int(rest, 16) if rest and ":" not in rest and len(rest) < 3 else 0xFFFF
    return None
