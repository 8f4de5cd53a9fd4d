"""What associations carry, and several of them at one endpoint."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from free5gc_lab.echo import WHOLE, dial, serve
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach
from lb.model import Mode
from tests.lab.balancing import BOTH, balancer, n2

pytestmark = [pytest.mark.root, pytest.mark.lab]
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


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize(
    ("name", "mode"), [("small6", Mode.FULLNAT), ("small6", Mode.DNAT), ("mixed", Mode.FULLNAT)]
)
def test_ipv6_and_mixed_lists(lab_of: Callable[[str], Lab], name: str, mode: Mode, attach: Attach) -> None:
    """All addresses are advertised and confirmed, whatever their family."""
    lab = lab_of(name)
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--count", 300, "--stay")
        peers = client.expect("up")["peers"]
        assert isinstance(peers, list)
        assert sorted(peers) == sorted(vips)
        assert client.expect("done").items() >= (WHOLE | {"delivered": 300}).items(), lb.drops()
