"""An association through us, from INIT to DATA, packet by packet."""

import pytest

from lb.model import Mode
from tests.datapath.conftest import Wire, policy
from tests.datapath.packets import (
    ABORT,
    COOKIE_ACK,
    COOKIE_ECHO,
    INIT_ACK,
    SHUTDOWN_COMPLETE,
    addresses,
    chunk,
    data,
    init,
    sctp,
)

pytestmark = pytest.mark.root
CLIENT, SECOND, VIP, SIBLING, SERVER, SERVER2 = (
    "10.1.0.2",
    "10.2.0.2",
    "10.100.0.1",
    "10.101.0.1",
    "10.11.0.2",
    "10.12.0.2",
)
PORT = 38412
TC, TS = 0x11112222, 0x33334444


def associate(wire: Wire, *, tc: int = TC, ts: int = TS, client: str = CLIENT, sport: int = PORT) -> int:
    """A whole handshake in fullnat; gives the port that the endpoint sees."""
    seen = wire.through(sctp(client, VIP, sport, PORT, 0, init(tc, addresses(client, SECOND))))
    port = seen.sport
    wire.through(
        sctp(seen.dst, seen.src, seen.dport, port, tc, init(ts, addresses(SERVER, SERVER2), INIT_ACK))
    )
    wire.through(sctp(client, VIP, sport, PORT, ts, chunk(COOKIE_ECHO, b"cookie!!")))
    wire.through(sctp(seen.dst, seen.src, seen.dport, port, tc, chunk(COOKIE_ACK)))
    return port


def test_fullnat_handshake_translates_headers_and_lists(wire: Wire) -> None:
    """INIT and INIT ACK show each side only our addresses; every checksum holds."""
    wire.apply(policy())
    seen = wire.through(sctp(CLIENT, VIP, PORT, PORT, 0, init(TC, addresses(CLIENT, SECOND))))
    assert (seen.ends, seen.ok, seen.ttl) == ((VIP, PORT, SERVER, PORT), True, 63)
    assert seen.listed() == [VIP, SIBLING]
    seen = wire.through(sctp(SERVER, VIP, PORT, PORT, TC, init(TS, addresses(SERVER, SERVER2), INIT_ACK)))
    assert (seen.ends, seen.ok) == ((VIP, PORT, CLIENT, PORT), True)
    assert seen.listed() == [VIP, SIBLING]
    seen = wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, chunk(COOKIE_ECHO, b"cookie!!")))
    assert (seen.ends, seen.ok) == ((VIP, PORT, SERVER, PORT), True)
    seen = wire.through(sctp(SERVER, VIP, PORT, PORT, TC, chunk(COOKIE_ACK)))
    assert (seen.ends, seen.ok) == ((VIP, PORT, CLIENT, PORT), True)
    seen = wire.through(sctp(SECOND, SIBLING, PORT, PORT, TS, data()))
    assert (seen.ends, seen.ok) == ((SIBLING, PORT, SERVER2, PORT), True)
    seen = wire.through(sctp(SERVER2, SIBLING, PORT, PORT, TC, data()))
    assert (seen.ends, seen.ok) == ((SIBLING, PORT, SECOND, PORT), True)
    assert wire.drops() == {}


def test_the_candidate_that_the_client_took_outlives_later_init_acks(wire: Wire) -> None:
    """Each retransmitted INIT draws another INIT ACK, also after COOKIE ECHO."""
    wire.apply(policy())
    seen = wire.through(sctp(CLIENT, VIP, PORT, PORT, 0, init(TC, addresses(CLIENT, SECOND))))
    port = seen.sport
    wire.through(sctp(SERVER, VIP, PORT, port, TC, init(TS, addresses(SERVER), INIT_ACK)))
    wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, chunk(COOKIE_ECHO, b"cookie!!")))
    for late in range(1, 9):
        wire.through(sctp(SERVER, VIP, PORT, port, TC, init(TS + late, addresses(SERVER), INIT_ACK)))
    wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, chunk(COOKIE_ECHO, b"cookie!!")))
    wire.through(sctp(SERVER, VIP, PORT, port, TC, chunk(COOKIE_ACK)))
    assert wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, data())).dst == SERVER
    assert wire.drops() == {}


@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT])
@pytest.mark.parametrize("kind", [ABORT, SHUTDOWN_COMPLETE])
def test_reflected_tag_is_not_taken_for_the_other_direction(wire: Wire, mode: Mode, kind: int) -> None:
    """RFC 9260 §8.5.1: with one port at both ends `{Tc, ports}` is a key of the table, of packets to the client."""
    wire.apply(policy(mode))
    associate(wire)
    seen = wire.through(sctp(CLIENT, VIP, PORT, PORT, TC, chunk(kind, flags=1)))
    assert (seen.dst, seen.tag, seen.ok) == (SERVER, TC, True)
    seen = wire.through(sctp(seen.dst, seen.src, PORT, seen.sport, TS, chunk(kind, flags=1)))
    assert (seen.ends, seen.tag) == ((VIP, PORT, CLIENT, PORT), TS)
    assert wire.drops() == {}
