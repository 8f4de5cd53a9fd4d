"""Sends numbered messages and checks what comes back: intact, in order, how late, how long without any.

Commands: `report`, `paths`, `finish` (no more; await echoes, report, SHUTDOWN), `shutdown`, `abort`.
Exit code 0 after a clean end, 1 if the association failed or was lost.
"""

import argparse
import time

from .console import Console, record
from .options import add_peer, parser, socket_options
from .tracker import HEADER, Tracker
from .transport import Event, Message, Notice, connect

END_S = 5.0  # for SHUTDOWN COMPLETE to come


def parse(argv: list[str]) -> argparse.Namespace:
    made = parser(__doc__ or "", port=0)
    add_peer(made)
    made.add_argument("--count", type=int, default=0, help="messages; 0: until told to finish")
    made.add_argument("--size", type=int, default=64, help=f"bytes, at least {HEADER.size}")
    made.add_argument("--interval", type=float, default=0.0, help="milliseconds between messages")
    made.add_argument("--window", type=int, default=16, help="messages under way at most")
    made.add_argument("--unordered", action="store_true")
    made.add_argument("--ttl", type=int, default=0, help="PR-SCTP lifetime in milliseconds, 0: reliable")
    made.add_argument("--patience", type=float, default=15.0, help="seconds until a message counts as lost")
    made.add_argument("--stay", action="store_true", help="keep the association when the count is reached")
    words = made.parse_args(argv)
    if words.size < HEADER.size:
        made.error(f"--size: {words.size} must be at least {HEADER.size}")
    return words


class EchoClient:
    def __init__(self, argv: list[str]) -> None:
        self.words = parse(argv)
        self.console = Console(self.command)
        streams, ordered = self.words.streams, not self.words.unordered
        self.tracker = Tracker(size=self.words.size, streams=streams, ordered=ordered)
        self.started = time.monotonic()
        self.next_send = float("inf")  # not before the association is up
        self.finishing = False
        self.reported = False
        self.ending: float | None = None  # when patience with SHUTDOWN ends
        self.status = 0
        self.association = connect(socket_options(self.words), self.words.peer, self.words.peer_port)
        self.console.watch(self.association, self.serve)
        record("connecting")

    # -- time -----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> float | None:
        """Send what is due; give up on what is overdue; end when all is said."""
        if self.ending is not None and now >= self.ending:
            self.over("no SHUTDOWN COMPLETE in time", 1)
            return None
        self.tracker.give_up(now, self.words.patience)
        while now >= self.next_send and len(self.tracker.waiting) < self.words.window and self.more():
            self.send(now)
            self.next_send = max(self.next_send + self.words.interval / 1e3, now - 1.0)
        if not self.more() and not self.tracker.waiting and not self.reported:
            self.complete()
        return self.due(now)

    def due(self, now: float) -> float:
        """When to tick next: the next message, the next overdue echo, or a second from now."""
        times = [now + 1.0, self.ending or now + 1.0]
        if self.more() and len(self.tracker.waiting) < self.words.window:
            times.append(self.next_send)
        if self.tracker.waiting:
            times.append(next(iter(self.tracker.waiting.values())) + self.words.patience + 0.001)
        return min(times)

    def more(self) -> bool:
        """Whether there is still a message to send."""
        limited = 0 < self.words.count <= self.tracker.sent
        return not (self.finishing or limited or self.association.ended)

    def send(self, now: float) -> None:
        data, stream = self.tracker.next(now)
        message = Message(data=data, stream=stream, unordered=self.words.unordered, ttl_ms=self.words.ttl)
        try:
            self.association.send(message)
        except OSError as error:
            self.over(f"send: {error.strerror}", 1)
            return
        self.console.watch(self.association, self.serve, writable=bool(self.association.pending))

    def complete(self) -> None:
        self.reported = True
        record("done", **self.tracker.report())
        if not self.words.stay or self.finishing:
            self.shutdown()

    # -- the association ------------------------------------------------------------------------------------

    def serve(self) -> None:
        for item in self.association.receive():
            if isinstance(item, Message):
                self.tracker.echoed(item.data, item.stream, time.monotonic())
            else:
                self.notice(item)
        if not self.association.ended:
            try:
                done = self.association.flush()
            except OSError as error:
                self.over(f"send: {error.strerror}", 1)
                return
            self.console.watch(self.association, self.serve, writable=not done)

    def notice(self, event: Event) -> None:
        if event.notice is Notice.UP:
            self.tracker.streams = min(self.words.streams, self.association.streams())
            took = round((time.monotonic() - self.started) * 1e3, 3)
            local = {"locals": self.association.locals(), "port": self.association.port()}
            record("up", ms=took, peers=self.association.peers(), **local)
            self.next_send = time.monotonic()
        elif event.notice is Notice.LOST:
            self.over(f"lost {event.detail}", 1)
        elif event.notice is Notice.ENDED:
            self.over("ended", 0 if self.reported else 1)
        else:
            record(event.notice.value, detail=event.detail)

    def shutdown(self) -> None:
        self.ending = time.monotonic() + END_S
        self.association.shutdown()

    def over(self, reason: str, status: int) -> None:
        self.status = status
        record("closed", reason=reason, **self.tracker.report())
        self.console.forget(self.association)
        self.association.close()
        self.console.leave()

    # -- commands -------------------------------------------------------------------------------------------

    def command(self, line: str) -> None:
        if line == "report":
            record("report", **self.tracker.report())
        elif line == "paths":
            record("paths", paths=self.association.paths(), primary=self.association.primary())
        elif line == "finish":
            self.finishing, self.reported = True, False
        elif line == "shutdown":
            self.finishing = self.reported = True
            self.shutdown()
        elif line == "abort":
            self.association.abort()
            self.console.leave()
        else:
            record("error", said=line, allowed=["report", "paths", "finish", "shutdown", "abort"])


def main(argv: list[str]) -> int:
    client = EchoClient(argv)
    client.console.run(client.tick)
    return client.status
