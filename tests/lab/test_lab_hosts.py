"""The lab itself: hosts reach each other by the path they should, faults act, down leaves nothing."""

import subprocess
from pathlib import Path

import pytest
from free5gc_lab import netns, state
from free5gc_lab.errors import LabError, LabGuestError, LabTopologyError
from free5gc_lab.lab import Lab
from free5gc_lab.topologies import topology

pytestmark = [pytest.mark.root, pytest.mark.lab]


def reaches(lab: Lab, host: str, address: str) -> bool:
    try:
        lab.host(host).run("ping", "-n", "-c1", "-W1", address)
    except LabGuestError:
        return False
    return True


def test_each_path_goes_by_its_own_cables(core: Lab) -> None:
    """With path 1 cut at the client, path 2 still reaches the endpoint, and the other way round."""
    first, second = core.host("amf1").addresses
    core.faults.cut("gnb1", 0)
    assert not reaches(core, "gnb1", first)
    assert reaches(core, "gnb1", second)
    core.faults.mend("gnb1", 0)
    core.faults.cut("amf1", 1)
    assert reaches(core, "gnb1", first)
    assert not reaches(core, "gnb1", second)


def test_balancer_routes_nothing_unless_told(core: Lab) -> None:
    """Without forwarding a ping to the other side dies in the balancer."""
    core.forwarding(on=False)
    assert not reaches(core, "gnb1", core.host("amf1").addresses[0])


def test_killed_host_is_silent_and_comes_back(core: Lab) -> None:
    """A host with a guest of its own dies without a word and reboots with its addresses."""
    address = core.host("amf3").addresses[1]
    assert reaches(core, "gnb2", address)
    core.faults.kill("amf3")
    assert not reaches(core, "gnb2", address)
    core.faults.reboot("amf3")
    assert reaches(core, "gnb2", address)


def test_balancer_sees_loss_of_carrier_on_its_own_cable_only(core: Lab) -> None:
    """A host's cable ends at the switch; the balancer's own takes its carrier away."""

    def carrier(interface: str) -> str:
        with netns.entered(core.balancer):
            shown = subprocess.run(
                ["ip", "link", "show", interface], capture_output=True, text=True, check=True
            )
        return "NO-CARRIER" if "NO-CARRIER" in shown.stdout else "carrier"

    core.faults.cut("amf1", 0)
    assert carrier("endpoint1") == "carrier"
    core.faults.cut("lb", 2)
    assert carrier("endpoint1") == "NO-CARRIER"


def test_plain_hosts_answer_ping_and_swallow_sctp(core: Lab) -> None:
    """The sink is reachable, and an SCTP packet to it provokes nothing."""
    sink = core.plain("sink").addresses[0]
    assert reaches(core, "gnb1", sink)
    assert core.plain("stranger").run("ping", "-n", "-c1", "-W1", sink).status == 0


def test_a_failing_command_is_an_error_with_its_words(core: Lab) -> None:
    """What the command said reaches the caller."""
    with pytest.raises(LabGuestError, match=r"gnb1: ls /nowhere: .*No such file"):
        core.host("gnb1").run("ls", "/nowhere")


def test_guests_cannot_write_to_the_real_host(core: Lab) -> None:
    """The root the guest shares is read-only."""
    with pytest.raises(LabGuestError, match="Read-only file system"):
        core.host("gnb1").run("touch", str(Path(__file__).parent / "written-by-guest"))


def test_host_without_a_guest_of_its_own_cannot_be_killed(core: Lab) -> None:
    """The error names the hosts that can."""
    with pytest.raises(LabTopologyError, match=r"those that can die are \['amf3'\]"):
        core.faults.kill("amf1")


def test_down_leaves_nothing_even_from_another_process_and_twice() -> None:
    """No namespace (hence no veth), process or file of the lab remains; a second down is no error."""
    lab = Lab.up(topology("small"), name="tdown")
    pids = [guest.pid for guest in lab.guests.values()]
    with pytest.raises(LabError, match="'tdown' is already up"):
        Lab.up(topology("small"), name="tdown")
    other = Lab.attach("tdown")
    assert other.topology == lab.topology
    other.down()
    for guest in lab.guests.values():
        assert not guest.alive()
    assert netns.named("tdown") == []
    assert not (state.STATE_DIR / "tdown").exists()
    groups = {int(line) for line in subprocess.check_output(["ps", "-eo", "pgid="], text=True).split()}
    zombies = subprocess.check_output(["ps", "-eo", "pgid=,stat="], text=True).splitlines()
    zombie_groups = {int(line.split()[0]) for line in zombies if line.split()[1].startswith("Z")}
    assert not (set(pids) & (groups - zombie_groups))
    lab.down()
    with pytest.raises(LabError, match="'tdown' is not up"):
        Lab.attach("tdown")
