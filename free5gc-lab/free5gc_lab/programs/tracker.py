"""What became of each message of an echo client: intact, in order, lost, and how long deliveries paused."""

import random
import struct
from collections import OrderedDict
from dataclasses import dataclass, field

HEADER = struct.Struct("!Q")


def payload(number: int, size: int) -> bytes:
    """Message number `number`: its number, then bytes only it has."""
    return HEADER.pack(number) + random.Random(number).randbytes(max(0, size - HEADER.size))


@dataclass(slots=True, kw_only=True)
class Tracker:
    """Counts of one client; times are monotonic seconds given by the caller."""

    size: int
    streams: int
    ordered: bool
    sent: int = 0
    delivered: int = 0
    damaged: int = 0
    reordered: int = 0
    duplicates: int = 0
    lost: int = 0
    max_gap_s: float = 0.0
    gap_at: float = 0.0  # when the longest pause began
    last: float | None = None
    waiting: OrderedDict[int, float] = field(default_factory=OrderedDict)
    given_up: set[int] = field(default_factory=set)
    newest: dict[int, int] = field(default_factory=dict)
    laps: list[float] = field(default_factory=list)

    def next(self, now: float) -> tuple[bytes, int]:
        """The next message and its stream."""
        number = self.sent
        self.sent += 1
        self.waiting[number] = now
        if self.last is None:
            self.last = now
        return payload(number, self.size), number % self.streams

    def echoed(self, data: bytes, stream: int, now: float) -> None:
        number = HEADER.unpack_from(data)[0] if len(data) >= HEADER.size else 0
        if data != payload(number, self.size) or stream != number % self.streams:
            self.damaged += 1
            return
        started = self.waiting.pop(number, None)
        if started is None and number not in self.given_up:
            self.duplicates += 1
            return
        if started is None:  # late, after all
            self.given_up.discard(number)
            self.lost -= 1
        else:
            self.laps.append(now - started)
        self.delivered += 1
        self._note_order(number, stream)
        self._note_gap(now)

    def give_up(self, now: float, patience_s: float) -> None:
        """Count as lost what has waited longer than that."""
        while self.waiting and now - next(iter(self.waiting.values())) > patience_s:
            number, _ = self.waiting.popitem(last=False)
            self.given_up.add(number)
            self.lost += 1

    def report(self) -> dict[str, object]:
        """For people and assertions; milliseconds."""
        laps = sorted(self.laps) or [0.0]
        return {
            "sent": self.sent,
            "delivered": self.delivered,
            "waiting": len(self.waiting),
            "lost": self.lost,
            "damaged": self.damaged,
            "reordered": self.reordered,
            "duplicates": self.duplicates,
            "max_gap_ms": round(self.max_gap_s * 1e3, 3),
            "gap_at_s": round(self.gap_at, 6),
            "rtt_p50_ms": round(laps[len(laps) // 2] * 1e3, 3),
            "rtt_p99_ms": round(laps[len(laps) * 99 // 100] * 1e3, 3),
        }

    def _note_order(self, number: int, stream: int) -> None:
        if self.ordered and number < self.newest.get(stream, -1):
            self.reordered += 1
        self.newest[stream] = max(number, self.newest.get(stream, -1))

    def _note_gap(self, now: float) -> None:
        if self.last is not None and now - self.last > self.max_gap_s:
            self.max_gap_s, self.gap_at = now - self.last, self.last
        self.last = now
