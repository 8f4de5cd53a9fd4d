"""Rings: which endpoint each slot of a pick names. Built here, only read by the datapath."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import gcd

from lb.model import Pick

# Primes; 100 slots an endpoint keep Maglev's shares within 1 % of the weights (Eisenbud et al., NSDI 2016).
SIZES = (251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65537)
SLOTS_EACH = 100
WEIGHT_CYCLE_MAX = 65_537


def ring_size(endpoints: int) -> int:
    """The smallest size with 100 slots an endpoint, or the largest there is."""
    return next((size for size in SIZES if size >= endpoints * SLOTS_EACH), SIZES[-1])


def _permutation(name: str, size: int) -> tuple[int, int]:
    digest = blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big") % size, int.from_bytes(digest[8:], "big") % (size - 1) + 1


def maglev(weights: Mapping[str, int], size: int) -> list[str]:
    """Slot → name, each name's share in proportion to its weight, few slots moving when names come or go."""
    names = sorted(name for name, weight in weights.items() if weight > 0)
    if not names:
        return []
    heaviest = max(weights[name] for name in names)
    walks = {name: _permutation(name, size) for name in names}
    at = {name: walks[name][0] for name in names}
    credit = dict.fromkeys(names, 0)
    slots: list[str] = [""] * size
    filled = 0
    while True:
        for name in names:
            credit[name] += weights[name]
            if credit[name] < heaviest:
                continue
            credit[name] -= heaviest
            place, skip = at[name], walks[name][1]
            while slots[place]:
                place = (place + skip) % size
            slots[place] = name
            at[name] = (place + skip) % size
            filled += 1
            if filled == size:
                return slots


def smooth_weighted_round_robin(weights: Mapping[str, int]) -> list[str]:
    """One cycle in which each name comes as often as its weight, spread out evenly."""
    live = {name: weight for name, weight in weights.items() if weight > 0}
    if not live:
        return []
    divisor = gcd(*live.values())
    live = {name: weight // divisor for name, weight in live.items()}
    total = sum(live.values())
    if total > WEIGHT_CYCLE_MAX:
        live = {name: max(1, weight * 4096 // total) for name, weight in live.items()}
        total = sum(live.values())
    current = dict.fromkeys(live, 0)
    cycle: list[str] = []
    for _ in range(total):
        for name, weight in live.items():
            current[name] += weight
        chosen = max(current, key=current.__getitem__)
        current[chosen] -= total
        cycle.append(chosen)
    return cycle


def build_ring(pick: Pick, weights: Mapping[str, int]) -> list[str]:
    """The ring of a pick over these endpoints; weight 0 takes no new conversations."""
    live = [name for name, weight in weights.items() if weight > 0]
    if pick in {Pick.MAGLEV, Pick.STICKY_SOURCE}:
        return maglev(weights, ring_size(len(live)))
    if pick in {Pick.WEIGHTED_ROUND_ROBIN, Pick.RANDOM}:
        return smooth_weighted_round_robin(weights)
    return live


def as_numbers(ring: Sequence[str], numbers: Mapping[str, int]) -> list[int]:
    """A ring of names as the datapath wants it: endpoint numbers."""
    return [numbers[name] for name in ring]
