"""The shape of figures and of what is written of them; nothing is timed here."""

import json
from pathlib import Path

import pytest

from bench.errors import UnknownGroupError
from bench.figures import at_most, at_most_times, plain
from bench.registry import GROUPS, group
from bench.report import markdown, results, save
from bench.rounds import alternate

MACHINE = {"cpu": "a CPU", "kernel": "6.18"}


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that slows down for a round slows both: the ratio stays."""
    figure = at_most_times("hit_ns", "ns", [40.0, 80.0, 44.0], [20.0, 40.0, 20.0], 2.1, of="floor_ns")
    assert (figure.value, figure.ratio, figure.best, figure.met) == (44.0, 2.0, 40.0, True)
    assert not at_most_times("hit_ns", "ns", [44.0], [20.0], 2.1, of="floor_ns").met


def test_a_limit_is_met_by_the_median() -> None:
    """Not by the best run."""
    assert at_most("cli_start_ms", "ms", [190.0, 199.0, 300.0], 200).met
    assert not at_most("cli_start_ms", "ms", [190.0, 201.0, 300.0], 200).met


def test_results_have_machine_and_figures_by_name() -> None:
    """The documented shape, which survives JSON."""
    values = results([plain("floor_ns", "ns", [25.0, 24.0, 26.0])], MACHINE)
    again = json.loads(json.dumps(values))
    figure = again["figures"]["floor_ns"]
    assert again["machine"] == MACHINE
    assert {name: figure[name] for name in ("value", "unit", "target", "met")} == {
        "value": 25.0,
        "unit": "ns",
        "target": "\N{EN DASH}",
        "met": True,
    }


def test_a_missed_target_is_told_with_its_reason() -> None:
    """By how much, why and what was tried; a figure that is met is not among them."""
    figures = [at_most("push_100k_s", "s", [7.5], 5), at_most("cli_start_ms", "ms", [150.0], 200)]
    written = {"missed": {"push_100k_s": "Parsing takes\nfour of them."}, "about": {"how": "By hand."}}
    text = markdown(results(figures, MACHINE), written)
    assert "- `push_100k_s`: 7.5 where the target is ≤5 s. Parsing takes four of them." in text
    assert "- `cli_start_ms`" not in text
    assert "By hand." in text


def test_hand_written_notes_survive_a_run(tmp_path: Path) -> None:
    """What was tried is not lost when figures are measured again."""
    (tmp_path / "notes.toml").write_text('[missed]\nlate = "because"\n')
    for value in (3.0, 4.0):
        save(results([at_most("late", "s", [value], 2)], MACHINE), tmp_path)
    assert "because" in (tmp_path / "RESULTS.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["figures"]["late"]["value"] == 4.0


def test_every_group_can_be_measured() -> None:
    """Each name leads to a function."""
    assert all(callable(group(name)) for name in GROUPS)
    with pytest.raises(UnknownGroupError, match="datapath"):
        group("nonsense")


def test_measures_alternate() -> None:
    """Each round runs everything once; the warm-up is thrown away."""
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return len(order)

    found = alternate({"a": lambda: measure("a"), "b": lambda: measure("b")}, 2)
    assert order == ["a", "b"] * 3
    assert found == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
