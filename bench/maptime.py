"""How long the kernel's map operations take within something that does more."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from lb.bpf import Map

OPERATIONS = ("update", "delete", "lookup", "update_batch", "delete_batch")


@dataclass(slots=True)
class Spent:
    """ns within map operations, packing of their arguments included."""

    ns: int = 0


@contextmanager
def map_time() -> Iterator[Spent]:
    """Add up the time of every map operation of this process."""
    spent = Spent()

    def timed(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.perf_counter_ns()
            try:
                return operation(*arguments)
            finally:
                spent.ns += time.perf_counter_ns() - began

        return call

    with ExitStack() as patches:
        for name in OPERATIONS:
            patches.enter_context(patch.object(Map, name, timed(getattr(Map, name))))
        yield spent
