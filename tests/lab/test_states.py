"""Restart in every state of an association, and handshakes with two answers: the endpoint's kernel is the judge."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import pytest
from free5gc_lab.echo import serve
from free5gc_lab.lab import Lab
from free5gc_lab.remote import Program

from lb.datapath.attach import Attach
from lb.model import Mode
from protocols import sctp
from tests.lab.balancing import BOTH, balancer, n2
from tests.lab.crafted import Crafted
from tests.lab.wire import Cables, cables

pytestmark = [pytest.mark.root, pytest.mark.lab]
MODES = [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT]
STATES = [
    "cookie-wait",
    "cookie-echoed",
    "established",
    "shutdown-sent",
    "shutdown-received",
    "shutdown-ack-sent",
]
LISTED = ("10.2.0.66", "10.3.0.66")


def bring(peer: Crafted, server: Program, state: str) -> None:
    """The client's side of the association into a state (RFC 9260 §4)."""
    peer.init()
    echo = peer.take(peer.expect(sctp.InitAck))
    if state == "cookie-wait":
        return
    peer.send(echo)
    server.expect("accepted")
    if state == "cookie-echoed":
        return
    peer.expect(sctp.CookieAck)
    peer.echo()
    if state == "shutdown-sent":
        peer.send(sctp.Shutdown(tsn=peer.heard))
        peer.expect(sctp.ShutdownAck)
    elif state.startswith("shutdown"):
        server.tell("shutdown")
        peer.expect(sctp.Shutdown)
        if state == "shutdown-ack-sent":
            peer.send(sctp.ShutdownAck())
            server.expect("closed")


def answered(peer: Crafted) -> sctp.InitAck:
    """The INIT ACK for an INIT that was sent, repeated as T1-init has it (RFC 9260 §5.1).

    An INIT that meets the endpoint's kernel while SHUTDOWN COMPLETE waits for its socket is the dead one's.
    """
    for _ in range(3):
        try:
            return peer.expect(sctp.InitAck, timeout_s=1.0)
        except AssertionError:
            peer.init()
    return peer.expect(sctp.InitAck)


def restart(old: Crafted, new: Crafted, server: Program, state: str) -> None:
    """What RFC 9260 has the endpoint do with an INIT of the same ends in that state."""
    new.init()
    if state == "shutdown-sent":  # §9.2: the endpoint is in SHUTDOWN-ACK-SENT, and says so again
        old.expect(sctp.ShutdownAck)
        old.send(sctp.ShutdownComplete())
        server.expect("closed")
        new.init()
    new.send(new.take(answered(new)))
    new.expect(sctp.CookieAck)
    if state == "shutdown-received":  # §5.2.4 action A: the endpoint's user wants to end, and does
        new.expect(sctp.Shutdown)
        new.send(sctp.ShutdownAck())
        new.expect(sctp.ShutdownComplete)
    else:
        new.echo()
        new.shutdown()
    server.expect("closed")


def told(wire: Cables) -> Iterator[str]:
    """Every address that the endpoint was told of: in headers and in INITs."""
    for one in wire.packets(towards_host=True):
        yield one.source
        for chunk in one.packet.chunks:
            if isinstance(chunk, sctp.Init):
                yield from (str(p.address) for p in chunk.parameters if isinstance(p, sctp.Address4))


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", MODES)
def test_restart_in_every_state_is_rewritten(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """RFC 9260 §5.2: the endpoint takes the INIT for what it is, and never learns a client's own address."""
    lab = lab_of("core")
    vips, amf = lab.topology.vips, lab.host("amf1")
    with balancer(lab, attach) as lb, ExitStack() as stack:
        lb.apply(n2(mode, vips, amf.addresses))
        for number, state in enumerate(STATES):
            server = serve(amf)
            wire = stack.enter_context(cables(lab, "amf1"))
            make = partial(Crafted, lab, vips[0], port=38_000 + number, listed=LISTED)
            old = stack.enter_context(make(tag=0x1000 + number))
            bring(old, server, state)
            new = stack.enter_context(make(tag=0x2000 + number))
            restart(old, new, server, state)
            seen = set(told(wire))
            own = {old.address, *LISTED}
            assert not seen & own if mode is not Mode.DNAT else seen == own, (state, seen)
            server.kill()


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("used", [0, 1])
def test_either_of_two_init_acks_leads_to_an_association(
    lab_of: Callable[[str], Lab], used: int, mode: Mode, attach: Attach
) -> None:
    """An INIT that is sent again draws another tag of the endpoint; the client uses the first answer or the second."""
    lab = lab_of("core")
    vips, amf = lab.topology.vips, lab.host("amf1")
    serve(amf)
    with balancer(lab, attach) as lb, Crafted(lab, vips[0], tag=0x77, listed=LISTED) as peer:
        lb.apply(n2(mode, vips, amf.addresses))
        answers = []
        for _ in range(2):
            peer.init()
            answers.append(peer.expect(sctp.InitAck))
        assert answers[0].tag != answers[1].tag
        for answer in answers:
            listed = {p.address for p in answer.parameters if isinstance(p, sctp.Address4)}
            assert listed == {ip_address(vip) for vip in vips}
        peer.send(peer.take(answers[used]))
        peer.expect(sctp.CookieAck)
        peer.echo()
        (row,) = lb.rows()
        assert row.server_tag == answers[used].tag
        peer.shutdown()
        assert lb.drops() == {}


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", MODES)
def test_two_gnbs_with_the_same_port_and_the_same_tag(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """At one endpoint, through one service and through two that share the pool: four associations, all different."""
    lab = lab_of("core")
    vips, amf, stranger = lab.topology.vips, lab.host("amf1"), lab.plain("stranger")
    serve(amf, binds=amf.addresses[:1])
    one = n2(mode, vips[:1], amf.addresses[:1])
    two = n2(mode, vips[1:], amf.addresses[:1]).services["n2"]
    lab_addresses = [f"10.1.0.{number}" for number in range(66, 70)]
    for address in lab_addresses[1:]:
        stranger.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    try:
        with balancer(lab, attach) as lb, ExitStack() as stack:
            one.services["n2b"] = replace(two, name="n2b")
            lb.apply(one)
            peers = [
                stack.enter_context(Crafted(lab, vips[number // 2], tag=0x5A5A5A5A, address=address))
                for number, address in enumerate(lab_addresses)
            ]
            for peer in peers:
                peer.dial()
            for turn in range(20):
                for number, peer in enumerate(peers):
                    peer.echo(f"{turn} of {number}".encode())
            rows = lb.rows()
            assert {row.client_port for row in rows} == {38412}
            assert {row.client_tag for row in rows} == {0x5A5A5A5A}
            assert {row.service for row in rows} == {0, 1}
            assert len({row.our_port for row in rows}) == (1 if mode is Mode.DNAT else 4)
            for peer in peers:
                peer.shutdown()
            assert lb.drops() == {}
    finally:
        for address in lab_addresses[1:]:
            stranger.run("ip", "addr", "del", f"{address}/24", "dev", "eth0")
