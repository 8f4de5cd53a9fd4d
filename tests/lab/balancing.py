"""The datapath on a lab's balancer, and what it shows: shared by the tests that need no daemon."""

import atexit
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach, Hooks, inside
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.program import Programmer
from lb.datapath.read import AssociationRow, Reader
from lb.model import Address, Endpoint, Mode, Paths, Pick, Policy, Pool, Protocol, Service, Timeouts

BOTH = [Attach.XDP, Attach.TC]
SMALL = Sizes(conversations=1024, handshakes=1024, services=64, endpoints=64)


class Balancer:
    """The datapath in the lab's balancer, and what it counted."""

    def __init__(self, datapath: Datapath, lab: Lab) -> None:
        self.datapath = datapath
        self.programmer = Programmer(datapath)
        self.gateways = [gateway for subnet in lab.topology.subnets for gateway in subnet.gateways]

    def apply(self, policy: Policy, dead: frozenset[str] = frozenset()) -> None:
        """Program a policy; endpoint addresses in ``dead`` do not answer."""
        self.programmer.apply(policy, lambda _, address: str(address) not in dead, self._facing)

    def _facing(self, server: Address) -> Address | None:
        return next((gateway.ip for gateway in self.gateways if server in gateway.network), None)

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

    def memory(self) -> int:
        """Bytes of kernel memory that the maps hold."""
        held = [Path(f"/proc/self/fdinfo/{one.fd}").read_text() for one in self.datapath.maps.values()]
        return sum(int(line.split()[1]) for text in held for line in text.splitlines() if "memlock" in line)

    def clear(self) -> None:
        """As it was loaded; nothing is attached any more."""
        for row in self.rows():
            self.datapath.call("end", conversation=row.number)
        self.programmer.apply(Policy())
        for name in ("buckets", "handshakes", "index_table"):
            memory = self.datapath.maps[name].memory()
            memory[:] = bytes(len(memory))
        drops = self.datapath.maps["drops"]
        for number in range(drops.info.max_entries):
            drops[number] = bytes(drops.value_bytes)

    def refresh(self) -> None:
        """Forget cached next hops, as the daemon does when routes or neighbours change."""
        memory = self.datapath.maps["control"].memory()
        (generation,) = struct.unpack_from("=I", memory)
        struct.pack_into("=I", memory, 0, generation + 1)


@cache
def _shared() -> Datapath:
    """Verifying the programs costs a second of a CPU: once for all tests that ask for nothing special."""
    made = Datapath(sizes=SMALL)
    atexit.register(made.close)
    return made


@contextmanager
def balancer(lab: Lab, attach: Attach, *, sizes: Sizes | None = None) -> Iterator[Balancer]:
    """The datapath on every NIC of the lab's balancer; one of its own where ``sizes`` are given."""
    lab.forwarding(on=True)
    datapath = Datapath(sizes=sizes) if sizes else _shared()
    hooks = Hooks(datapath.programs["telco_xdp"], datapath.programs["telco_tc"])
    made = Balancer(datapath, lab)
    made.refresh()
    try:
        with inside(lab.balancer):
            for subnet in lab.topology.subnets:
                hooks.attach(subnet.name, attach)
        yield made
    finally:
        with inside(lab.balancer):
            hooks.detach()
        made.clear()
        if sizes:
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
