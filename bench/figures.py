"""A figure, its target, and whether the target is met. Values only."""

from dataclasses import dataclass
from statistics import median
from typing import Any

NO_TARGET = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """``value`` in ``unit``, a median; ``best`` is the lowest run; ``ratio`` is the median ratio to the run's floor.

    ``detail`` says in words what a number cannot.
    """

    name: str
    value: float
    unit: str
    target: str = NO_TARGET
    met: bool = True
    runs: int = 1
    best: float | None = None
    ratio: float | None = None
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """What results.json has under the figure's name."""
        values: dict[str, Any] = {
            "value": rounded(self.value),
            "unit": self.unit,
            "target": self.target,
            "met": self.met,
            "runs": self.runs,
        }
        if self.best is not None:
            values["best"] = rounded(self.best)
        if self.ratio is not None:
            values["ratio"] = rounded(self.ratio)
        if self.detail:
            values["detail"] = self.detail
        return values


def rounded(value: float) -> float:
    """Four significant digits are more than a measurement has."""
    return float(f"{value:.4g}")


def plain(name: str, unit: str, runs: list[float]) -> Figure:
    """A figure without a target."""
    return Figure(name=name, value=median(runs), unit=unit, runs=len(runs), best=min(runs))


def at_most(name: str, unit: str, runs: list[float], limit: float) -> Figure:
    """A figure whose median may not exceed ``limit``, in the same unit."""
    value = median(runs)
    return Figure(
        name=name,
        value=value,
        unit=unit,
        target=f"≤{limit:g} {unit}".rstrip(),
        met=value <= limit,
        runs=len(runs),
        best=min(runs),
    )


def at_most_times(
    name: str, unit: str, runs: list[float], floor: list[float], limit: float, *, of: str
) -> Figure:
    """A figure measured alternately with a floor, of which it may be a multiple: round by round, then the median."""
    ratio = median(run / base for run, base in zip(runs, floor, strict=True))
    return Figure(
        name=name,
        value=median(runs),
        unit=unit,
        target=f"≤{limit:g}{TIMES} {of}",
        met=ratio <= limit,
        runs=len(runs),
        best=min(runs),
        ratio=ratio,
    )
