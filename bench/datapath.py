"""Group datapath: nanoseconds a packet by BPF_PROG_TEST_RUN, each figure beside the floor of its own rounds."""

from collections.abc import Mapping
from functools import partial

from bench import many
from bench.cases import Case
from bench.errors import GuardError
from bench.figures import Figure, at_most_times, plain
from bench.frames import data, frame
from bench.policies import PORT, SERVER_PORT, VIPS, single_endpoint
from bench.rounds import Pace, alternate, one_cpu
from bench.world import CLIENTS, CLIENTS6, World, world
from lb.datapath.objects import Sizes

SMALL = Sizes(conversations=1024, handshakes=1024, services=64, endpoints=64)
LENGTHS = (64, 256, 1400)  # bytes of IP packet
LARGE = (("sctp_fullnat_hit_131k_ns", 65_536, 6.0), ("sctp_fullnat_hit_1m_ns", 524_288, 11.0))
LIMITS = {
    "sctp_dnat_hit": 1.7,
    "sctp_fullnat_hit": 1.7,
    "sctp_fullnat_port_hit": 2.0,
    "sctp_fullnat_v6_hit": 2.2,
    "tc_fullnat_hit": 1.7,
}


def hits(here: World) -> dict[str, Case]:
    """An association of each kind, and a packet of it in each length; all guarded."""
    found: dict[str, Case] = {}
    for number, (kind, name) in enumerate(
        (("dnat", "sctp_dnat_hit"), ("fullnat", "sctp_fullnat_hit"), ("port", "sctp_fullnat_port_hit"))
    ):
        vip, tag = VIPS[kind][0], 0x0111_2220 + number
        if kind == "port":
            here.associate(CLIENTS[1], vip, PORT, (0x7777, 0x8888))  # holds the port that the next one wants
        seen = here.associate(CLIENTS[0], vip, PORT, (tag, tag << 4))
        if kind == "port" and (seen[1] == PORT or seen[3] != SERVER_PORT):
            raise GuardError(f"both ports were to change: {seen}")
        for length in LENGTHS:
            packet = frame(CLIENTS[0], vip, (PORT, PORT), tag << 4, data(length - 32))
            found[f"{name}_{length}_ns"] = Case(world=here, program="bench_v4", packet=packet)
    here.associate(CLIENTS6[0], VIPS["v6"][0], PORT, (0x6666, 0x66666666))
    packet = frame(CLIENTS6[0], VIPS["v6"][0], (PORT, PORT), 0x66666666, data(256 - 52))
    found["sctp_fullnat_v6_hit_256_ns"] = Case(world=here, program="bench_v6", packet=packet)
    for case in found.values():
        case.guard()
    return found


def established(here: World, rounds: int, repeat: int) -> list[Figure]:
    """The hot hits, XDP and tc, with their floors and what the generator alone costs."""
    cases = hits(here)
    packet = cases["sctp_fullnat_hit_256_ns"].packet
    tc = Case(world=here, program="bench_tc_v4", packet=packet)
    tc.guard()
    cases = {
        "floor_ns": Case(world=here, program="bench_floor", packet=packet, armed=False),
        "generator_ns": Case(world=here, program="bench_generate", packet=packet),
        **cases,
        "tc_floor_ns": Case(world=here, program="bench_tc_floor", packet=packet, armed=False),
        "tc_fullnat_hit_ns": tc,
    }
    measures = {name: partial(case.measure, repeat) for name, case in cases.items()}
    return compared(alternate(measures, rounds))


def compared(runs: Mapping[str, list[float]]) -> list[Figure]:
    """Floors as they are, the others against theirs."""
    figures = []
    for name, values in runs.items():
        limit = next((most for prefix, most in LIMITS.items() if name.startswith(prefix)), None)
        floor = "tc_floor_ns" if name.startswith("tc_") else "floor_ns"
        if limit is None:
            figures.append(plain(name, "ns", values))
        else:
            figures.append(at_most_times(name, "ns", values, runs[floor], limit, of=floor))
    return figures


def instructions(here: World) -> list[Figure]:
    """How long the programs are: the shipped one, and the same behind a generator."""
    programs = {
        "xdp_instructions": "telco_xdp",
        "bench_xdp_instructions": "bench_v4",
        "tc_instructions": "telco_tc",
        "bench_tc_instructions": "bench_tc_v4",
    }
    return [plain(name, "", [float(here.instructions(program))]) for name, program in programs.items()]


def measure(pace: Pace = Pace.FULL) -> list[Figure]:
    """Every figure of the group."""
    rounds, repeat = (5, 50_000) if pace is Pace.QUICK else (21, 200_000)
    with one_cpu():
        with world(single_endpoint(), SMALL) as here:
            figures = [*instructions(here), *established(here, rounds, repeat)]
        figures += many.handshakes(rounds=rounds)
        rounds = 5 if pace is Pace.QUICK else 11
        for name, associations, limit in LARGE:
            figures += many.hits(name, associations, limit, rounds=rounds, repeat=associations)
    return figures
