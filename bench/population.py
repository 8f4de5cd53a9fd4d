"""Associations by the hundred thousand in one datapath, made by its own functions, and INITs of ever new clients."""

import random
from collections.abc import Iterator

from bench.cases import sender
from bench.errors import GuardError
from bench.frames import data, ends, frame, init, parameter
from bench.policies import PORT, VIPS
from bench.world import CLIENTS, PAIRS, SERVERS, World

SLICE = 65_536  # associations of one call
ENTRY_WORDS = 16  # an entry is 64 bytes
PACKETS = 4  # word of an entry where its two packet counters begin
SAMPLE = 500
VIP = VIPS["fullnat"][0]
MIX = 0xFFFFFFFF


def scatter(value: int) -> int:
    """As bench/bpf/senders.h: MurmurHash3's finaliser."""
    value ^= value >> 16
    value = value * 0x85EBCA6B & MIX
    value ^= value >> 13
    value = value * 0xC2B2AE35 & MIX
    return value ^ value >> 16


def on_wire(tag: int) -> int:
    """A tag as the datapath holds it, as a number in network order."""
    return int.from_bytes(tag.to_bytes(4, "little"), "big")


def packets_of(number: int) -> tuple[bytes, bytes]:
    """DATA of association ``number``, from its client and from its endpoint."""
    pair, port = number % PAIRS, 1024 + (number // PAIRS) % 64_000
    tags = [on_wire(scatter(2 * number + side)) for side in (1, 2)]
    body = data(256 - 32)
    return (
        frame(CLIENTS[pair], VIP, (port, PORT), tags[1], body),
        frame(SERVERS[pair], VIP, (PORT, port), tags[0], body),
    )


def prepare(world: World) -> None:
    """Tell the generators who the clients and endpoints are."""
    for pair in range(PAIRS):
        both = packets_of(pair)
        for side in (0, 1):
            world.put("senders", 2 * pair + side, **sender(both[side]))


def populate(world: World, associations: int) -> None:
    """Make associations 0 to ``associations``. Raises GuardError."""
    prepare(world)
    for first in range(0, associations, SLICE):
        wanted = min(SLICE, associations - first)
        done = world.call("establish", first=first, count=wanted)
        if done["made"] != wanted:
            raise GuardError(f"{done['made']} of {wanted} associations were made: {done}")
    for number in random.Random(1).sample(range(associations), min(SAMPLE, associations)):  # noqa: S311  # no secret
        _check(world, number)


def _check(world: World, number: int) -> None:
    """The shipped program translates both directions of one association."""
    pair, (there, back) = number % PAIRS, packets_of(number)
    port = ends(there)[1]
    seen = world.forward(there), world.forward(back)
    if seen != ((VIP, port, SERVERS[pair], PORT), (VIP, PORT, CLIENTS[pair], port)):
        raise GuardError(f"association {number} became {seen}")


def hits_by_entry(world: World) -> Iterator[int]:
    """Packets counted in each live entry of the table."""
    words = world.maps["table"].memory().cast("I")
    keys, first, second = (words[at::ENTRY_WORDS] for at in (0, PACKETS, PACKETS + 1))
    return (a + b for key, a, b in zip(keys, first, second, strict=True) if key & 0xFFFF)


def check_every_entry_is_hit(world: World, program: str, associations: int) -> None:
    """One round of the generator hits each entry once, but the few in the overflow map. Raises GuardError."""
    before, dropped = sum(hits_by_entry(world)), world.drops()
    world.send(program, packets_of(0)[0], 2 * associations)
    overflowed = sum(1 for _ in world.maps["overflow"].keys())  # noqa: SIM118  # a map, no dict
    hits = sum(hits_by_entry(world)) - before
    if hits + overflowed != 2 * associations or world.drops() != dropped:
        raise GuardError(f"{hits} hits and {overflowed} in overflow of {2 * associations}; {world.drops()}")


def init_packet() -> bytes:
    """An INIT with three addresses, as Linux sends it."""
    more = (
        parameter(12, b"\0\x05\0\x06")
        + parameter(0x8000)
        + parameter(0xC000)
        + parameter(0x8008, b"\xc0\x82\x40\x0f")
        + parameter(0xC006, b"\0\0\0\0")
    )
    return frame(CLIENTS[0], VIP, (PORT, PORT), 0, init(1, (CLIENTS[0], "10.2.0.10", "10.3.0.10"), more=more))


def fresh_turns(world: World, entries: int) -> None:
    """Let the generators begin anew, over this many entries (a power of two)."""
    world.put("turns", 0, count=0, mask=entries - 1)
