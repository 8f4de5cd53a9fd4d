"""Scenarios end to end, and labs that outlive the process that made them."""

import subprocess
import sys

import free5gc_lab
import pytest
from free5gc_lab import netns, state

pytestmark = [pytest.mark.root, pytest.mark.lab]


def test_failover_scenario_holds_and_leaves_nothing() -> None:
    """Every step holds; afterwards no namespace and no file of the lab is there."""
    steps = list(free5gc_lab.run("failover", lab="tscenario"))
    assert [step.title for step in steps] == [
        "multi-homed association",
        "cable cut",
        "cable mended",
        "messages",
    ]
    assert all(step.held for step in steps), steps
    assert netns.named("tscenario-") == []
    assert not (state.STATE_DIR / "tscenario").exists()


def test_lab_made_by_a_process_that_is_gone_is_used_and_taken_down() -> None:
    """`up` leaves a lab behind on purpose: another process runs commands in it and removes it."""
    code = "import free5gc_lab; free5gc_lab.up('small', lab='tpersist')"
    try:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        assert state.sweep() == []
        lab = free5gc_lab.Lab.attach("tpersist")
        pid = lab.guests["shared"].pid
        assert pid is not None
        assert lab.host("gnb1").run("true").status == 0
    finally:
        free5gc_lab.down(lab="tpersist")
    assert not lab.guests["shared"].alive()
    assert netns.named("tpersist-") == []


def test_lab_of_a_killed_process_is_swept() -> None:
    """An owned lab whose process died by SIGKILL is cleared by the next one, guests included."""
    code = (
        "import os, free5gc_lab as f; f.Lab.up(f.topology('small'), name='tcrash'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    lab = free5gc_lab.Lab.attach("tcrash")
    assert lab.guests["shared"].alive()
    assert "tcrash" in state.sweep()
    assert not lab.guests["shared"].alive()
    assert netns.named("tcrash-") == []
