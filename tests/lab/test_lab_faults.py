"""Faults beside cut cables: hung hosts, empty neighbour tables, small MTUs, slow links."""

import re
import subprocess

import pytest
from free5gc_lab import netns
from free5gc_lab.errors import LabGuestError
from free5gc_lab.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.lab]

PING = ("ping", "-n", "-c1", "-W1")


def round_trip_ms(lab: Lab, address: str) -> float:
    (line,) = (one for one in lab.host("gnb1").run(*PING, address).lines if "time=" in one)
    found = re.search(r"time=([\d.]+)", line)
    assert found is not None
    return float(found[1])


def test_hung_host_is_silent_until_it_resumes(core: Lab) -> None:
    """SIGSTOP: its NICs are up and nobody is home; afterwards it goes on as if nothing had been."""
    address = core.host("amf3").addresses[0]
    core.faults.hang("amf3")
    try:
        with pytest.raises(LabGuestError, match="ping"):
            core.host("gnb1").run(*PING, address)
    finally:
        core.faults.resume("amf3")
    assert core.host("gnb1").run(*PING, address).status == 0


def test_flushed_neighbours_are_gone_and_found_again(core: Lab) -> None:
    """The balancer knows no host after it; the first packet resolves."""

    def neighbours() -> str:
        with netns.entered(core.balancer):
            shown = subprocess.run(["ip", "-4", "neigh"], capture_output=True, text=True, check=True)
        return shown.stdout

    address = core.host("amf1").addresses[0]
    core.host("gnb1").run(*PING, address)
    assert f"{address} " in neighbours()
    core.faults.flush_neighbours()
    assert f"{address} dev endpoint1 lladdr" not in neighbours()
    assert core.host("gnb1").run(*PING, address).status == 0


def test_smaller_mtu_of_the_balancer_is_reported_to_the_sender(core: Lab) -> None:
    """Path MTU discovery over plain forwarding: the sender learns the size from ICMP."""
    address = core.host("amf1").addresses[1]
    big = ("-M", "do", "-s", "1400")
    assert core.host("gnb1").run(*PING, *big, address).status == 0
    core.faults.mtu("lb", 3, 1280)
    try:
        with pytest.raises(LabGuestError):
            core.host("gnb1").run(*PING, *big, address)
        own = core.host("gnb1").addresses[1]  # the kernel learns it for the routes of that source
        route = core.host("gnb1").run("ip", "route", "get", address, "from", own)
        assert "mtu 1280" in " ".join(route.lines)
    finally:
        core.faults.mtu("lb", 3, 1500)
        core.host("gnb1").ip("route flush cache")


def test_netem_delays_what_a_host_sends(core: Lab) -> None:
    """The link slows down by what is asked, and is as before afterwards."""
    address = core.host("amf1").addresses[0]
    core.faults.netem("gnb1", 0, "delay", "40ms")
    try:
        assert round_trip_ms(core, address) >= 40
    finally:
        core.faults.netem("gnb1", 0)
    assert round_trip_ms(core, address) < 20
