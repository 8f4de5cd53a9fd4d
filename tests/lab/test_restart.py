"""Beginnings that go wrong: a second INIT ACK, a client that died unheard, an endpoint that rebooted."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from free5gc_lab.echo import WHOLE, dial, serve, wait_for_state
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach
from lb.model import Mode
from tests.lab.balancing import BOTH, balancer, n2

pytestmark = [pytest.mark.root, pytest.mark.lab]
MODES = [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT]


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", MODES)
def test_two_init_acks_of_one_handshake(lab_of: Callable[[str], Lab], mode: Mode, attach: Attach) -> None:
    """The answers take longer than the client's patience: it repeats its INIT, and uses the first answer."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb, lab.capture("gnb1", 0) as wire:
        lb.apply(n2(mode, vips, amf.addresses))
        dial(gnb, vips[:1], "--count", 1).wait()  # so that no neighbour has to be asked late, too
        before = len(wire.frames)
        lab.faults.netem("amf1", 0, "delay", "280ms")  # RTO.Initial is 200 ms here
        try:
            client = dial(gnb, vips[:1], "--count", 5)
            report = client.expect("done", timeout_s=20)
            client.wait()
        finally:
            lab.faults.netem("amf1", 0)
        assert report.items() >= (WHOLE | {"delivered": 5}).items(), lb.drops()
    late = [frame.sctp for frame in wire.frames[before:] if frame.towards_host]
    assert [packet[12] for packet in late if packet].count(2) > 1


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", MODES)
def test_client_that_died_unheard_restarts_its_association(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """From the same port: the endpoint's kernel sees a restart (RFC 9260 §5.2.2), and never the client's addresses."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    server = serve(amf)
    with balancer(lab, attach) as lb, lab.capture("amf1", 0) as one, lab.capture("amf1", 1) as two:
        lb.apply(n2(mode, vips, amf.addresses))
        old = dial(gnb, vips[:1], "--port", 38412, "--interval", 5)
        old.expect("up")
        wait_for_state(old, vips[1], "ACTIVE")  # an address that has not spoken is no proof of who restarts
        words = ("--bind", ",".join(gnb.addresses), "--peer", ",".join(vips), "--port", 38412, "--count", 50)
        new = lab.faults.relive("gnb1", old, "echo_client", *words)
        assert new.expect("done").items() >= (WHOLE | {"delivered": 50}).items(), lb.drops()
        server.expect("restarted")
        assert new.wait().status == 0
    if mode is Mode.DNAT:
        return
    own = [ip_address(address).packed for address in gnb.addresses]
    for wire in (one, two):
        seen = wire.packets(towards_host=True)
        assert not {source for source, _, _ in seen} & set(gnb.addresses)
        inits = [packet for _, _, packet in seen if packet[12] == 1]
        assert not [packet for packet in inits if any(address in packet for address in own)]


@pytest.mark.parametrize("attach", BOTH)
def test_endpoint_that_rebooted_is_dialled_anew(lab_of: Callable[[str], Lab], attach: Attach) -> None:
    """Its kernel knows nothing: the client hears an ABORT, and its next association comes up on the same ports."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf3"), lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(Mode.FULLNAT, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--port", 38412, "--count", 5, "--stay")
        client.expect("done")
        lab.faults.reboot("amf3")
        serve(amf)
        client.expect("closed", timeout_s=10.0)
        again = dial(gnb, vips[:1], "--port", 38412, "--count", 50)
        assert again.expect("done").items() >= (WHOLE | {"delivered": 50}).items(), lb.drops()
        assert again.wait().status == 0
