"""ICMP errors about translated packets reach the packet's sender as if we were not there."""

from ipaddress import ip_address
from struct import pack, unpack_from

import pytest

from lb.model import Mode
from tests.datapath.conftest import Wire, policy
from tests.datapath.packets import checksum, data, frame, sctp
from tests.datapath.test_handshake import CLIENT, PORT, SERVER, TC, TS, VIP, associate

pytestmark = pytest.mark.root
ROUTER = "10.11.0.9"
MTU = 1300


def too_big(router: str, to: str, quoted: bytes) -> bytes:
    """Fragmentation needed about an IPv4 packet, quoting 28 bytes of it (RFC 792, RFC 1191)."""
    body = pack(">BBHHH", 3, 4, 0, 0, MTU) + quoted[14:42]
    body = body[:2] + pack(">H", checksum(body)) + body[4:]
    return frame(router, to, 1, body)


def taken_apart(raw: bytes) -> tuple[str, str, int, str, str, int, int, int]:
    """Outer ends, MTU, quoted ends, ports and tag of an ICMP error; its checksums must hold."""
    outer, icmp, inner = raw[14:34], raw[34:], raw[42:62]
    assert checksum(outer) == 0
    assert checksum(icmp) == 0
    assert checksum(inner) == 0
    ends = [str(ip_address(part)) for part in (outer[12:16], outer[16:20], inner[12:16], inner[16:20])]
    sport, dport, tag = unpack_from(">HHI", raw, 62)
    return ends[0], ends[1], int.from_bytes(icmp[6:8], "big"), ends[2], ends[3], sport, dport, tag


@pytest.mark.parametrize("server_port", [0, 36412])
def test_too_big_from_behind_the_endpoint_reaches_the_client(wire: Wire, server_port: int) -> None:
    """With and without port translation: the client sees its own packet quoted, from the VIP it dialled."""
    wire.apply(policy(server_port=server_port))
    associate(wire)
    _, sent = wire.send(sctp(CLIENT, VIP, PORT, PORT, TS, data()))
    verdict, raw = wire.send(too_big(ROUTER, VIP, sent))
    assert verdict in {"tx", "redirect"}
    assert taken_apart(raw) == (VIP, CLIENT, MTU, CLIENT, VIP, PORT, PORT, TS)


@pytest.mark.parametrize("server_port", [0, 36412])
def test_too_big_from_the_clients_side_reaches_the_endpoint(wire: Wire, server_port: int) -> None:
    """The endpoint sees the packet quoted that it sent."""
    port = server_port or PORT
    wire.apply(policy(server_port=server_port))
    associate(wire)
    _, sent = wire.send(sctp(SERVER, VIP, port, PORT, TC, data()))
    verdict, raw = wire.send(too_big("10.1.0.9", VIP, sent))
    assert verdict in {"tx", "redirect"}
    assert taken_apart(raw) == (VIP, SERVER, MTU, SERVER, VIP, port, PORT, TC)


def test_error_about_nothing_of_ours_passes(wire: Wire) -> None:
    """The host's own traffic gets its errors."""
    wire.apply(policy(Mode.FULLNAT))
    verdict, _ = wire.send(too_big(ROUTER, VIP, sctp(VIP, SERVER, 1, 2, 3, data())))
    assert verdict == "pass"
