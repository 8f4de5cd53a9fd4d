"""Which address is asked when, and what its answers make of it. No I/O: time and results are arguments.

A probe that failed is repeated at its timeout, not at the next interval, so that an address is down within
fall times the interval of its last sign of life.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from lb.model import Address, Admin, Policy, Probe, ProbeType, Protocol
from lb.probe.judge import Judge

Key = tuple[str, Address]  # pool, address


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address to be probed; ``port`` matters to sctp only."""

    pool: str
    address: Address
    port: int
    probe: Probe

    @property
    def key(self) -> Key:
        """What health is kept by."""
        return self.pool, self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One question to be sent now. ``token`` comes back with the answer; 32 bits, never 0."""

    target: Target
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An address that went up or down, and why."""

    pool: str
    address: Address
    up: bool
    reason: str


@dataclass(slots=True)
class _Watched:
    target: Target
    judge: Judge
    due: float
    token: int = 0  # of the attempt under way; 0: none


def targets(policy: Policy) -> Iterator[Target]:
    """What a policy wants probed. An endpoint without a port of its own is asked on its pool's first service's."""
    ports: dict[str, int] = {}
    for service in policy.services.values():
        if service.protocol is Protocol.SCTP and service.port:
            ports.setdefault(service.pool, service.port)
    for pool in policy.pools.values():
        if pool.probe.type is ProbeType.NONE:
            continue
        for endpoint in pool.endpoints:
            port = endpoint.port or ports.get(pool.name, 0)
            if endpoint.admin is Admin.DOWN or (pool.probe.type is ProbeType.SCTP and not port):
                continue
            for address in endpoint.addresses:
                yield Target(pool=pool.name, address=address, port=port, probe=pool.probe)


class Prober:
    """All probes of one balancer. ``healthy`` gives an address's last known verdict."""

    def __init__(self, healthy: Callable[[str, Address], bool] = lambda *_: True) -> None:
        self._healthy = healthy
        self._watched: dict[Key, _Watched] = {}
        self._agenda: list[tuple[float, int, Key]] = []
        self._tokens: dict[int, Key] = {}
        self._turns = 0

    def retarget(self, wanted: Iterable[Target], now: float) -> list[Change]:
        """Probe these from now on. What stays keeps its verdict; what is no longer probed is up again."""
        listed = {target.key: target for target in wanted}
        changes = []
        for key in self._watched.keys() - listed.keys():
            watched = self._watched.pop(key)
            self._tokens.pop(watched.token, None)
            if not watched.judge.up:
                changes.append(self._change(watched, up=True, reason="no longer probed"))
        for key, target in listed.items():
            known = self._watched.get(key)
            if known and known.target == target:
                continue
            probe = target.probe
            judge = Judge(rise=probe.rise, fall=probe.fall, up=self._healthy(*key), since=now)
            if known:
                self._tokens.pop(known.token, None)
                judge.up, judge.since, judge.reason = known.judge.up, known.judge.since, known.judge.reason
            first = now + random.uniform(0, min(probe.interval, 1.0))  # noqa: S311  # spread, not secret
            self._watched[key] = _Watched(target, judge, first)
            self._plan(key, first)
        return changes

    def _plan(self, key: Key, at: float) -> None:
        self._watched[key].due = at
        self._turns += 1
        heappush(self._agenda, (at, self._turns, key))

    def due(self, now: float) -> tuple[list[Attempt], list[Change]]:
        """What to send now, and what failed by silence meanwhile."""
        attempts, changes = [], []
        while self._agenda and self._agenda[0][0] <= now:
            at, _, key = heappop(self._agenda)
            watched = self._watched.get(key)
            if watched is None or watched.due != at:
                continue  # planned anew since
            if watched.token:
                changes += self.result(watched.token, now, ok=False, reason="no answer")
            attempts.append(self._begin(key, watched, now))
        return attempts, changes

    def _begin(self, key: Key, watched: _Watched, now: float) -> Attempt:
        token = random.randrange(1, 1 << 32)  # noqa: S311  # answers are matched by address too
        while token in self._tokens:
            token = random.randrange(1, 1 << 32)  # noqa: S311  # as above
        watched.token = token
        self._tokens[token] = key
        self._plan(key, now + watched.target.probe.timeout)
        return Attempt(target=watched.target, token=token)

    def asked(self, token: int) -> Target | None:
        """Whom an attempt was for; None: it is over, or never was."""
        key = self._tokens.get(token)
        return self._watched[key].target if key else None

    def result(self, token: int, now: float, *, ok: bool, reason: str) -> list[Change]:
        """The outcome of an attempt; a late or repeated one changes nothing."""
        key = self._tokens.pop(token, None)
        if key is None:
            return []
        watched = self._watched[key]
        watched.token = 0
        if ok:
            probe = watched.target.probe
            self._plan(key, watched.due - probe.timeout + probe.interval)
        if watched.judge.tell(now, ok=ok, reason=reason):
            return [self._change(watched, up=ok, reason=reason)]
        return []

    def _change(self, watched: _Watched, *, up: bool, reason: str) -> Change:
        return Change(pool=watched.target.pool, address=watched.target.address, up=up, reason=reason)

    def next(self) -> float | None:
        """When something is due."""
        return self._agenda[0][0] if self._agenda else None

    def verdicts(self) -> dict[Key, Judge]:
        """What is known of every probed address."""
        return {key: watched.judge for key, watched in self._watched.items()}
