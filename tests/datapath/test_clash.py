"""dnat: two clients that chose the same tag and port, at one endpoint. Both associations live."""

import pytest

from lb.model import Mode
from tests.datapath.conftest import Wire, policy
from tests.datapath.packets import (
    ABORT,
    COOKIE_ACK,
    COOKIE_ECHO,
    INIT_ACK,
    addresses,
    chunk,
    data,
    init,
    sctp,
)
from tests.datapath.test_handshake import CLIENT, PORT, SERVER, TC, TS, VIP

pytestmark = pytest.mark.root
OTHER = "10.2.0.3"


def associate(wire: Wire, client: str, server_tag: int) -> None:
    """A whole handshake in dnat."""
    wire.through(sctp(client, VIP, PORT, PORT, 0, init(TC, addresses(client))))
    wire.through(sctp(SERVER, client, PORT, PORT, TC, init(server_tag, addresses(SERVER), INIT_ACK)))
    wire.through(sctp(client, VIP, PORT, PORT, server_tag, chunk(COOKIE_ECHO, b"cookie!!")))
    seen = wire.through(sctp(SERVER, client, PORT, PORT, TC, chunk(COOKIE_ACK)))
    assert (seen.ends, seen.ok) == ((VIP, PORT, client, PORT), True)


def test_both_clients_get_their_own_answers(wire: Wire) -> None:
    """The endpoint's packets carry the same tag and ports; only the destination tells them apart."""
    wire.apply(policy(Mode.DNAT))
    associate(wire, CLIENT, TS)
    associate(wire, OTHER, TS + 1)
    for client, tag in ((CLIENT, TS), (OTHER, TS + 1), (CLIENT, TS)):
        assert wire.through(sctp(client, VIP, PORT, PORT, tag, data())).ends == (client, PORT, SERVER, PORT)
        seen = wire.through(sctp(SERVER, client, PORT, PORT, TC, data()))
        assert (seen.ends, seen.ok) == ((VIP, PORT, client, PORT), True)
    assert wire.drops() == {}


def test_a_third_address_is_foreign(wire: Wire) -> None:
    """Neither of them."""
    wire.apply(policy(Mode.DNAT))
    associate(wire, CLIENT, TS)
    associate(wire, OTHER, TS + 1)
    assert wire.send(sctp(SERVER, "10.2.0.4", PORT, PORT, TC, data()))[0] == "drop"
    assert wire.drops() == {"foreign_destination": 1}


def test_the_end_of_one_leaves_the_other(wire: Wire) -> None:
    """ABORT to the second; the first goes on, and the second's packets do for the shutdown timeout."""
    wire.apply(policy(Mode.DNAT))
    associate(wire, CLIENT, TS)
    associate(wire, OTHER, TS + 1)
    wire.through(sctp(SERVER, OTHER, PORT, PORT, TC, chunk(ABORT)))
    states, layout = wire.datapath.btf.enum("state"), wire.datapath.btf.layout("conversation")
    listed = [layout.number(wire.datapath.maps["conversations"][i], "state") for i in range(256)]
    assert listed.count(states["STATE_ABORTED"]) == 1
    assert listed.count(states["STATE_ESTABLISHED"]) == 1
    assert wire.through(sctp(SERVER, CLIENT, PORT, PORT, TC, data())).dst == CLIENT
