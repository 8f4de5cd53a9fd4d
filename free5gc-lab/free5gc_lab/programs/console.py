"""A program's loop: sockets, commands from standard input, a timer; records to standard output."""

import json
import os
import selectors
import time
from collections.abc import Callable
from typing import Protocol

STDIN = 0


class HasFileno(Protocol):
    def fileno(self) -> int: ...


def record(event: str, **fields: object) -> None:
    """Print one record."""
    print(json.dumps({"event": event, **fields}), flush=True)  # noqa: T201 - the program's output


class Console:
    """Calls back on readable and writable sockets and on command lines, until `leave`."""

    def __init__(self, on_command: Callable[[str], None]) -> None:
        self.selector = selectors.DefaultSelector()
        self.on_command = on_command
        self.leaving = False
        self._typed = b""
        os.set_blocking(STDIN, False)
        self.selector.register(STDIN, selectors.EVENT_READ, self._read_commands)

    def watch(self, sock: HasFileno, callback: Callable[[], None], *, writable: bool = False) -> None:
        """Call back when the socket is readable, or, if asked, writable; replaces what was asked before."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writable else 0)
        if sock.fileno() in self.selector.get_map():
            self.selector.modify(sock, events, callback)
        else:
            self.selector.register(sock, events, callback)

    def forget(self, sock: HasFileno) -> None:
        if sock.fileno() in self.selector.get_map():
            self.selector.unregister(sock)

    def leave(self) -> None:
        self.leaving = True

    def run(self, tick: Callable[[float], float | None]) -> None:
        """Loop; `tick(now)` does what is due and says when it wants to be called next (monotonic seconds)."""
        while not self.leaving:
            due = tick(time.monotonic())
            if self.leaving:
                return
            wait = None if due is None else max(0.0, due - time.monotonic())
            for key, _ in self.selector.select(wait):
                key.data()

    def _read_commands(self) -> None:
        data = os.read(STDIN, 4096)
        if not data:
            self.selector.unregister(STDIN)
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self.on_command(line.decode().strip())
