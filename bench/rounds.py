"""Measuring several things in turn, so that whatever the machine does it does to all of them."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

Measure = Callable[[], float]


class Pace(Enum):
    """How much time a group may take: for development, for an answer within 40 s, for what is published."""

    QUICK = "quick"
    BRIEF = "brief"
    FULL = "full"


def alternate(measures: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Run every measure once a round, in order; a first round warms up and is thrown away."""
    for measure in measures.values():
        measure()
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


@contextmanager
def one_cpu(cpu: int | None = None) -> Iterator[int]:
    """Keep this thread on one CPU, the last unless told; gives its number."""
    before = os.sched_getaffinity(0)
    chosen = max(before) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)
