"""The one writer: checks a change, makes it durable, has the engine apply it; or changes nothing."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from lb.model import Policy
from telco.errors import ConflictError, NotFoundError
from telco.policy import Limits, build
from telco.resources import KINDS, Resource, check, encode
from telco.store import Store

Key = tuple[str, str]
LOGGED = 100  # steps of one change
log = logging.getLogger("telco")


class Applies(Protocol):
    """What the keeper needs of the engine."""

    def apply(self, policy: Policy) -> None:
        """Bring the datapath to a policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One difference between two policies."""

    action: str  # add, change, remove
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a change did."""

    revision: int
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]


def kind_of(text: str) -> str:
    """The kind that a user means: 'Pool', 'pool' or 'pools'. Raises NotFoundError."""
    for kind in KINDS:
        if text.lower() in {kind.lower(), kind.lower() + "s"}:
            return kind
    raise NotFoundError(f"kind {text!r} is unknown: {', '.join(KINDS)} are known")


class Keeper:
    """Desired state: in the store, in memory, in the datapath. ``applied``: all three agree."""

    def __init__(self, store: Store, engine: Applies, limits: Limits | None = None) -> None:
        self._store = store
        self._engine = engine
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self.resources = _by_key(check(store.load()))
        self.policy, self.warnings = build(self.resources.values(), self._limits)
        engine.apply(self.policy)
        self.applied = True

    @property
    def revision(self) -> int:
        """The policy's revision, which is its ETag."""
        return self._store.revision

    def of_kind(self, kind: str) -> list[Resource]:
        """All resources of a kind, by name."""
        return [resource for (of, _), resource in sorted(self.resources.items()) if of == kind]

    def get(self, kind: str, name: str) -> Resource:
        """One resource. Raises NotFoundError."""
        if (kind, name) not in self.resources:
            raise NotFoundError(f"{kind} {name!r} does not exist")
        return self.resources[kind, name]

    def replace(self, resources: Iterable[Resource], expected: int | None = None) -> Applied:
        """Make these the whole policy."""
        wanted = list(resources)
        return self._change(lambda _: wanted, expected)

    def merge(self, resources: Iterable[Resource], expected: int | None = None) -> Applied:
        """Add or change these, leave the others."""
        wanted = list(resources)
        keys = {(resource.kind, resource.name) for resource in wanted}
        return self._change(lambda now: [r for key, r in now.items() if key not in keys] + wanted, expected)

    def delete(self, kind: str, name: str, expected: int | None = None) -> Applied:
        """Remove one resource."""
        self.get(kind, name)
        return self._change(lambda now: [r for key, r in now.items() if key != (kind, name)], expected)

    def diff(self, resources: Iterable[Resource], *, prune: bool) -> Applied:
        """What a replace (``prune``) or merge would do."""
        wanted = list(resources)
        if not prune:
            keys = {(resource.kind, resource.name) for resource in wanted}
            wanted += [r for key, r in self.resources.items() if key not in keys]
        _, warnings = build(wanted, self._limits)
        steps = tuple(_steps(self.resources, _by_key(wanted)))
        return Applied(revision=self.revision, steps=steps, warnings=tuple(warnings))

    def _change(
        self, change: Callable[[dict[Key, Resource]], list[Resource]], expected: int | None
    ) -> Applied:
        with self._lock:
            if expected is not None and expected != self.revision:
                raise ConflictError(
                    f"If-Match: revision {expected} was given, the policy is at {self.revision}"
                )
            wanted = change(self.resources)
            policy, warnings = build(wanted, self._limits)
            before, after = self.resources, _by_key(wanted)
            steps = tuple(_steps(before, after))
            revision = self.revision
            if steps or not self.applied:
                revision = self._commit(wanted, policy, revision)
            self.resources, self.policy, self.warnings, self.applied = after, policy, warnings, True
            _tell(revision, steps, warnings)
            return Applied(revision=revision, steps=steps, warnings=tuple(warnings))

    def _commit(self, wanted: list[Resource], policy: Policy, revision: int) -> int:
        """Durable, then in the datapath; or as before, revision and all."""
        made = self._store.replace(map(_row, wanted))
        try:
            self._engine.apply(policy)
        except Exception as error:
            log.warning("refused revision=%d reason=%s", made, error)
            self.applied = False
            self._store.replace(map(_row, self.resources.values()), revision)
            self._engine.apply(self.policy)
            self.applied = True
            raise
        return made


def _tell(revision: int, steps: tuple[Step, ...], warnings: Iterable[str]) -> None:
    for step in steps[:LOGGED]:
        log.info("policy revision=%d %s %s/%s", revision, step.action, step.kind, step.name)
    if len(steps) > LOGGED:
        log.info("policy revision=%d and %d steps more", revision, len(steps) - LOGGED)
    for warning in warnings:
        log.warning("policy revision=%d warning=%s", revision, warning)


def _by_key(resources: Iterable[Resource]) -> dict[Key, Resource]:
    return {(resource.kind, resource.name): resource for resource in resources}


def _row(resource: Resource) -> tuple[str, str, str]:
    return resource.kind, resource.name, encode(resource)


def _steps(before: dict[Key, Resource], after: dict[Key, Resource]) -> Iterable[Step]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) == after.get(key):
            continue
        action = "add" if key not in before else "remove" if key not in after else "change"
        yield Step(action=action, kind=key[0], name=key[1])
