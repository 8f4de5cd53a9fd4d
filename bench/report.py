"""Figures for people and for programs: a table, RESULTS.md, results.json."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Figure

WIDE = 110  # columns that the table needs where no terminal says how many there are
FOLDER = Path(__file__).parent
NOTES = FOLDER / "notes.toml"
Results = dict[str, Any]


def results(figures: Iterable[Figure], machine: Mapping[str, object]) -> Results:
    """The shape of results.json and of ``telco bench GROUP --json``."""
    return {"machine": dict(machine), "figures": {figure.name: figure.as_json() for figure in figures}}


def number(value: float) -> str:
    """As many digits as tell something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _row(name: str, figure: Mapping[str, Any]) -> tuple[str, ...]:
    ratio = number(figure["ratio"]) if "ratio" in figure else ""
    best = number(figure["best"]) if "best" in figure else ""
    return (
        name,
        number(figure["value"]),
        figure["unit"],
        best,
        ratio,
        figure["target"],
        "yes" if figure["met"] else "NO",
    )


COLUMNS = ("figure", "median", "unit", "best", "ratio", "target", "met")


def show(values: Results, console: Console | None = None) -> None:
    """Print the table."""
    table = Table(title=str(values["machine"]["cpu"]), title_justify="left", header_style="bold")
    for column in COLUMNS:
        table.add_column(
            column, no_wrap=True, justify="left" if column in {"figure", "unit", "target"} else "right"
        )
    for name, figure in values["figures"].items():
        table.add_row(*_row(name, figure), style=None if figure["met"] else "red")
    console = console or Console(width=max(Console().width, WIDE))
    console.print(table)
    for name, figure in values["figures"].items():
        if "detail" in figure:
            console.print(f"{name}: {figure['detail']}")


def notes(path: Path = NOTES) -> Results:
    """What was written by hand: ``missed`` by figure, ``about`` by group."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def markdown(values: Results, written: Results) -> str:
    """RESULTS.md: the machine, the figures, each missed target with by how much, why and what was tried."""
    lines = ["# Measured figures", "", written.get("about", {}).get("how", ""), ""]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in values["machine"].items()]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(_row(name, figure)) + " |" for name, figure in values["figures"].items()]
    missed = {name: figure for name, figure in values["figures"].items() if not figure["met"]}
    if missed:
        lines += ["", "## Targets that are missed", ""]
        lines += [_missed(name, figure, written.get("missed", {})) for name, figure in missed.items()]
    lines += _about(written)
    return "\n".join(lines) + "\n"


def _missed(name: str, figure: Mapping[str, Any], written: Mapping[str, str]) -> str:
    measured = figure.get("ratio", figure["value"])
    why = next((text for known, text in written.items() if name.startswith(known)), "not yet explained")
    return f"- `{name}`: {number(measured)} where the target is {figure['target']}. {' '.join(why.split())}"


def _about(written: Results) -> list[str]:
    lines: list[str] = []
    for title, text in written.get("about", {}).items():
        if title != "how":
            lines += ["", f"## {title.capitalize()}", "", text.strip()]
    return lines


def save(values: Results, folder: Path = FOLDER) -> None:
    """Write results.json and RESULTS.md."""
    (folder / "results.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    (folder / "RESULTS.md").write_text(markdown(values, notes(folder / "notes.toml")))
