"""What the lab says where it cannot work: one sentence that names what is missing."""

import os
import shutil
import subprocess
import sys

import free5gc_lab
import pytest
from free5gc_lab import guest, remote, settings
from free5gc_lab.errors import LabError, LabPrerequisiteError, LabTopologyError


def test_no_root_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made before it is said."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabPrerequisiteError, match=r"^the lab needs root"):
        free5gc_lab.up("small")


@pytest.mark.parametrize(("command", "package"), [("linux.uml", "user-mode-linux"), ("modprobe", "kmod")])
def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, command: str, package: str) -> None:
    """The sentence says what to install."""
    real = shutil.which
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def which(name: str, path: str | None = None) -> str | None:
        return None if name == command else (real(name, path=path) or f"/usr/sbin/{name}")

    monkeypatch.setattr(shutil, "which", which)
    with pytest.raises(LabPrerequisiteError, match=f"^'{command}' is missing: apt-get install {package}$"):
        guest.check_machine()


def test_missing_python_package_is_named() -> None:
    """The wheel comes without the lab's one compiled dependency; the lab still says what it lacks."""
    code = "import sys; sys.modules['sctp'] = None; from telco.cli import main; main()"
    words = [sys.executable, "-c", code, "lab", "run", "demo"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr == "telco: the Python package pysctp is missing: pip install 'telco-lb[lab]'\n"
    assert done.returncode == 4


def test_unknown_scenario_lists_the_known() -> None:
    """A typo is answered with what there is, before anything is made."""
    with pytest.raises(LabTopologyError, match=r"'nope' is none of .*'failover'"):
        next(iter(free5gc_lab.run("nope")))


def test_bad_lab_name_is_refused() -> None:
    """Names become namespace and file names."""
    with pytest.raises(LabTopologyError, match="lower-case"):
        free5gc_lab.Lab("../etc", free5gc_lab.topology("small"), settings.SctpSettings())


def test_lab_that_is_not_up_is_said_so() -> None:
    """Neither a traceback nor a time-out."""
    with pytest.raises(LabError, match="'nolab' is not up"):
        free5gc_lab.Lab.attach("nolab")
    with pytest.raises(LabError, match="the lab is not up"):
        remote.Remote("nolab-shared").request("ip", lines=[])
