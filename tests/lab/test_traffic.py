"""What associations carry, and several of them at one endpoint."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest
from free5gc_lab.echo import WHOLE, dial, serve
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach
from lb.model import Mode
from protocols import sctp
from tests.lab.balancing import BOTH, balancer, n2
from tests.lab.wire import cables

pytestmark = [pytest.mark.root, pytest.mark.lab]
ECT0, CE = 2, 3  # RFC 3168 §5
BIG = ("--size", 60_000, "--streams", 64, "--count", 64, "--window", 2)
LOADS = {
    "large": BIG,
    "large-unordered": (*BIG, "--unordered"),
    "bundled": ("--size", 24, "--streams", 64, "--count", 5000, "--window", 500),
    "partially-reliable": ("--ttl", 5000, "--count", 500),
}


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("load", LOADS)
def test_loads_arrive_whole(lab_of: Callable[[str], Lab], load: str, attach: Attach) -> None:
    """60,000 bytes in fragments, 64 streams, unordered, bundled, with a lifetime."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf, "--streams", 64)
    with balancer(lab, attach) as lb:
        lb.apply(n2(Mode.FULLNAT, vips, amf.addresses))
        client = dial(gnb, vips[:1], *LOADS[load])
        report = client.expect("done", timeout_s=30)
        assert report.items() >= WHOLE.items(), lb.drops()
        assert client.wait().status == 0


@pytest.mark.parametrize("attach", BOTH)
def test_lost_packets_are_sent_again_or_given_up_as_asked(
    lab_of: Callable[[str], Lab], attach: Attach
) -> None:
    """One packet in ten is lost: reliable messages all arrive, those with a lifetime are skipped by FORWARD TSN."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf, "--streams", 64)
    with balancer(lab, attach) as lb, lossy(lab, "loss", "10%"), cables(lab, "amf1") as wire:
        lb.apply(n2(Mode.FULLNAT, vips, amf.addresses))
        reliable = dial(gnb, vips[:1], "--streams", 64, "--size", 3000, "--count", 300)
        short = dial(gnb, vips[:1], "--ttl", 20, "--interval", 2, "--count", 500, "--patience", 2)
        report = reliable.expect("done", timeout_s=60)
        assert report.items() >= (WHOLE | {"delivered": 300}).items(), lb.drops()
        report = short.expect("done", timeout_s=60)
        assert report.items() >= {"damaged": 0, "duplicates": 0, "waiting": 0}.items()
        assert 0 < int(str(report["lost"])) < 250
        assert {reliable.wait().status, short.wait().status} == {0}
        assert lb.drops() == {}
    assert wire.packets(sctp.ForwardTsn, towards_host=True)


@contextmanager
def lossy(lab: Lab, *rules: str) -> Iterator[None]:
    """netem on what the client sends."""
    for nic in (0, 1):
        lab.faults.netem("gnb1", nic, *rules)
    try:
        yield
    finally:
        for nic in (0, 1):
            lab.faults.netem("gnb1", nic)


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT])
def test_congestion_that_a_router_marks_is_echoed(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """RFC 3168, RFC 9260 Appendix A: ECT and CE pass us unchanged, the endpoint answers ECNE, the client CWR."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    with (
        balancer(lab, attach) as lb,
        lossy(lab, "loss", "10%", "ecn"),
        cables(lab, "gnb1") as near,
        cables(lab, "amf1") as far,
    ):
        lb.apply(n2(mode, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--size", 1200, "--interval", 2, "--count", 400)
        assert client.expect("done", timeout_s=30).items() >= (WHOLE | {"delivered": 400}).items()
        assert client.wait().status == 0
        assert lb.drops() == {}
    sides = [
        [w.packets(towards_host=to) for w in pair] for to, *pair in ((True, far, near), (False, near, far))
    ]
    (at_amf, at_gnb), (from_gnb, from_amf) = sides
    assert Counter(one.ecn for one in at_amf) == Counter(one.ecn for one in from_gnb)
    assert Counter(one.ecn for one in at_gnb) == Counter(one.ecn for one in from_amf)
    assert {CE, ECT0} <= {one.ecn for one in at_amf}
    assert sum(one.has(sctp.Ecne) for one in at_gnb) == sum(one.has(sctp.Ecne) for one in from_amf) > 0
    assert sum(one.has(sctp.Cwr) for one in at_amf) == sum(one.has(sctp.Cwr) for one in from_gnb) > 0


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_two_clients_of_one_port_at_one_endpoint(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """Every gNB uses port 38412: the endpoint tells them apart by the ports that we gave them."""
    lab = lab_of("core")
    amf, vips = lab.host("amf1"), lab.topology.vips
    server = serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses))
        words = ("--port", 38412, "--count", 200, "--stay")
        clients = [dial(lab.host(name), vips[:1], *words) for name in ("gnb1", "gnb2")]
        for client in clients:
            assert client.expect("done").items() >= (WHOLE | {"delivered": 200}).items(), lb.drops()
        assert len({row.our_port for row in lb.rows()}) == 2
        assert {row.client_port for row in lb.rows()} == {38412}
        for client in clients:
            client.tell("shutdown")
            assert client.wait().status == 0
        server.pump()


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_two_services_share_a_pool(lab_of: Callable[[str], Lab], mode: Mode, attach: Attach) -> None:
    """The same client port through two VIPs to one endpoint: two associations."""
    lab = lab_of("core")
    gnb, gnb2, amf, vips = lab.host("gnb1"), lab.host("gnb2"), lab.host("amf1"), lab.topology.vips
    serve(amf, binds=amf.addresses[:1])
    policy = n2(mode, vips[:1], amf.addresses[:1])
    second = replace(policy.services["n2"], name="n2b", vips=(ip_address(vips[1]),))
    with balancer(lab, attach) as lb:
        lb.apply(replace(policy, services={**policy.services, "n2b": second}))
        words = ("--port", 38412, "--count", 200, "--stay")
        clients = [
            dial(gnb, vips[:1], *words, binds=gnb.addresses[:1]),
            dial(gnb2, vips[1:], *words),
        ]
        for client in clients:
            assert client.expect("done").items() >= (WHOLE | {"delivered": 200}).items(), lb.drops()
        assert {row.service for row in lb.rows()} == {0, 1}
        for client in clients:
            client.tell("shutdown")
            assert client.wait().status == 0
