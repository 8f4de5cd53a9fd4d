"""What is said about associations rather than in them: reflected tags and ICMP errors, in each direction."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import pack

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, paths, serve
from free5gc_lab.lab import Lab
from free5gc_lab.remote import Program
from free5gc_lab.wiring import SOURCE_TABLE

from lb.datapath.attach import Attach, inside
from lb.model import Mode
from protocols import sctp
from tests.datapath.packets import checksum
from tests.lab.balancing import BOTH, balancer, n2
from tests.lab.crafted import PORT, Crafted

pytestmark = [pytest.mark.root, pytest.mark.lab]
MODES = [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT]
NARROW = 1000  # bytes
T = sctp.T_BIT


@contextmanager
def no_source_routing(lab: Lab, *hosts: str) -> Iterator[None]:
    """Hosts that route by destination alone.

    Linux keeps a learnt MTU with the route that it finds for the destination without a source; an SCTP socket then
    asks for the one with its source. Where `ip rule` tells the two apart, SCTP never sees what was learnt.
    """
    rules = [
        (name, f"rule {{}} from {own.ip} lookup {SOURCE_TABLE + nic}")
        for name in hosts
        for nic, interfaces in enumerate(lab.topology.interfaces(name))
        for own in interfaces
    ]
    for name, rule in rules:
        lab.host(name).ip(rule.format("del"))
    try:
        yield
    finally:
        for name, rule in rules:
            lab.host(name).ip(rule.format("add"), "route flush cache")


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("server_port", [PORT, 36412])
@pytest.mark.parametrize("mode", MODES)
def test_reflected_tags_find_their_way_in_each_direction(
    lab_of: Callable[[str], Lab], mode: Mode, server_port: int, attach: Attach
) -> None:
    """RFC 9260 §8.4, §8.5.1: ABORT and SHUTDOWN COMPLETE with the T bit; another gNB has the client's own port."""
    lab = lab_of("core")
    vips, amf = lab.topology.vips, lab.host("amf1")
    server = serve(amf, "--port", server_port, binds=amf.addresses[:1])
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips[:1], amf.addresses[:1], server_port=server_port))
        rival = dial(lab.host("gnb1"), vips[:1], "--port", PORT, "--interval", 5)
        rival.expect("up")
        server.expect("accepted")
        to_endpoint(lab, vips[0], server)
        to_client(lab, vips[0], server)
        assert lb.drops() == {}
        assert finish(rival).items() >= WHOLE.items()
        assert len({row.our_port for row in lb.rows()}) == (1 if mode is Mode.DNAT else 2)


def to_endpoint(lab: Lab, vip: str, server: Program) -> None:
    """The client has forgotten the association, and says so with the tag that it was sent."""
    for tag, farewell in ((0x11, sctp.Abort(flags=T)), (0x12, sctp.ShutdownComplete(flags=T))):
        with Crafted(lab, vip, tag=tag) as peer:
            peer.dial().echo()
            if isinstance(farewell, sctp.ShutdownComplete):
                peer.send(sctp.Shutdown(tsn=peer.heard))
                peer.expect(sctp.ShutdownAck)
            peer.send(farewell, tag=peer.tag)
            reason = str(server.expect("closed")["reason"])
            assert reason.startswith("lost" if isinstance(farewell, sctp.Abort) else "ended"), reason


def to_client(lab: Lab, vip: str, server: Program) -> None:
    """The endpoint's kernel has, and answers what comes late with the tag that came with it."""
    with Crafted(lab, vip, tag=0x13) as peer:
        peer.dial().echo()
        peer.shutdown()
        server.expect("closed")
        peer.send(sctp.ShutdownAck())
        assert peer.expect(sctp.ShutdownComplete, tag=peer.peer_tag).flags == T
        peer.send(sctp.Data(tsn=9, payload=b"late"))
        assert peer.expect(sctp.Abort, tag=peer.peer_tag).flags == T


def needs_fragmentation(quoted: bytes) -> bytes:
    """ICMP destination unreachable, fragmentation needed (RFC 1191 §4), about an IP packet."""
    body = pack(">BBHHH", 3, 4, 0, 0, NARROW) + quoted[:548]
    body += b"\0" * (len(body) % 2)
    return body[:2] + pack(">H", checksum(body)) + body[4:]


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("server_port", [PORT, 36412])
@pytest.mark.parametrize("mode", MODES)
def test_icmp_errors_reach_the_peer_that_they_are_for(
    lab_of: Callable[[str], Lab], mode: Mode, server_port: int, attach: Attach
) -> None:
    """A router on either side says `fragmentation needed`: the kernel at the other end lowers that path's MTU."""
    lab = lab_of("core")
    vips, gnb, amf = lab.topology.vips, lab.host("gnb1"), lab.host("amf1")
    server = serve(amf, "--port", server_port, binds=amf.addresses[:1])
    with (
        balancer(lab, attach) as lb,
        no_source_routing(lab, "gnb1", "amf1"),
        lab.capture("gnb1") as near,
        lab.capture("amf1") as far,
    ):
        lb.apply(n2(mode, vips[:1], amf.addresses[:1], server_port=server_port))
        client = dial(gnb, vips[:1], "--port", 40_000, "--interval", 5, binds=gnb.addresses[:1])
        client.expect("up")
        client.ask("report", "report")
        assert paths(client)[vips[0]].mtu == 1500
        forge(lab, "sink", [f.data[14:] for f in far.frames if f.towards_host and f.sctp][-1])
        wait_for_mtu(lambda: {paths(client)[vips[0]].mtu})
        forge(lab, "stranger", [f.data[14:] for f in near.frames if f.towards_host and f.sctp][-1])
        wait_for_mtu(lambda: endpoint_mtus(server))
        assert finish(client).items() >= WHOLE.items()
        assert lb.drops() == {}


def forge(lab: Lab, host: str, packet: bytes) -> None:
    """A plain host in a router's part: it could not pass this packet on, and tells its sender."""
    with inside(lab.plain(host).namespace):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with raw:
        raw.sendto(needs_fragmentation(packet), (socket.inet_ntoa(packet[12:16]), 0))


def endpoint_mtus(server: Program) -> set[int]:
    """Of all paths that the endpoint's kernel knows."""
    found = server.ask("paths", "paths")["associations"]
    assert isinstance(found, dict)
    return {path["mtu"] for one in found.values() for path in one.values()}


def wait_for_mtu(seen: Callable[[], set[int]]) -> None:
    """Until a kernel knows of the narrow link; ICMP is handled while the next packets go by."""
    for _ in range(50):
        found = seen()
        if found == {NARROW}:
            return
    raise AssertionError(found)
