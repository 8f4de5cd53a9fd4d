"""What a policy no longer has, the datapath no longer has."""

from ipaddress import ip_network

import pytest

from lb.datapath.vips import VipTable
from lb.model import Policy
from tests.datapath.conftest import Wire, policy
from tests.datapath.packets import init, sctp

pytestmark = pytest.mark.root
PORT = 38412


def test_a_removed_service_is_not_dialled(wire: Wire) -> None:
    """Its VIPs, members and sources leave the maps; packets to it pass to the host."""
    packet = sctp("10.1.0.2", "10.100.0.1", PORT, PORT, 0, init(7))
    wire.apply(policy(allowed_sources=(ip_network("10.1.0.0/16"),)))
    assert wire.send(packet)[0] in {"tx", "redirect"}
    wire.apply(Policy())
    assert wire.send(packet)[0] == "pass"
    for name in ("members", "sources"):
        assert not list(wire.datapath.maps[name].keys()), name
    assert not VipTable(wire.datapath).items()
