"""Hits where the table is large and nothing is hot, and handshakes, in the datapath group."""

from functools import partial

from bench.errors import GuardError
from bench.figures import Figure, at_most_times, plain
from bench.policies import many_endpoints
from bench.population import check_every_entry_is_hit, fresh_turns, init_packet, packets_of, populate
from bench.rounds import alternate
from bench.world import XDP_TX, World, world
from lb.datapath.objects import Sizes

BURST = 8_192  # INITs that leave the pending table of 32,768 mostly empty
FLOOD = 65_536  # INITs that fill it twice


def hits(name: str, associations: int, limit: float, *, rounds: int, repeat: int) -> list[Figure]:
    """Established packets of ``associations`` in no order, both directions."""
    sizes = Sizes(conversations=associations, services=64, endpoints=64)
    with world(many_endpoints(), sizes) as here:
        populate(here, associations)
        fresh_turns(here, 2 * associations)
        check_every_entry_is_hit(here, "bench_many", associations)
        packet = packets_of(0)[0]
        runs = alternate(
            {
                "floor_ns": partial(here.time, "bench_floor", packet, repeat),
                "generator": partial(here.time, "bench_generate_many", packet, repeat),
                name: partial(here.time, "bench_many", packet, repeat),
            },
            rounds,
        )
        return [
            plain(name.replace("_hit_", "_generator_"), "ns", runs["generator"]),
            at_most_times(name, "ns", runs[name], runs["floor_ns"], limit, of="floor_ns"),
        ]


def _burst(here: World, packet: bytes, repeat: int) -> float:
    """ns an INIT while the pending table has room: emptied before. Raises GuardError."""
    here.forget()
    evicted = here.drops().get("evicted", 0)
    spent = here.time("bench_init", packet, repeat)
    evicted = here.drops().get("evicted", 0) - evicted
    begun = here.forget()
    if begun + evicted < repeat or evicted > repeat / 100:
        raise GuardError(f"{repeat} INITs began {begun} handshakes and evicted {evicted}")
    return spent


def _flood(here: World, packet: bytes, repeat: int) -> float:
    """ns an INIT that takes the place of the oldest unanswered one. Raises GuardError."""
    before = here.drops().get("evicted", 0)
    spent = here.time("bench_init", packet, repeat)
    if (evicted := here.drops().get("evicted", 0) - before) < repeat:
        raise GuardError(f"{repeat} INITs evicted {evicted}: the pending table was not full")
    return spent


def handshakes(*, rounds: int) -> list[Figure]:
    """INITs with three addresses, few and in a flood."""
    with world(many_endpoints(), Sizes(services=64, endpoints=64)) as here:
        packet = init_packet()
        fresh_turns(here, 2)
        here.maps["init_frames"][0] = packet[: here.maps["init_frames"].info.value_size]
        if here.send("telco_xdp", packet)[0] != XDP_TX or here.send("bench_init", packet)[0] != XDP_TX:
            raise GuardError(f"an INIT was not forwarded: {here.drops()}")
        floor = partial(here.time, "bench_floor", packet, FLOOD)
        generator = partial(here.time, "bench_generate_init", packet, FLOOD)
        runs = alternate(
            {"floor": floor, "generator": generator, "init": partial(_burst, here, packet, BURST)}, rounds
        )
        here.send("bench_init", packet, 2 * FLOOD)
        flood = alternate({"floor": floor, "init": partial(_flood, here, packet, BURST)}, rounds)
        if set(here.drops()) > {"evicted"}:
            raise GuardError(f"INITs were dropped: {here.drops()}")
    return [
        plain("sctp_init_generator_ns", "ns", runs["generator"]),
        at_most_times("sctp_init_ns", "ns", runs["init"], runs["floor"], 12, of="floor_ns"),
        at_most_times("sctp_init_flood_ns", "ns", flood["init"], flood["floor"], 10, of="floor_ns"),
    ]
