"""Talking to a guest's agent: one request a connection, and programs as objects."""

import json
import signal
import socket
import time
from dataclasses import dataclass, field

from .agent import PORT
from .errors import LabError, LabGuestError
from .netns import entered

GUEST_ADDRESS = "169.254.77.2"
LONGEST_POLL_S = 1.0

Record = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended: exit code (minus the signal's number if one killed it) and what it printed."""

    status: int
    lines: tuple[str, ...]
    errors: str


class Remote:
    """The agent of one guest, reached over its management link in a namespace of the real host."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def request(self, op: str, *, timeout_s: float = 20.0, **fields: object) -> Record:
        """One round trip; LabGuestError when the agent is silent or the operation failed."""
        try:
            with entered(self.namespace):
                link = socket.create_connection((GUEST_ADDRESS, PORT), timeout_s)
            with link, link.makefile("rwb") as stream:
                stream.write(json.dumps({"op": op, **fields}).encode() + b"\n")
                stream.flush()
                line = stream.readline()
        except OSError as error:
            raise LabGuestError(f"guest {self.namespace}: no answer to {op!r}: {error}") from None
        if not line:
            raise LabGuestError(f"guest {self.namespace}: the agent hung up during {op!r}")
        reply: Record = json.loads(line)
        if "error" in reply:
            raise LabGuestError(f"guest {self.namespace}: {op}: {reply['error']}")
        return reply

    def answers(self) -> bool:
        """Whether the agent is up, asked with half a second's patience."""
        try:
            self.request("preload", modules=[], timeout_s=0.5)
        except LabError:
            return False
        return True

    def start(self, host: str, program: str, *argv: object) -> "Program":
        reply = self.request("start", host=host, program=program, argv=[str(word) for word in argv])
        return Program(self, reply["pid"], f"{program} on {host}")

    def execute(self, host: str, *argv: object) -> "Program":
        reply = self.request("execute", host=host, argv=[str(word) for word in argv])
        return Program(self, reply["pid"], f"{argv[0]} on {host}")


@dataclass(slots=True)
class Program:
    """A running program of a host; it prints one JSON record a line, each with an `event`."""

    remote: Remote
    pid: object
    title: str
    lines: list[str] = field(default_factory=list)
    status: int | None = None
    errors: str = ""
    _taken: dict[str, int] = field(default_factory=dict)  # by event: lines looked at for it

    def pump(self, wait_s: float = 0.0) -> None:
        """Fetch what it said meanwhile, waiting up to wait_s for the first line."""
        reply = self.remote.request("poll", pid=self.pid, since=len(self.lines), wait_s=wait_s)
        lines, status = reply["lines"], reply["status"]
        if isinstance(lines, list):
            self.lines += lines
        self.status = status if isinstance(status, int) else None
        self.errors = str(reply["errors"])

    def expect(self, event: str, *, timeout_s: float = 10.0) -> Record:
        """The next record of that event, others stay; LabGuestError when it ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while True:
            start = self._taken.get(event, 0)
            for number, line in enumerate(self.lines[start:], start=start):
                record: Record = json.loads(line)
                if record["event"] == event:
                    self._taken[event] = number + 1
                    return record
            self._taken[event] = len(self.lines)
            left = deadline - time.monotonic()
            if self.status is not None or left <= 0:
                raise LabGuestError(f"{self.title}: no {event!r}: {self.describe()}")
            self.pump(min(left, LONGEST_POLL_S))

    def ask(self, command: str, event: str, *, timeout_s: float = 10.0) -> Record:
        """Tell it a command and wait for the record that answers it; earlier such records are skipped."""
        self.pump()
        self._taken[event] = len(self.lines)
        self.tell(command)
        return self.expect(event, timeout_s=timeout_s)

    def tell(self, line: str) -> None:
        self.remote.request("tell", pid=self.pid, text=line + "\n")

    def signal(self, number: signal.Signals) -> None:
        self.remote.request("signal", pid=self.pid, number=int(number))

    def wait(self, *, timeout_s: float = 20.0) -> Finished:
        """Until it has ended; LabGuestError if it has not in time."""
        deadline = time.monotonic() + timeout_s
        self.pump()
        while self.status is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LabGuestError(f"{self.title}: still running after {timeout_s} s: {self.describe()}")
            self.pump(min(left, LONGEST_POLL_S))
        return Finished(status=self.status, lines=tuple(self.lines), errors=self.errors)

    def kill(self) -> Finished:
        """SIGKILL and wait; its kernel still says goodbye to its peers."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def describe(self) -> str:
        said = " | ".join(self.lines[-5:]) or "it printed nothing"
        return f"status {self.status}, {said}{'; ' + self.errors.strip() if self.errors else ''}"
