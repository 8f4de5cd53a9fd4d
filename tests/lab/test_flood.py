"""A flood of INITs from spoofed sources costs nobody an association, and keeps no newcomer out."""

import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach, inside
from lb.datapath.objects import Sizes
from lb.model import Endpoint, Mode, Policy, Pool
from protocols import sctp
from tests.lab.balancing import BOTH, SMALL, balancer, n2
from tests.lab.crafted import PORT, Crafted
from tests.lab.flood import PORT as FLOODED
from tests.lab.flood import Flood, sink
from tests.lab.wire import Cables, cables

pytestmark = [pytest.mark.root, pytest.mark.lab]
SECONDS = 5.0
LEAST = 200_000  # INITs a second
FEW = Sizes(conversations=64, handshakes=16, services=4, endpoints=4)  # two buckets of eight handshakes


def policy(lab: Lab, server: str) -> Policy:
    """N2 over an AMF, and a service whose only endpoint swallows everything."""
    made = n2(Mode.FULLNAT, lab.topology.vips, lab.topology.addresses("amf1"))
    swallows = Endpoint(name="sink", addresses=(ip_address(server),))
    flooded = replace(made.services["n2"], name="flooded", port=FLOODED, last_port=FLOODED, pool="sink")
    return Policy(
        pools={**made.pools, "sink": Pool(name="sink", endpoints=(swallows,))},
        services={**made.services, "flooded": flooded},
    )


def passed(wire: Cables) -> int:
    """Packets that came out at a host's cables, but for those before there was an association.

    What comes in is what the balancer counted: on the flooded cable itself some packets do not get that far.
    """
    found = wire.packets(towards_host=True, port=40_000)
    return sum(not any(one.has(kind) for kind in (sctp.Init, sctp.InitAck, sctp.CookieEcho)) for one in found)


@pytest.mark.parametrize("attach", BOTH)
def test_init_flood_costs_nobody_an_association(lab_of: Callable[[str], Lab], attach: Attach) -> None:
    """What is established goes in = out and loses nothing; a newcomer needs three INITs at most; memory stays."""
    lab = lab_of("core")
    gnb, gnb2, vips = lab.host("gnb1"), lab.host("gnb2"), lab.topology.vips
    serve(lab.host("amf1"))
    if attach is Attach.TC:
        with inside(lab.balancer):  # a veth without XDP takes transmitted frames only if it polls
            subprocess.run(["ethtool", "-K", "client1", "gro", "on"], check=True)
    with sink(lab) as server, balancer(lab, attach, sizes=SMALL) as lb:
        lb.apply(policy(lab, server))
        memory = lb.memory()
        with cables(lab, "gnb1") as near, cables(lab, "amf1") as far:
            client = dial(gnb, vips[:1], "--port", 40_000, "--interval", 5)
            client.expect("up")
            wait_for_state(client, vips[1], "ACTIVE")
            flood = Flood(lab, vips[0])
            with cables(lab, "gnb2") as wire:
                time.sleep(SECONDS / 2)
                newcomer = dial(gnb2, vips[:1], "--port", 40_001, "--count", 20)
                newcomer.expect("done", timeout_s=20)
                newcomer.wait()
            flood.stop(after_s=SECONDS)
            report = finish(client)
        drops = lb.drops()
        print(f"{flood.rate:,.0f} INITs/s for {flood.seconds:.1f} s, {drops}")  # noqa: T201  # measured effect
        assert report.items() >= WHOLE.items(), drops
        (row,) = (one for one in lb.rows() if one.client_port == 40_000)
        assert row.packets == (passed(far), passed(near))
        inits = wire.packets(sctp.Init, towards_host=False, port=40_001)
        assert 1 <= len(inits) <= 3
        assert drops["REASON_EVICTED"] > 0
        assert lb.memory() == memory
        assert flood.seconds >= SECONDS
        assert flood.rate >= LEAST


@pytest.mark.parametrize("attach", BOTH)
def test_handshakes_that_an_endpoint_has_answered_are_not_evicted(
    lab_of: Callable[[str], Lab], attach: Attach
) -> None:
    """Where all of a bucket's are, the next INIT is refused and counted; who came first completes its handshake."""
    lab = lab_of("core")
    vips, amf = lab.topology.vips, lab.host("amf1")
    serve(amf)
    with balancer(lab, attach, sizes=FEW) as lb, Crafted(lab, vips[0], tag=1, port=50_000) as first:
        lb.apply(n2(Mode.FULLNAT, vips, amf.addresses))
        first.init()
        answer = first.expect(sctp.InitAck)
        with inside(lab.plain("stranger").namespace):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, sctp.PROTOCOL)
        with raw:
            for number in range(1, 65):
                opening = sctp.Init(tag=number << 16 | 1, window=1500)
                raw.sendto(
                    sctp.encode(sctp.Packet(source=number, destination=PORT, tag=0, chunks=(opening,))),
                    (vips[0], 0),
                )
                time.sleep(0.003)  # for the endpoint to answer
        assert lb.drops()["REASON_PENDING_FULL"] >= 64 - 15
        first.send(first.take(answer))
        first.expect(sctp.CookieAck)
        first.echo()
        first.shutdown()
