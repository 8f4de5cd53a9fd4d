"""Rare packets that random sequences found treated wrongly, each alone."""

from struct import pack

import pytest

from lb.model import Mode
from tests.datapath.conftest import Wire, policy
from tests.datapath.packets import (
    COOKIE_ACK,
    COOKIE_ECHO,
    INIT_ACK,
    addresses,
    checksum,
    chunk,
    data,
    frame,
    init,
    sctp,
)
from tests.datapath.test_handshake import CLIENT, PORT, SECOND, SERVER, TC, TS, VIP, associate
from tests.datapath.test_icmp import ROUTER, too_big

pytestmark = pytest.mark.root
OTHER_CLIENT, OTHER_SERVER = "10.1.0.3", "10.11.0.3"


def test_rfc1122_3_2_2_no_error_about_an_error(wire: Wire) -> None:
    """An ICMP error whose hop limit is used up is counted and dropped."""
    wire.apply(policy())
    associate(wire)
    _, sent = wire.send(sctp(CLIENT, VIP, PORT, PORT, TS, data()))
    raw = too_big(ROUTER, VIP, sent)
    verdict, _ = wire.send(frame(ROUTER, VIP, 1, raw[34:], ttl=1))
    assert (verdict, wire.drops()) == ("drop", {"ttl": 1})


def test_icmp_shorter_than_its_quote_passes(wire: Wire) -> None:
    """Nothing behind the IP length is read or changed."""
    wire.apply(policy())
    associate(wire)
    _, sent = wire.send(sctp(CLIENT, VIP, PORT, PORT, TS, data()))
    raw = bytearray(too_big(ROUTER, VIP, sent))
    raw[16:18] = pack(">H", 30)
    raw[24:26] = b"\0\0"
    raw[24:26] = pack(">H", checksum(bytes(raw[14:34])))
    assert wire.send(bytes(raw)) == ("pass", bytes(raw))


def test_quote_of_an_odd_length_has_a_right_checksum(wire: Wire) -> None:
    """A first fragment may have any length; its hop limit is used up."""
    wire.apply(policy())
    associate(wire)
    whole = sctp(CLIENT, VIP, PORT, PORT, TS, data(b"x" * 4))[34:]
    raw = bytearray(frame(CLIENT, VIP, 132, whole + b"y", ttl=1))
    raw[20:22] = pack(">H", 0x2000)
    raw[24:26] = b"\0\0"
    raw[24:26] = pack(">H", checksum(bytes(raw[14:34])))
    _, answer = wire.send(bytes(raw))
    assert answer[34] == 11
    assert checksum(answer[34:]) == 0


def handshake(wire: Wire, client: str, server: str, ts: int) -> None:
    """In dnat, from INIT to COOKIE ACK."""
    wire.through(sctp(client, VIP, PORT, PORT, 0, init(TC, addresses(client))))
    wire.through(sctp(server, client, PORT, PORT, TC, init(ts, b"", INIT_ACK)))
    wire.through(sctp(client, VIP, PORT, PORT, ts, chunk(COOKIE_ECHO, b"cookie!!")))
    assert wire.through(sctp(server, client, PORT, PORT, TC, chunk(COOKIE_ACK))).dst == client


def test_dnat_clients_of_one_tag_at_two_endpoints(wire: Wire) -> None:
    """The source is foreign to the table's entry, not only the destination."""
    wire.apply(policy(Mode.DNAT, vips=(VIP,), servers=((SERVER,), (OTHER_SERVER,))))
    handshake(
        wire, CLIENT, wire.through(sctp(CLIENT, VIP, PORT, PORT, 0, init(TC, addresses(CLIENT)))).dst, TS
    )
    server = wire.through(sctp(OTHER_CLIENT, VIP, PORT, PORT, 0, init(TC, addresses(OTHER_CLIENT)))).dst
    handshake(wire, OTHER_CLIENT, server, TS + 1)
    assert wire.through(sctp(server, OTHER_CLIENT, PORT, PORT, TC, data())).dst == OTHER_CLIENT


def test_dnat_restart_from_another_address_that_has_sent(wire: Wire) -> None:
    """Its endpoint stays, though round robin would take the other one."""
    wire.apply(policy(Mode.DNAT, vips=(VIP,), servers=((SERVER,), (OTHER_SERVER,))))
    server = wire.through(sctp(CLIENT, VIP, PORT, PORT, 0, init(TC, addresses(CLIENT, SECOND)))).dst
    wire.through(sctp(server, CLIENT, PORT, PORT, TC, init(TS, b"", INIT_ACK)))
    wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, chunk(COOKIE_ECHO, b"cookie!!")))
    wire.through(sctp(server, CLIENT, PORT, PORT, TC, chunk(COOKIE_ACK)))
    wire.through(sctp(SECOND, VIP, PORT, PORT, TS, data()))
    for tag in (TC + 1, TC + 2):
        assert (
            wire.through(sctp(SECOND, VIP, PORT, PORT, 0, init(tag, addresses(SECOND, CLIENT)))).dst == server
        )


def test_init_ack_of_another_family_goes_to_an_address_of_it(wire: Wire) -> None:
    """Or nowhere: the client's addresses are IPv6, the endpoint answers by IPv4."""
    vips, servers = ("fd00:100::1", VIP), (("fd00:2::2", SERVER),)
    wire.apply(policy(vips=vips, servers=servers))
    wire.through(sctp("fd00::2", "fd00:100::1", PORT, PORT, 0, init(TC, addresses("fd00::2"))))
    verdict, _ = wire.send(sctp(SERVER, VIP, PORT, PORT, TC, init(TS, addresses(SERVER), INIT_ACK)))
    assert (verdict, wire.drops()) == ("drop", {"no_path": 1})
    wire.through(sctp("fd00::2", "fd00:100::1", PORT, PORT, 0, init(TC + 1, addresses("fd00::2", CLIENT))))
    port = wire.through(
        sctp("fd00::2", "fd00:100::1", PORT, PORT, 0, init(TC + 1, addresses("fd00::2")))
    ).sport
    seen = wire.through(sctp(SERVER, VIP, PORT, port, TC + 1, init(TS + 1, addresses(SERVER), INIT_ACK)))
    assert (seen.src, seen.dst, seen.ok) == (VIP, CLIENT, True)
