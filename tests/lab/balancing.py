"""The datapath on a lab's balancer, and what it shows: shared by the tests that need no daemon."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach, Hooks, inside
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.program import Programmer
from lb.datapath.read import AssociationRow, Reader
from lb.model import Endpoint, Mode, Paths, Pick, Policy, Pool, Protocol, Service, Timeouts

BOTH = [Attach.XDP, Attach.TC]
SMALL = Sizes(conversations=1024, handshakes=1024, services=64, endpoints=64)
FACING = {"10.11.0": "10.11.0.1", "10.12.0": "10.12.0.1"}


class Balancer:
    """The datapath in the lab's balancer, and what it counted."""

    def __init__(self, datapath: Datapath) -> None:
        self.datapath = datapath
        self.programmer = Programmer(datapath)

    def apply(self, policy: Policy, dead: frozenset[str] = frozenset()) -> None:
        """Program a policy; endpoint addresses in ``dead`` do not answer."""
        self.programmer.apply(
            policy,
            lambda _, address: str(address) not in dead,
            lambda address: ip_address(FACING.get(str(address).rpartition(".")[0], "10.11.0.1")),
        )

    def drops(self) -> dict[str, int]:
        """Packets counted by reason, zeros left out."""
        counter = self.datapath.btf.layout("counter")
        found = {}
        for name, number in self.datapath.btf.enum("reason").items():
            if name != "REASON_COUNT":
                counted = self.datapath.maps["drops"].per_cpu(number)
                found[name] = sum(counter.number(raw, "packets") for raw in counted)
        return {name: packets for name, packets in found.items() if packets}

    def rows(self) -> list[AssociationRow]:
        """Every association, closing ones too."""
        return list(Reader(self.datapath).associations())

    def sweep(self) -> int:
        """End what has been silent for its timeout; how many that was."""
        record = self.datapath.call("sweep", conversation=0, conversations=1024, handshake=0, handshakes=1024)
        return self.datapath.btf.layout("sweep").number(record, "ended")


@contextmanager
def balancer(lab: Lab, attach: Attach) -> Iterator[Balancer]:
    """The datapath on every NIC of the lab's balancer."""
    lab.forwarding(on=True)
    datapath = Datapath(sizes=SMALL)
    hooks = Hooks(datapath.programs["telco_xdp"], datapath.programs["telco_tc"])
    try:
        with inside(lab.balancer):
            for subnet in lab.topology.subnets:
                hooks.attach(subnet.name, attach)
        yield Balancer(datapath)
    finally:
        hooks.detach()
        datapath.close()


def n2(
    mode: Mode,
    vips: tuple[str, ...],
    *servers: tuple[str, ...],
    paths: Paths = Paths.MIRROR,
    pick: Pick = Pick.ROUND_ROBIN,
    server_port: int = 38412,
    timeouts: Timeouts | None = None,
) -> Policy:
    """One service on the N2 port over these servers."""
    endpoints = tuple(
        Endpoint(name=f"amf{i}", addresses=tuple(map(ip_address, addresses)), port=server_port)
        for i, addresses in enumerate(servers, 1)
    )
    service = Service(
        name="n2",
        vips=tuple(map(ip_address, vips)),
        protocol=Protocol.SCTP,
        port=38412,
        last_port=38412,
        mode=mode,
        pick=pick,
        pool="amf",
        timeouts=timeouts or Timeouts(),
    )
    pool = Pool(name="amf", endpoints=endpoints, paths=paths)
    return Policy(pools={"amf": pool}, services={"n2": service})
