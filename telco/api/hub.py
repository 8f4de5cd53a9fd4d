"""Events from the datapath to whoever listens; a listener that is too slow loses some, and is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from lb.datapath.engine import Event

QUEUE = 4096


class Hub:
    """Fan-out. ``set_trace`` is told whether any listener wants every decision."""

    def __init__(self, set_trace: Callable[[bool], None]) -> None:
        self._queues: dict[asyncio.Queue[Event], bool] = {}
        self._set_trace = set_trace
        self._lost: dict[asyncio.Queue[Event], int] = {}
        self.lost = 0

    def publish(self, events: list[Event]) -> None:
        """Give these to every listener."""
        for queue in self._queues:
            for event in events:
                try:
                    queue.put_nowait(event)
                except asyncio.QueueFull:
                    self.lost += 1
                    self._lost[queue] = self._lost.get(queue, 0) + 1

    def take_lost(self, queue: asyncio.Queue[Event]) -> int:
        """How many a listener has lost since it last asked."""
        return self._lost.pop(queue, 0)

    @asynccontextmanager
    async def listen(self, *, trace: bool) -> AsyncIterator[asyncio.Queue[Event]]:
        """A queue of events from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE)
        self._queues[queue] = trace
        self._set_trace(any(self._queues.values()))
        try:
            yield queue
        finally:
            del self._queues[queue]
            self._lost.pop(queue, None)
            self._set_trace(any(self._queues.values()))
