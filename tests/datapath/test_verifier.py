"""What the verifier walks stays near what was recorded: older kernels have less room."""

import sys

import pytest

from tests.datapath.baseline import VERIFIER, costs, dearer, kernel, read, table

pytestmark = pytest.mark.root
GROWTH = 1.1
STRANGE = 1.5  # on a kernel that nobody has recorded: another verifier prunes otherwise


def test_no_program_grows_by_a_tenth() -> None:
    """Of each program: instructions walked and bytes translated."""
    recorded, now = read(VERIFIER), costs()
    known = recorded.get(kernel())
    before = known or recorded[max(recorded, key=lambda release: [int(part) for part in release.split(".")])]
    shown = table(before, now)
    sys.stdout.write(shown + "\n")
    grown = dearer(before, now, GROWTH if known else STRANGE)
    assert not grown, "\n".join([*grown, shown, "if that is meant: make record"])


def test_growth_is_found() -> None:
    """A tenth more is allowed; beyond it, and of programs that come or go, each is named."""
    before = {"a": {"verified": 1000, "translated": 100}, "b": {"verified": 1, "translated": 1}}
    assert dearer(before, {**before, "a": {"verified": 1100, "translated": 110}}, GROWTH) == []
    now = {"a": {"verified": 1101, "translated": 100}, "c": {"verified": 1, "translated": 1}}
    assert dearer(before, now, GROWTH) == ["c is not recorded", "b is gone", "a: verified 1000 became 1101"]
