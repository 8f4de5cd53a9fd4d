"""Real kernel SCTP through the balancer: every mode, every number of homes, both hooks."""

from collections.abc import Callable

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach
from lb.model import Mode
from tests.lab.balancing import balancer, n2

pytestmark = [pytest.mark.root, pytest.mark.lab]


@pytest.mark.parametrize("attach", [Attach.XDP, Attach.TC])
@pytest.mark.parametrize("vips", [1, 2])
@pytest.mark.parametrize(("client_homes", "server_homes"), [(1, 1), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM, Mode.DNAT])
def test_thousand_echoes_intact_and_every_path_active(
    lab_of: Callable[[str], Lab], mode: Mode, client_homes: int, server_homes: int, vips: int, attach: Attach
) -> None:
    """Whatever the homes of each side, every VIP that is advertised answers."""
    lab = lab_of("core")
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    serve(amf, binds=amf.addresses[:server_homes])
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, lab.topology.vips[:vips], amf.addresses[:server_homes]))
        binds = gnb.addresses[:client_homes]
        client = dial(gnb, lab.topology.vips[:1], "--count", 1000, "--stay", binds=binds)
        advertised = client.expect("up")["peers"]
        assert advertised == list(lab.topology.vips[:vips])
        for vip in advertised:
            wait_for_state(client, vip, "ACTIVE")
        report = client.expect("done", timeout_s=30)
        client.tell("shutdown")
        assert client.wait().status == 0
        assert report.items() >= (WHOLE | {"delivered": 1000}).items(), lb.drops()


@pytest.mark.parametrize("attach", [Attach.XDP, Attach.TC])
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
@pytest.mark.parametrize("side", ["gnb1", "amf1"])
def test_cut_cable_moves_traffic_to_the_other_path_and_back(
    lab_of: Callable[[str], Lab], side: str, mode: Mode, attach: Attach
) -> None:
    """No message is lost, and the path that was not cut never suffers."""
    lab = lab_of("core")
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    vips = lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.cut(side, 0)
        wait_for_state(client, vips[0], "INACTIVE")
        lab.faults.mend(side, 0)
        wait_for_state(client, vips[0], "ACTIVE")
        report = finish(client)
        assert report.items() >= WHOLE.items(), lb.drops()
