"""`telco lab`: its help names what there is, and what it cannot do is one sentence."""

import subprocess
import sys

import pytest
from free5gc_lab import SCENARIOS, TOPOLOGIES, Step
from rich.console import Console

from telco.cli import show


def telco(*words: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    argv = [sys.executable, "-m", "telco", "lab", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, user=user)


def test_help_names_every_scenario_and_topology() -> None:
    """They are written out there, so that help needs no slow import."""
    run, up = telco("run", "--help").stdout, telco("up", "--help").stdout
    assert all(name in run for name in SCENARIOS)
    assert all(name in up for name in TOPOLOGIES)


def test_unknown_names_are_refused_with_those_there_are() -> None:
    """One sentence, exit code 4, no traceback."""
    for words in (("run", "nonsense"), ("up", "nonsense")):
        done = telco(*words)
        assert done.returncode == 4
        assert done.stderr.startswith("telco: ")
        assert "'nonsense' is none of" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_a_step_that_did_not_hold_is_named_and_fails(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line says which; nothing is wider than the terminal."""
    monkeypatch.setattr(show, "console", Console(width=width))
    story = [
        Step(title="cable cut", effect="12 UEs lost " * 12, held=False),
        Step(title="cable mended", effect="none lost", held=True),
    ]
    assert show.steps(story, as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("1 of 2 steps held")
    assert lines[-1].endswith("FAILED: cable cut")
    assert max(map(len, lines)) <= width
    assert show.steps(story[1:], as_json=False) == 0
