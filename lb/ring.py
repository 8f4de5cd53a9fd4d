"""Rings: which endpoint each slot of a pick names. Built here, only read by the datapath."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush
from math import gcd

from lb.model import Pick

# Primes; 100 slots an endpoint keep Maglev's shares within 1 % of the weights (Eisenbud et al., NSDI 2016).
SIZES = (251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65537)
SLOTS_EACH = 100
# Longer cycles of weights are rounded to so many slots: a ring of 256 KiB, the size of the largest Maglev one.
CYCLE_MAX = 65_537


class RingError(ValueError):
    """A ring that cannot be built: the message names the field, the value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An endpoint that a ring may name: weight 0 takes no new conversations."""

    name: str
    number: int
    weight: int

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise RingError(f"weight of {self.name!r} is {self.weight}: 0 or more is allowed")


def ring_size(endpoints: int) -> int:
    """The smallest size with 100 slots an endpoint, or the largest there is."""
    return next((size for size in SIZES if size >= endpoints * SLOTS_EACH), SIZES[-1])


def _walk(name: str, size: int) -> tuple[int, int]:
    """Where an endpoint's preference list starts and how it strides: of its name alone, the same everywhere."""
    digest = blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big") % size, int.from_bytes(digest[8:], "big") % (size - 1) + 1


def _turns(weights: Sequence[int], size: int) -> list[int]:
    """Whose turn it is to choose a slot, ``size`` times: the heaviest every round, others as often as they weigh."""
    count, heaviest = len(weights), max(weights)
    rounds = -(-(size + count) * heaviest // sum(weights))
    # One integer carries round and endpoint: sorting 65,537 of them is ten times as fast as sorting pairs.
    turns = [
        -(-k * heaviest // weight) * count + i
        for i, weight in enumerate(weights)
        for k in range(1, rounds * weight // heaviest + 1)
    ]
    turns.sort()
    return [turn % count for turn in turns[:size]]


def maglev(entries: Sequence[Entry], size: int) -> "array[int]":
    """Weighted Maglev: shares in proportion to weights, few slots moving when endpoints come or go.

    The order of entries does not matter. Raises RingError unless ``size`` is one of SIZES.
    """
    if size not in SIZES:
        raise RingError(f"size is {size}: one of {', '.join(map(str, SIZES))} is allowed")
    live = sorted((entry for entry in entries if entry.weight), key=lambda entry: entry.name)
    if not live:
        return array("I")
    walks = [_walk(entry.name, size) for entry in live]
    at, skips = [start for start, _ in walks], [skip for _, skip in walks]
    numbers = [entry.number for entry in live]
    taken = bytearray(size)
    ring = array("I", bytes(4 * size))
    for i in _turns([entry.weight for entry in live], size):
        place, skip = at[i], skips[i]
        while taken[place]:
            place += skip
            if place >= size:
                place -= size
        taken[place] = 1
        ring[place] = numbers[i]
        at[i] = place
    return ring


def _cycle_weights(weights: Sequence[int]) -> list[int]:
    """Times that each comes in one cycle: weights by their common divisor, rounded where the cycle is too long."""
    divisor = gcd(*weights)
    total = sum(weights) // divisor
    if total <= CYCLE_MAX:
        return [weight // divisor for weight in weights]
    slots = max(CYCLE_MAX - len(weights), len(weights))
    return [max(1, weight // divisor * slots // total) for weight in weights]


def smooth_weighted_round_robin(entries: Sequence[Entry]) -> "array[int]":
    """One cycle in which each endpoint comes as often as its weight, never a whole turn early or late.

    The k-th of w turns in a cycle of T slots may lie in [⌊kT/w⌋, ⌈(k+1)T/w⌉); taking the earliest
    deadline first meets all of them (Baruah et al., Algorithmica 1996).
    """
    live = [entry for entry in entries if entry.weight]
    if not live:
        return array("I")
    weights = _cycle_weights([entry.weight for entry in live])
    total = sum(weights)
    released: list[list[tuple[int, int]]] = [[] for _ in range(total)]
    for i, weight in enumerate(weights):
        for k in range(weight):
            released[k * total // weight].append((-(-(k + 1) * total // weight), i))
    waiting: list[tuple[int, int]] = []
    ring = array("I")
    for jobs in released:
        for job in jobs:
            heappush(waiting, job)
        ring.append(live[heappop(waiting)[1]].number)
    return ring


def round_robin(entries: Sequence[Entry]) -> "array[int]":
    """Each endpoint once, in the order given, whatever its weight (0 still means none)."""
    return array("I", [entry.number for entry in entries if entry.weight])


def ring_of(pick: Pick, entries: Sequence[Entry]) -> "array[int]":
    """The ring of a pick: endpoint numbers by slot, empty if no endpoint takes new conversations.

    Random takes a random slot of the weighted cycle; sticky source hashes only the source into a
    Maglev ring; least-connections compares the endpoints that its ring lists.
    """
    match pick:
        case Pick.MAGLEV | Pick.STICKY_SOURCE:
            return maglev(entries, ring_size(sum(1 for entry in entries if entry.weight)))
        case Pick.WEIGHTED_ROUND_ROBIN | Pick.RANDOM:
            return smooth_weighted_round_robin(entries)
        case Pick.ROUND_ROBIN | Pick.LEAST_CONNECTIONS:
            return round_robin(entries)
