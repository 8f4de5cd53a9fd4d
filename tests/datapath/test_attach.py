"""Hanging on interfaces: TCX links, and the clsact filter that stands in for them on kernels before 6.6."""

import subprocess
from collections.abc import Iterator
from errno import EINVAL

import pytest

from lb.bpf import BpfError
from lb.datapath import attach
from lb.datapath.attach import Attach, Hooks
from lb.datapath.objects import Datapath
from tests.datapath.conftest import SMALL, namespace, wire_up

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def hooks() -> Iterator[Hooks]:
    """The programs, in a namespace with the interfaces v0 to v3."""
    with namespace():
        wire_up()
        datapath = Datapath(sizes=SMALL)
        made = Hooks(datapath.programs["telco_xdp"], datapath.programs["telco_tc"])
        yield made
        made.detach()
        datapath.close()


def filters() -> str:
    """What hangs at the ingress of v0 by clsact."""
    command = ["tc", "filter", "show", "dev", "v0", "ingress"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_without_tcx_a_clsact_filter_holds(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however often it is attached; and it goes with detach."""

    def refuse(*_: object) -> int:
        raise BpfError("attach tc to v0", EINVAL)

    monkeypatch.setattr(attach, "_link", refuse)
    assert hooks.attach("v0", Attach.TC) == ["tc"]
    assert hooks.attach("v0", Attach.TC) == ["tc"]
    assert filters().count("telco_tc direct-action") == 1
    hooks.detach()
    assert "telco_tc" not in filters()


def test_with_tcx_nothing_hangs_on_clsact(hooks: Hooks) -> None:
    """The link is the program's only hold."""
    assert hooks.attach("v0", Attach.TC) == ["tc"]
    if "telco_tc" in filters():
        pytest.skip("this kernel has no TCX (Linux 6.6 does)")
    hooks.detach()


def test_an_unknown_interface_is_named_with_those_there_are(hooks: Hooks) -> None:
    """One sentence."""
    with pytest.raises(BpfError, match="interface 'eth9' does not exist; there are lo, p0"):
        hooks.attach("eth9", Attach.AUTO)
