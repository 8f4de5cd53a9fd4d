"""TCP and UDP through the same pipeline: flows by tuple, one path each. Packets and checksums are scapy's."""

from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from lb.datapath.read import Reader
from lb.model import Mode, Policy, Protocol, Timeouts
from tests.datapath.conftest import Wire, policy

pytestmark = pytest.mark.root
PORT, SERVER_PORT, CLIENT_PORT = 8080, 80, 40_000
ENDS: dict[int, dict[str, Any]] = {
    4: {"client": "10.1.0.2", "vip": "10.100.0.1", "server": "10.11.0.2"},
    6: {"client": "fd00::2", "vip": "fd00:100::1", "server": "fd00:2::2"},
}


def services(mode: Mode, protocol: Protocol, family: int = 4, **changes: object) -> Policy:
    """One service of one VIP over one endpoint."""
    ends = ENDS[family]
    return policy(
        mode,
        protocol=protocol,
        vips=(ends["vip"],),
        servers=((ends["server"],),),
        port=PORT,
        server_port=SERVER_PORT,
        **changes,
    )


def packet(src: str, dst: str, transport: Packet, payload: bytes = b"payload", ttl: int = 64) -> bytes:
    """A frame with every checksum."""
    network = IPv6(src=src, dst=dst, hlim=ttl) if ":" in src else IP(src=src, dst=dst, ttl=ttl)
    return bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / network / transport / Raw(payload))


def seen(raw: bytes) -> tuple[str, int, str, int]:
    """Ends of a packet whose checksums must be those that scapy computes."""
    got = Ether(raw)
    network = got.payload
    ends = (network.src, network.payload.sport, network.dst, network.payload.dport)
    again = Ether(raw)
    del again.payload.payload.chksum
    if again.payload.version == 4:
        del again.payload.chksum
    assert bytes(Ether(bytes(again))) == raw, "a checksum is wrong"
    return ends


def forwarded(wire: Wire, raw: bytes) -> tuple[str, int, str, int]:
    """Ends of a packet that must go on."""
    verdict, out = wire.send(raw)
    assert verdict in {"tx", "redirect"}, (verdict, wire.drops())
    return seen(out)


def first(protocol: Protocol, sport: int = CLIENT_PORT, dport: int = PORT, flags: str = "S") -> Packet:
    """What opens a flow, or with other TCP flags goes on with it."""
    if protocol is Protocol.TCP:
        return TCP(sport=sport, dport=dport, flags=flags)
    return UDP(sport=sport, dport=dport)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
@pytest.mark.parametrize("mode", [Mode.DNAT, Mode.FULLNAT])
def test_flow_there_and_back(wire: Wire, mode: Mode, protocol: Protocol, family: int) -> None:
    """Addresses and ports of both directions, checksums whole."""
    wire.apply(services(mode, protocol, family))
    ends = ENDS[family]
    client, vip, server = str(ip_address(ends["client"])), ends["vip"], ends["server"]
    ours = vip if mode is Mode.FULLNAT else client
    src, port, dst, dport = forwarded(wire, packet(client, vip, first(protocol)))
    assert (src, dst, dport) == (ours, server, SERVER_PORT)
    assert port == CLIENT_PORT
    answer = packet(server, ours, first(protocol, SERVER_PORT, port, "SA"))
    assert forwarded(wire, answer) == (vip, PORT, client, CLIENT_PORT)
    for size in (0, 1, 700, 1399):
        got = forwarded(wire, packet(client, vip, first(protocol, flags="A"), b"x" * size))
        assert got == (ours, CLIENT_PORT, server, SERVER_PORT)
    assert wire.drops() == {}


def test_two_clients_of_one_port_get_two_ports(wire: Wire) -> None:
    """fullnat: the endpoint tells them apart, and each gets its own answers."""
    wire.apply(services(Mode.FULLNAT, Protocol.UDP))
    ports = {}
    for client in ("10.1.0.2", "10.1.0.3", "10.2.0.2"):
        _, port, _, _ = forwarded(wire, packet(client, "10.100.0.1", first(Protocol.UDP)))
        ports[client] = port
    assert len(set(ports.values())) == 3
    for client, port in ports.items():
        back = packet("10.11.0.2", "10.100.0.1", UDP(sport=SERVER_PORT, dport=port))
        assert forwarded(wire, back) == ("10.100.0.1", PORT, client, CLIENT_PORT)


