"""Everything on this machine that a policy moves: the datapath, the VIPs, the probes."""

import asyncio
import logging
from typing import TYPE_CHECKING

from lb.datapath.engine import Engine, Event
from lb.model import IdleExpiry, Policy
from lb.net.vips import Vips
from lb.net.watch import PATHS, SOURCES, Watch
from lb.probe import Change, Prober, targets

if TYPE_CHECKING:
    from lb.net.farewell import Farewell
    from lb.probe.runner import Runner

log = logging.getLogger("telco")
BREATH = 0.1  # seconds after the start before the first probe: whoever waits for the API is served first


def _speakers() -> "tuple[type[Runner], type[Farewell]]":
    """Those who speak SCTP; its codec is slow to import, and nobody waits for it."""
    from lb.net.farewell import Farewell  # noqa: PLC0415
    from lb.probe.runner import Runner  # noqa: PLC0415

    return Runner, Farewell


class Node:
    """What the keeper applies policies to, and what runs beside it."""

    def __init__(self, engine: Engine, vips: Vips, *, netns: str | None = None) -> None:
        self.engine = engine
        self._vips = vips
        self._netns = netns
        self._farewell: Farewell | None = None
        self._runner: Runner | None = None
        self._following: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def apply(self, policy: Policy) -> None:
        """Bring everything to a policy; from any thread."""
        self.engine.apply(policy)
        self._vips.apply(policy)
        if self._loop:
            self._loop.call_soon_threadsafe(self._retarget)

    def _retarget(self) -> None:
        if self._runner:
            self._runner.retarget(targets(self.engine.policy))

    def _report(self, change: Change) -> None:
        log.log(
            logging.INFO if change.up else logging.WARNING,
            "probe pool=%s address=%s %s: %s",
            *(change.pool, change.address, "up" if change.up else "down", change.reason),
        )
        self.engine.set_health(change.pool, change.address, up=change.up, reason=change.reason)

    def _addresses_changed(self) -> None:
        self.engine.refresh_routes()
        task = asyncio.create_task(asyncio.to_thread(self._follow))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def _follow(self) -> None:
        """In a thread: netlink answers take their time."""
        self._vips.apply(self.engine.policy)
        if self.engine.refresh_sources():
            log.info("our addresses towards the endpoints changed")

    def heard(self, event: Event) -> None:
        """Act on what the datapath reports: an association that silence ended may want a word to both ends."""
        service = self.engine.policy.services.get(event.service)
        if service and service.idle_expiry is IdleExpiry.ABORT and (row := self.engine.expired(event)):
            if self._farewell is None:
                self._farewell = _speakers()[1](netns=self._netns)
            self._farewell.abort(row)

    async def run(self) -> None:
        """Probe, and follow what happens to links, neighbours, addresses and routes; until cancelled."""
        self._loop = asyncio.get_running_loop()
        watches = [
            Watch(PATHS, self.engine.refresh_routes, netns=self._netns),
            Watch(SOURCES, self._addresses_changed, netns=self._netns),
        ]
        try:
            await asyncio.sleep(BREATH)
            runner, _ = await asyncio.to_thread(_speakers)
            self._runner = runner(Prober(self.engine.healthy), self._report, netns=self._netns)
            self._retarget()
            await self._runner.run()
        finally:
            if self._farewell:
                self._farewell.close()
            for watch in watches:
                watch.close()
