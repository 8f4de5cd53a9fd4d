"""Ends: SHUTDOWN and ABORT from each side, reflected tags, and what a stranger can not do."""

import socket
import time
from collections.abc import Callable

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.lab import Lab

from lb.datapath.attach import Attach, inside
from lb.model import Mode, Timeouts
from protocols.crc32c import crc32c
from tests.lab.balancing import BOTH, Balancer, balancer, n2

pytestmark = [pytest.mark.root, pytest.mark.lab]
SOON = Timeouts(established=600, shutdown=0.2)


def gone(lb: Balancer, *, within_s: float = 2.0) -> bool:
    """Whether every association is swept away in this time."""
    until = time.monotonic() + within_s
    while lb.rows() and time.monotonic() < until:
        lb.sweep()
        time.sleep(0.02)
    return not lb.rows()


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("server_port", [38412, 36412])
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.DNAT])
@pytest.mark.parametrize("word", ["shutdown", "abort"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_both_kernels_end_cleanly_and_the_entry_goes(
    lab_of: Callable[[str], Lab], side: str, word: str, mode: Mode, server_port: int, attach: Attach
) -> None:
    """Whoever ends it, the other one hears it, and we forget it within the shutdown timeout."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    server = serve(amf, "--port", server_port)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses, server_port=server_port, timeouts=SOON))
        client = dial(gnb, vips[:1], "--count", 10, "--stay")
        client.expect("done")
        assert [row.state for row in lb.rows()] == ["established"]
        if side == "client":
            client.tell(word)
            reason = str(server.expect("closed")["reason"])
        else:
            server.tell(word)
            reason = str(client.expect("closed")["reason"])
        assert reason.startswith("ended" if word == "shutdown" else "lost")
        assert gone(lb)
        assert lb.drops() == {}


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.DNAT])
def test_client_that_died_unheard_answers_for_itself(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """The client's kernel knows nothing of the association any more: its ABORT with the T bit reaches the server."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    server = serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(mode, vips, amf.addresses, timeouts=SOON))
        client = dial(gnb, vips[:1], "--count", 1, "--stay")
        client.expect("done")
        lab.faults.vanish("gnb1", client)
        reason = str(server.expect("closed", timeout_s=5.0)["reason"])  # its heartbeat was answered
        assert reason.startswith("lost"), (reason, lb.drops())
        assert gone(lb)


@pytest.mark.parametrize("attach", BOTH)
def test_a_stranger_who_knows_tag_and_ports_is_nobody(lab_of: Callable[[str], Lab], attach: Attach) -> None:
    """ABORT, DATA and SHUTDOWN with the right tag from another address: dropped by name, and nothing happens."""
    lab = lab_of("core")
    gnb, amf, vips = lab.host("gnb1"), lab.host("amf1"), lab.topology.vips
    serve(amf)
    with balancer(lab, attach) as lb:
        lb.apply(n2(Mode.FULLNAT, vips, amf.addresses))
        client = dial(gnb, vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        (row,) = lb.rows()
        with inside(lab.plain("stranger").namespace):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
        with raw:
            for kind in (6, 0, 7, 14):
                for flags in (0, 1):
                    body = bytes((kind, flags, 0, 20)) + bytes(16)
                    packet = row.client_port.to_bytes(2) + row.service_port.to_bytes(2)
                    packet += row.server_tag.to_bytes(4) + bytes(4) + body
                    packet = packet[:8] + crc32c(packet).to_bytes(4, "little") + packet[12:]
                    raw.sendto(packet, (vips[0], 0))
        assert finish(client).items() >= WHOLE.items()
        assert lb.drops()["REASON_FOREIGN_SOURCE"] == 8