def test_tcp_without_syn_opens_nothing(wire: Wire) -> None:
    """The rest of a connection that we do not know."""
    wire.apply(services(Mode.FULLNAT, Protocol.TCP))
    for flags in ("A", "SA", "R", "FA"):
        raw = packet("10.1.0.2", "10.100.0.1", TCP(sport=CLIENT_PORT, dport=PORT, flags=flags))
        assert wire.send(raw)[0] == "drop"
    assert wire.drops() == {"no_flow": 4}


def test_tcp_of_another_port_is_no_service_and_of_another_address_passes(wire: Wire) -> None:
    """Only what dials us is ours."""
    wire.apply(services(Mode.FULLNAT, Protocol.TCP))
    assert wire.send(packet("10.1.0.2", "10.100.0.1", first(Protocol.TCP, dport=22)))[0] == "drop"
    assert wire.send(packet("10.1.0.2", "10.1.0.1", first(Protocol.TCP, dport=22)))[0] == "pass"
    assert wire.drops() == {"no_service": 1}


def test_short_header_is_transport_length(wire: Wire) -> None:
    """Shorter than TCP's 20 and UDP's 8 bytes."""
    wire.apply(services(Mode.FULLNAT, Protocol.TCP))
    whole = packet("10.1.0.2", "10.100.0.1", first(Protocol.TCP), b"")
    short = Ether(whole)
    short.payload.len = 39
    del short.payload.chksum
    assert wire.send(bytes(short)[:-1])[0] == "drop"
    assert wire.drops() == {"transport_length": 1}


def test_udp_without_checksum_stays_without(wire: Wire) -> None:
    """RFC 768: 0 means none."""
    wire.apply(services(Mode.FULLNAT, Protocol.UDP))
    raw = packet("10.1.0.2", "10.100.0.1", UDP(sport=CLIENT_PORT, dport=PORT, chksum=0))
    _, out = wire.send(raw)
    assert Ether(out)[UDP].chksum == 0
    assert Ether(out)[IP].dst == "10.11.0.2"


def ended(wire: Wire) -> int:
    """Flows that the sweep ends now, every timeout being 0."""
    record = wire.datapath.call("sweep", conversation=0, conversations=256, handshake=0, handshakes=128)
    return wire.datapath.btf.layout("sweep").number(record, "ended")


def test_fins_of_both_sides_or_one_rst_begin_the_shutdown_timeout(wire: Wire) -> None:
    """A half-closed connection goes on; a closed one may be opened anew from the same port."""
    timeouts = Timeouts(established=1e6, shutdown=1e-9, pending=1e6)
    wire.apply(services(Mode.DNAT, Protocol.TCP, timeouts=timeouts))
    there = {"src": "10.1.0.2", "dst": "10.100.0.1"}
    back = {"src": "10.11.0.2", "dst": "10.1.0.2"}

    def go(way: dict[str, str], flags: str) -> None:
        sport, dport = (CLIENT_PORT, PORT) if way is there else (SERVER_PORT, CLIENT_PORT)
        forwarded(wire, packet(way["src"], way["dst"], TCP(sport=sport, dport=dport, flags=flags)))

    def closing() -> bool:
        states = wire.datapath.btf.enum("state")
        layout = wire.datapath.btf.layout("conversation")
        found = [layout.number(wire.datapath.maps["conversations"][i], "state") for i in range(256)]
        return states["STATE_ESTABLISHED"] not in found

    go(there, "S")
    go(back, "SA")
    go(there, "FA")
    assert not closing()
    go(back, "A")
    go(back, "FA")
    assert closing()
    go(there, "A")
    go(there, "S")
    assert not closing()
    go(there, "R")
    assert closing()


def test_unanswered_flow_lives_for_the_pending_timeout(wire: Wire) -> None:
    """A SYN flood leaves nothing behind for long."""
    wire.apply(services(Mode.FULLNAT, Protocol.TCP, timeouts=Timeouts(established=1e6, pending=-1e-9)))
    forwarded(wire, packet("10.1.0.2", "10.100.0.1", first(Protocol.TCP)))
    assert wait_ended(wire) == 1


