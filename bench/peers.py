"""Real SCTP hosts around the datapath: how much longer an echo takes through it, and how long a cut cable hurts."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from statistics import median

from free5gc_lab.capture import Capture
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.errors import LabError
from free5gc_lab.lab import Lab
from free5gc_lab.remote import Program
from free5gc_lab.topologies import topology

from bench.errors import BenchError, GuardError
from bench.figures import NO_TARGET, Figure, at_most
from bench.policies import PORT
from lb.datapath.attach import Attach, Hooks, inside
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.program import Programmer
from lb.model import Endpoint, Mode, Paths, Pick, Policy, Pool, Protocol, Service

SIZES = Sizes(conversations=1024, handshakes=1024, services=64, endpoints=64)
CLIENT, SERVER = "gnb1", "amf1"
ECHOES = 500  # of a round, one under way at a time
MOST = 1.05  # times plain forwarding
INTERVAL_MS = 2  # between messages while a cable is cut
AFTERWARDS = 100  # echoes that show that all is well again
PATIENCE_S = 20.0
DATA = 0
HEADER = 12  # bytes of SCTP before its first chunk


def policy(lab: Lab) -> Policy:
    """The lab's VIPs over the server, both paths."""
    endpoint = Endpoint(name=SERVER, addresses=tuple(map(ip_address, lab.host(SERVER).addresses)))
    service = Service(
        name="n2",
        vips=tuple(map(ip_address, lab.topology.vips)),
        protocol=Protocol.SCTP,
        port=PORT,
        last_port=PORT,
        mode=Mode.FULLNAT,
        pick=Pick.ROUND_ROBIN,
        pool="amf",
    )
    pool = Pool(name="amf", endpoints=(endpoint,), paths=Paths.MIRROR)
    return Policy(pools={"amf": pool}, services={"n2": service})


@contextmanager
def small_lab() -> Iterator[tuple[Lab, Datapath]]:
    """A client and a server of two homes each, an echo server, a kernel that routes between them, our datapath."""
    lab = Lab.up(topology("small"), name=f"b{os.getpid()}")
    try:
        lab.forwarding(on=True)
        serve(lab.host(SERVER))
        datapath = Datapath(sizes=SIZES)
        Programmer(datapath).apply(policy(lab))
        try:
            yield lab, datapath
        finally:
            datapath.close()
    finally:
        lab.down()


@contextmanager
def attached(lab: Lab, datapath: Datapath) -> Iterator[None]:
    """The datapath on every interface of the balancer."""
    hooks = Hooks(datapath.programs["telco_xdp"], datapath.programs["telco_tc"])
    try:
        with inside(lab.balancer):
            for subnet in lab.topology.subnets:
                hooks.attach(subnet.name, Attach.XDP)
        yield
    finally:
        hooks.detach()


def echo_us(lab: Lab, peer: str) -> float:
    """Median round trip of a message over a fresh association, in µs. Raises GuardError where one goes astray."""
    client = dial(lab.host(CLIENT), [peer], "--count", ECHOES, "--window", 1)
    report = client.expect("done", timeout_s=30)
    client.wait()
    if report.items() < (WHOLE | {"delivered": ECHOES}).items():
        raise GuardError(f"echoes through {peer}: {report}")
    return float(str(report["rtt_p50_ms"])) * 1e3


def echoes(lab: Lab, datapath: Datapath, rounds: int) -> list[Figure]:
    """Through us and through the kernel's own forwarding alone, in turn."""
    through, plain = [], []
    for _ in range(rounds + 1):
        plain.append(echo_us(lab, lab.host(SERVER).addresses[0]))
        with attached(lab, datapath):
            through.append(echo_us(lab, lab.topology.vips[0]))
    through, plain = through[1:], plain[1:]  # a first round warms up
    ratios = [ours / theirs for ours, theirs in zip(through, plain, strict=True)]
    figures = [at_most("echo_rtt_ratio", "", ratios, MOST)]
    for name, values in (("echo_rtt_us", through), ("echo_plain_rtt_us", plain)):
        figures.append(Figure(name=name, value=median(values), unit="µs", runs=rounds, best=min(values)))
    return figures


def _crossing_ms(arriving: Capture, leaving: Capture) -> float:
    """The first DATA on the living path: from the client's cable to the endpoint's. Raises GuardError."""
    gone = {
        frame.sctp[HEADER:]: frame.time_ns
        for frame in reversed(leaving.frames)
        if frame.sctp and frame.towards_host
    }
    for frame in arriving.frames:
        if frame.sctp and not frame.towards_host and frame.sctp[HEADER] == DATA:
            if frame.sctp[HEADER:] not in gone:
                raise GuardError("the first packet on the living path did not reach the endpoint")
            return (gone[frame.sctp[HEADER:]] - frame.time_ns) / 1e6
    raise GuardError("nothing came by the living path")


def failover(lab: Lab) -> tuple[float, float]:
    """The longest pause between two deliveries around a cut of the client's first cable, and our part of it; ms."""
    client = dial(lab.host(CLIENT), lab.topology.vips[:1], "--interval", INTERVAL_MS)
    client.expect("up")
    wait_for_state(client, lab.topology.vips[1], "ACTIVE")
    with Capture(*_cable(lab, CLIENT)) as arriving, Capture(*_cable(lab, SERVER)) as leaving:
        lab.faults.cut(CLIENT, 0)
        _wait_for_echoes(client, _delivered(client) + AFTERWARDS)
    lab.faults.mend(CLIENT, 0)
    report = finish(client)
    if report.items() < WHOLE.items():
        raise GuardError(f"messages were lost: {report}")
    return float(str(report["max_gap_ms"])), _crossing_ms(arriving, leaving)


def _delivered(client: Program) -> int:
    return int(str(client.ask("report", "report")["delivered"]))


def _wait_for_echoes(client: Program, count: int) -> None:
    """Raises GuardError where they do not come."""
    deadline = time.monotonic() + PATIENCE_S
    while _delivered(client) < count:
        if time.monotonic() > deadline:
            raise GuardError(f"no more echoes {PATIENCE_S:g} s after the cable was cut")
        time.sleep(0.05)


def _cable(lab: Lab, host: str) -> tuple[str, str]:
    """Namespace and interface at the host's end of its second cable."""
    watch = lab.capture(host, 1)
    return watch.namespace, watch.interface


def failovers(lab: Lab, datapath: Datapath, rounds: int) -> list[Figure]:
    """Cut, mend, again."""
    with attached(lab, datapath):
        runs = [failover(lab) for _ in range(rounds)]
    gaps, ours = zip(*runs, strict=True)
    settings = lab.sctp
    told = (
        f"RTO {settings.rto_min} to {settings.rto_max} ms, initially {settings.rto_initial} ms; SACK delay "
        f"{settings.sack_timeout} ms; Path.Max.Retrans {settings.path_max_retrans}; heartbeats every "
        f"{settings.hb_interval} ms; a message every {INTERVAL_MS} ms"
    )
    return [
        Figure(
            name="failover_ms",
            value=median(gaps),
            unit="ms",
            target=NO_TARGET,
            runs=rounds,
            best=min(gaps),
            detail=told,
        ),
        at_most("failover_ours_ms", "ms", list(ours), 1.0),
    ]


def measure(rounds: int) -> list[Figure]:
    """All that needs SCTP hosts. Raises BenchError where the lab cannot be made."""
    try:
        with small_lab() as (lab, datapath):
            return [*echoes(lab, datapath, rounds), *failovers(lab, datapath, rounds)]
    except LabError as error:
        raise BenchError(str(error)) from error
