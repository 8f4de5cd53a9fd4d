"""Cables: both sides at once on different paths, one path only for the endpoint, an interface with a smaller MTU."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, paths, serve, wait_for_state
from free5gc_lab.lab import Lab
from free5gc_lab.remote import Program

from lb.datapath.attach import Attach
from lb.model import Mode, Paths
from protocols import sctp
from tests.lab.balancing import BOTH, balancer, n2
from tests.lab.test_errors import NARROW, endpoint_mtus, no_source_routing
from tests.lab.wire import cables

ETHERNET = 14
pytestmark = [pytest.mark.root, pytest.mark.lab]


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_cut_cables_hurt_their_own_path_alone(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """Each cable of either side once: the other path is used and alive; mended, it is as before."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    server = serve(amf)
    with balancer(lab, attach) as lb, cables(lab, "gnb1", "amf1") as wire:
        lb.apply(n2(mode, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        for side in ("gnb1", "amf1"):
            for nic in (0, 1):
                lab.faults.cut(side, nic)
                wait_for_state(client, vips[nic], "INACTIVE")
                # one late timer makes it PF, and Linux asks no path by heartbeat while data flows on it
                assert paths(client)[vips[1 - nic]].state != "INACTIVE"
                if side == "amf1":
                    wait_for_peer(server, len(vips) - 1)
                lab.faults.mend(side, nic)
                wait_for_state(client, vips[nic], "ACTIVE")
                wait_for_peer(server, len(vips))
        report = finish(client)
        assert report.items() >= WHOLE.items(), lb.drops()
        print(f"gap {report['max_gap_ms']:.0f} ms")  # noqa: T201  # what the scenario is asked to show
    assert not wire.packets(sctp.Abort, towards_host=True)


def wait_for_peer(server: Program, active: int) -> None:
    """Until so many of the addresses that the endpoint knows of the client answer."""
    until = time.monotonic() + 5
    while True:
        found = server.ask("paths", "paths")["associations"]
        assert isinstance(found, dict)
        states = [path["state"] for one in found.values() for path in one.values()]
        if states.count("ACTIVE") == active:
            return
        assert time.monotonic() < until, states


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_both_sides_cut_at_once_on_different_paths(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """The client has only its second path, the endpoint only its first: we cross them over; nothing is lost."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    dead = frozenset({amf.addresses[1]})
    with balancer(lab, attach) as lb:
        policy = n2(mode, vips, amf.addresses)
        lb.apply(policy)
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.cut("gnb1", 0)
        lab.faults.cut("amf1", 1)
        lb.apply(policy, dead)  # as a probe would find
        wait_for_state(client, vips[0], "INACTIVE")
        assert paths(client)[vips[1]].state != "INACTIVE"
        lab.faults.mend("gnb1", 0)
        lab.faults.mend("amf1", 1)
        lb.apply(policy)
        wait_for_state(client, vips[0], "ACTIVE")
        report = finish(client)
        assert report.items() >= WHOLE.items(), lb.drops()
        print(f"gap {report['max_gap_ms']:.0f} ms")  # noqa: T201  # what the scenario is asked to show


@pytest.mark.parametrize("attach", BOTH)
def test_dnat_survives_a_cut_that_the_peers_own_routes_survive(
    lab_of: Callable[[str], Lab], attach: Attach
) -> None:
    """Each path is the client's own: one of them is cut on both sides."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(Mode.DNAT, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.cut("gnb1", 0)
        lab.faults.cut("amf1", 0)
        wait_for_state(client, vips[0], "INACTIVE")
        lab.faults.mend("gnb1", 0)
        lab.faults.mend("amf1", 0)
        wait_for_state(client, vips[0], "ACTIVE")
        assert finish(client).items() >= WHOLE.items(), lb.drops()


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("homes", [1, 2])
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_single_path_pools_never_show_a_second_source(
    lab_of: Callable[[str], Lab], mode: Mode, homes: int, attach: Attach
) -> None:
    """The client is cut off its first path meanwhile; the endpoint sees one address, in headers and in INIT."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf, binds=amf.addresses[:homes])
    with balancer(lab, attach) as lb, lab.capture("amf1", 0) as first, lab.capture("amf1", 1) as second:
        lb.apply(n2(mode, vips, amf.addresses[:homes], paths=Paths.SINGLE))
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.cut("gnb1", 0)
        wait_for_state(client, vips[0], "INACTIVE")
        lab.faults.mend("gnb1", 0)
        wait_for_state(client, vips[0], "ACTIVE")
        assert finish(client).items() >= WHOLE.items(), lb.drops()
    seen = first.packets(towards_host=True)
    assert len({source for source, _, _ in seen}) == 1
    assert second.packets(towards_host=True) == []
    ((source, _, init), *_) = [found for found in seen if found[2][12] == 1]
    (chunk,) = sctp.decode(init).chunks
    assert isinstance(chunk, sctp.Init)
    listed = [one.address for one in chunk.parameters if isinstance(one, sctp.Address4 | sctp.Address6)]
    assert {str(address) for address in listed} <= {source}


@contextmanager
def narrow_cable(lab: Lab, host: str, subnet: int) -> Iterator[None]:
    """1,000 bytes on one cable, from end to end."""
    lab.faults.mtu(host, 0, NARROW)
    lab.faults.mtu("lb", subnet, NARROW)
    try:
        yield
    finally:
        lab.faults.mtu("lb", subnet, 1500)
        lab.faults.mtu(host, 0, 1500)


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT])
@pytest.mark.parametrize("side", ["endpoint", "client"])
def test_path_mtu_discovery_works_through_us(
    lab_of: Callable[[str], Lab], side: str, mode: Mode, attach: Attach
) -> None:
    """The peer behind the other cable learns of the narrow one from our ICMP: messages arrive in smaller pieces."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    narrow, subnet = ("amf1", 2) if side == "endpoint" else ("gnb1", 0)
    server = serve(amf, binds=amf.addresses[:1])
    with (
        balancer(lab, attach) as lb,
        no_source_routing(lab, "gnb1", "amf1"),
        narrow_cable(lab, narrow, subnet),
        lab.capture(narrow) as wire,
    ):
        lb.apply(n2(mode, vips[:1], amf.addresses[:1]))
        client = dial(gnb, vips[:1], "--size", 5000, "--count", 20, "--stay", binds=gnb.addresses[:1])
        assert client.expect("done", timeout_s=30).items() >= (WHOLE | {"delivered": 20}).items(), lb.drops()
        assert lb.drops().keys() == {"REASON_TOO_BIG"}
        learnt = {paths(client)[vips[0]].mtu} if side == "endpoint" else endpoint_mtus(server)
        assert learnt == {NARROW}
        client.tell("shutdown")
        assert client.wait().status == 0
    sizes = [len(frame.data) - ETHERNET for frame in wire.frames if frame.towards_host and frame.sctp]
    assert NARROW - 40 < max(sizes) <= NARROW


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT])
def test_first_init_arrives_with_empty_neighbour_tables(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """Nobody knows anybody's hardware address: the kernel resolves while the packet waits, and no INIT is repeated."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses))
        lab.faults.flush_neighbours()
        with lab.capture("gnb1", 0) as wire:
            client = dial(gnb, vips[:1], "--count", 10)
            assert client.expect("done").items() >= (WHOLE | {"delivered": 10}).items(), lb.drops()
            client.wait()
    sent = [packet[12] for _, _, packet in wire.packets(towards_host=False)]
    assert sent.count(1) == 1