def wait_ended(wire: Wire) -> int:
    """The sweep's clock ticks once in four milliseconds."""
    return next((count for count in (ended(wire) for _ in range(2000)) if count), 0)


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP])
def test_icmp_error_about_a_flow_reaches_its_client(wire: Wire, protocol: Protocol) -> None:
    """Path MTU discovery: the client sees its own packet quoted, from the VIP that it dialled."""
    wire.apply(services(Mode.FULLNAT, protocol))
    forwarded(wire, packet("10.1.0.2", "10.100.0.1", first(protocol), b""))
    quoted = IP(src="10.100.0.1", dst="10.11.0.2") / first(protocol, CLIENT_PORT, SERVER_PORT)
    error = ICMP(type=3, code=4, nexthopmtu=1300) / Raw(bytes(quoted))
    verdict, raw = wire.send(packet("10.11.0.9", "10.100.0.1", error, b""))
    assert verdict in {"tx", "redirect"}
    got = Ether(raw)
    inner = IP(bytes(got[ICMP].payload))
    assert (got[IP].src, got[IP].dst) == ("10.100.0.1", "10.1.0.2")
    assert (inner.src, inner.sport, inner.dst, inner.dport) == ("10.1.0.2", CLIENT_PORT, "10.100.0.1", PORT)
    again = Ether(raw)
    del again[ICMP].chksum, again[IP].chksum
    assert bytes(again) == raw


def test_icmpv6_error_about_a_flow_reaches_its_client(wire: Wire) -> None:
    """The same over IPv6, whose ICMP checksum covers addresses."""
    wire.apply(services(Mode.FULLNAT, Protocol.UDP, 6))
    forwarded(wire, packet("fd00::2", "fd00:100::1", first(Protocol.UDP), b""))
    quoted = IPv6(src="fd00:100::1", dst="fd00:2::2") / UDP(sport=CLIENT_PORT, dport=SERVER_PORT)
    error = ICMPv6PacketTooBig(mtu=1300) / Raw(bytes(quoted))
    verdict, raw = wire.send(packet("fd00:2::9", "fd00:100::1", error, b""))
    assert verdict in {"tx", "redirect"}
    got = Ether(raw)
    assert (got[IPv6].src, got[IPv6].dst) == ("fd00:100::1", "fd00::2")
    again = Ether(raw)
    del again[ICMPv6PacketTooBig].cksum
    assert bytes(again) == raw


@pytest.mark.parametrize("mode", [Mode.DNAT, Mode.FULLNAT])
def test_later_fragments_follow_the_first(wire: Wire, mode: Mode) -> None:
    """Ports may change: only the first fragment has them, and UDP's checksum is in it."""
    wire.apply(services(mode, Protocol.UDP))
    whole = (
        IP(src="10.1.0.2", dst="10.100.0.1", id=77) / UDP(sport=CLIENT_PORT, dport=PORT) / Raw(b"z" * 3000)
    )
    parts = [bytes(Ether() / part) for part in whole.fragment(1400)]  # type: ignore[no-untyped-call]  # scapy
    assert wire.send(parts[1])[0] == ("drop" if wire.hook == "tc" else "pass")  # its first one has not come
    out = [wire.send(part) for part in parts]
    assert {verdict for verdict, _ in out} <= {"tx", "redirect"}
    got = [Ether(raw)[IP] for _, raw in out]
    assert {(part.src, part.dst) for part in got} == {(got[0].src, "10.11.0.2")}
    body = b"".join(bytes(part.payload) for part in got)
    joined = IP(src=got[0].src, dst=got[0].dst, proto=17) / Raw(body)
    parsed = IP(bytes(joined))
    del parsed[UDP].chksum
    assert bytes(parsed[UDP]) == body


@pytest.mark.parametrize("family", [4, 6])
def test_flows_are_listed_with_what_they_carried(wire: Wire, family: int) -> None:
    """One row, one path, packets of both directions."""
    wire.apply(services(Mode.FULLNAT, Protocol.UDP, family))
    ends = ENDS[family]
    for _ in range(3):
        forwarded(wire, packet(ends["client"], ends["vip"], first(Protocol.UDP)))
    forwarded(wire, packet(ends["server"], ends["vip"], UDP(sport=SERVER_PORT, dport=CLIENT_PORT)))
    (row,) = Reader(wire.datapath).associations()
    (path,) = row.paths
    assert (row.protocol, row.packets, path.packets) == (Protocol.UDP, (3, 1), (3, 1))
    assert [str(a) for a in (path.client, path.vip, path.source, path.server)] == [
        ends["client"],
        ends["vip"],
        ends["vip"],
        ends["server"],
    ]
