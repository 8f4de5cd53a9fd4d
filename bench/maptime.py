"""How long changes of maps take within something that does more: system calls, and programs run to change them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from lb.bpf import maps, programs
from lb.bpf.syscall import Command, bpf


@dataclass(slots=True)
class Spent:
    """ns within system calls on maps, and on programs that change maps."""

    ns: int = 0


@contextmanager
def map_time() -> Iterator[Spent]:
    """Add up the time of every map operation and program run of this process, until it ends."""
    spent = Spent()

    def timed(command: Command, attributes: bytes, what: str, allow: int = 0) -> tuple[int, bytes]:
        began = time.perf_counter_ns()
        try:
            return bpf(command, attributes, what, allow)
        finally:
            spent.ns += time.perf_counter_ns() - began

    with patch.object(maps, "bpf", timed), patch.object(programs, "bpf", timed):
        yield spent
