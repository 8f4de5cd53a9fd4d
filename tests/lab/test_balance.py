"""Real kernel SCTP through the balancer: every mode, every number of homes, both hooks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach, Hooks, inside
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.program import Programmer
from lb.model import Endpoint, Mode, Paths, Pick, Policy, Pool, Protocol, Service

pytestmark = [pytest.mark.root, pytest.mark.lab]
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
) -> Policy:
    """One service on the N2 port over these servers."""
    endpoints = tuple(
        Endpoint(name=f"amf{i}", addresses=tuple(map(ip_address, addresses)), port=38412)
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
    )
    pool = Pool(name="amf", endpoints=endpoints, paths=paths)
    return Policy(pools={"amf": pool}, services={"n2": service})


@pytest.mark.parametrize("attach", [Attach.XDP, Attach.TC])
@pytest.mark.parametrize("vips", [1, 2])
@pytest.mark.parametrize(("client_homes", "server_homes"), [(1, 1), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT])
def test_thousand_echoes_intact_and_every_path_active(
    lab_of: Callable[[str], Lab], mode: Mode, client_homes: int, server_homes: int, vips: int, attach: Attach
) -> None:
    """Whatever the homes of each side, every VIP that is advertised answers."""
    lab = lab_of("core")
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    serve(amf, binds=amf.addresses[:server_homes])
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, lab.topology.vips[:vips], amf.addresses[:server_homes]))
        binds = gnb.addresses[:client_homes]
        client = dial(gnb, lab.topology.vips[:1], "--count", 1000, "--stay", binds=binds)
        advertised = client.expect("up")["peers"]
        assert advertised == list(lab.topology.vips[:vips])
        for vip in advertised:
            wait_for_state(client, vip, "ACTIVE")
        report = client.expect("done", timeout_s=30)
        client.tell("shutdown")
        assert client.wait().status == 0
        assert report.items() >= (WHOLE | {"delivered": 1000}).items(), lb.drops()


@pytest.mark.parametrize("attach", [Attach.XDP, Attach.TC])
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
@pytest.mark.parametrize("side", ["gnb1", "amf1"])
def test_cut_cable_moves_traffic_to_the_other_path_and_back(
    lab_of: Callable[[str], Lab], side: str, mode: Mode, attach: Attach
) -> None:
    """No message is lost, and the path that was not cut never suffers."""
    lab = lab_of("core")
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    vips = lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.cut(side, 0)
        wait_for_state(client, vips[0], "INACTIVE")
        lab.faults.mend(side, 0)
        wait_for_state(client, vips[0], "ACTIVE")
        report = finish(client)
        assert report.items() >= WHOLE.items(), lb.drops()
