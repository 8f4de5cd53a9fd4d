"""The groups of figures by name. A new group is one module with ``measure(pace)`` and one line here."""

from collections.abc import Callable
from importlib import import_module

from bench.errors import UnknownGroupError
from bench.figures import Figure

GROUPS = {
    "datapath": "bench.datapath",
    "control": "bench.control",
    "live": "bench.live",
    "stress": "bench.stress",
}


def group(name: str) -> Callable[..., list[Figure]]:
    """The function that measures a group. Raises UnknownGroupError."""
    if name not in GROUPS:
        raise UnknownGroupError(f"group {name!r} is unknown: {', '.join(GROUPS)} are known")
    measure: Callable[..., list[Figure]] = import_module(GROUPS[name]).measure
    return measure
