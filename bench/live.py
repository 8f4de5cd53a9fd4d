"""Group live: packets that really travel, and real SCTP, each beside a rival in the same run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from bench import peers
from bench.errors import GuardError
from bench.figures import NO_TARGET, TIMES, Figure, plain
from bench.rounds import Pace, alternate, one_cpu
from bench.wire import CLIENT, LEFT, PORT, RIGHT, SERVER, VIP, Wire, wire
from bench.world import run
from lb.datapath.attach import Attach, inside
from lb.datapath.engine import Engine
from lb.datapath.objects import Sizes
from lb.model import Endpoint, Mode, Pick, Policy, Pool, Protocol, Service

SIZES = Sizes(conversations=1024, handshakes=1024, services=64, endpoints=64)
LENGTH = 64  # bytes of IP packet
LEAST = 5.0  # times nftables
NFT = f"""table ip bench {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        ip daddr {VIP} sctp dport {PORT} dnat to {SERVER}
    }}
}}"""


def policy() -> Policy:
    """One VIP over one endpoint, destination translated."""
    endpoint = Endpoint(name="server", addresses=(ip_address(SERVER),))
    service = Service(
        name="n2",
        vips=(ip_address(VIP),),
        protocol=Protocol.SCTP,
        port=PORT,
        last_port=PORT,
        mode=Mode.DNAT,
        pick=Pick.ROUND_ROBIN,
        pool="amf",
    )
    return Policy(pools={"amf": Pool(name="amf", endpoints=(endpoint,))}, services={"n2": service})


@contextmanager
def ours() -> Iterator[Wire]:
    """The datapath as XDP on both interfaces, an association through it."""
    with wire() as made:
        with inside(made.at("balancer")):
            engine = Engine([LEFT, RIGHT], attach=Attach.XDP, sizes=SIZES, netns=made.at("balancer"))
        try:
            engine.apply(policy())
            made.handshake()
            if len(list(engine.associations())) != 1:
                raise GuardError(f"no association came about, drops are {engine.drops()}")
            yield made
        finally:
            engine.remove()


@contextmanager
def nftables() -> Iterator[Wire]:
    """nftables and conntrack, an association through them. Receive offload makes a veth poll: live frames need it."""
    with wire() as made:
        with inside(made.at("balancer")):
            for interface in (LEFT, RIGHT):
                run("ethtool", "-K", interface, "gro", "on")
            run("nft", NFT)
        made.handshake()
        yield made


def rate(made: Wire, packets: int) -> float:
    """Million packets a second that arrive translated, of as many as one CPU sends and forwards. Raises GuardError."""
    made.expect(CLIENT, SERVER)
    packet = made.data(LENGTH)
    began = time.perf_counter()
    made.emit("client", packet, packets)
    taken = time.perf_counter() - began
    translated, other = made.counted()
    if other or not translated:
        raise GuardError(f"{translated} packets arrived translated, {other} otherwise")
    return translated / taken / 1e6


def throughput(rounds: int, packets: int) -> list[Figure]:
    """Ours and nftables in turn."""
    with one_cpu(), ours() as fast, nftables() as slow:
        runs = alternate(
            {
                "live_mpps": lambda: rate(fast, packets),
                "nft_live_mpps": lambda: rate(slow, packets // 5),
            },
            rounds,
        )
    ratios = sorted(a / b for a, b in zip(runs["live_mpps"], runs["nft_live_mpps"], strict=True))
    ratio = ratios[len(ratios) // 2]
    mine = plain("live_mpps", "Mpps", runs["live_mpps"])
    return [
        Figure(
            name="live_mpps",
            value=mine.value,
            unit="Mpps",
            target=f"≥{LEAST:g}{TIMES} nft_live_mpps",
            met=ratio >= LEAST,
            runs=rounds,
            best=max(runs["live_mpps"]),
            ratio=ratio,
        ),
        Figure(
            name="nft_live_mpps",
            value=plain("", "", runs["nft_live_mpps"]).value,
            unit="Mpps",
            target=NO_TARGET,
            runs=rounds,
            best=max(runs["nft_live_mpps"]),
        ),
    ]


def measure(pace: Pace = Pace.FULL) -> list[Figure]:
    """Every figure of the group."""
    rounds, packets = (3, 500_000) if pace is Pace.QUICK else (5, 2_500_000)
    return [*throughput(rounds, packets), *peers.measure(rounds)]
