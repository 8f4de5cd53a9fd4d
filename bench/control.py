"""Group control: pushes, restarts and memory of the daemon as it is started, and what the command line costs."""

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.daemon import Daemon, compiled, daemon
from bench.errors import BenchError, GuardError
from bench.figures import Figure, at_most, plain
from bench.maptime import map_time
from bench.policies import PORT, VIPS
from bench.population import populate
from bench.rounds import Pace
from bench.world import SERVERS, World, namespace, wire_up
from lb.datapath.objects import Datapath
from lb.datapath.program import Programmer
from lb.datapath.vips import VipTable
from telco.policy import build
from telco.resources import check

SERVICES, POOLS = 100_000, 64
PORTS_EACH = 1_000  # services that share a pair of VIPs
ASSOCIATIONS = 524_288  # two entries each: a million
MB = 1 << 20
SETTLED_S = 1.0  # after the start: all that is loaded late is there
RUNS = {Pace.QUICK: 1, Pace.BRIEF: 5, Pace.FULL: 5}
SLOW_RUNS = {Pace.QUICK: 1, Pace.BRIEF: 3, Pace.FULL: 5}  # of what takes several seconds


def endpoints(pool: int) -> list[dict[str, Any]]:
    """Four endpoints of a pool as a policy has them."""
    return [{"name": f"e{i}", "addresses": [f"10.{20 + pool}.0.{i + 1}"]} for i in range(4)]


def large_policy() -> list[dict[str, Any]]:
    """100,000 services with two VIPs each over 64 pools."""
    resources: list[dict[str, Any]] = [
        {"kind": "Pool", "name": f"p{i}", "spec": {"endpoints": endpoints(i)}} for i in range(POOLS)
    ]
    for i in range(SERVICES):
        pair, port = divmod(i, PORTS_EACH)
        spec = {
            "vips": [f"10.100.{pair}.1", f"10.101.{pair}.1"],
            "port": 10_000 + port,
            "mode": "fullnat",
            "pool": f"p{i % POOLS}",
        }
        resources.append({"kind": "Service", "name": f"s{i}", "spec": spec})
    return resources


def small_policy() -> list[dict[str, Any]]:
    """The service that associations are made of: bench.policies.many_endpoints as a document."""
    servers = [{"name": f"amf-{i}", "addresses": [server]} for i, server in enumerate(SERVERS)]
    spec = {"vips": list(VIPS["fullnat"]), "port": PORT, "mode": "fullnat", "pool": "amf", "pick": "rr"}
    return [
        {"kind": "Pool", "name": "amf", "spec": {"endpoints": servers, "paths": "mirror"}},
        {"kind": "Service", "name": "n2", "spec": spec},
    ]


def pushes(runs: int) -> list[Figure]:
    """First byte of the request to the answer that all is applied, each into a daemon that has no service.

    And what memory the daemon takes, with a small policy and with the large one.
    """
    small, large = (json.dumps(document).encode() for document in (small_policy(), large_policy()))
    taken, resident, anonymous = [], [], []
    with daemon() as served:
        for _ in range(runs):
            served.start()
            served.push(small)
            served.ask("GET", "/metrics")
            time.sleep(SETTLED_S)
            found = served.memory_mb()
            resident.append(found["VmRSS"])
            anonymous.append(found["RssAnon"])
            began = time.perf_counter()
            applied = served.push(large)
            taken.append(time.perf_counter() - began)
            if applied["changes"] != SERVICES + POOLS + len(small_policy()):
                raise GuardError(
                    f"{SERVICES + POOLS} resources were pushed, {applied['changes']} changes applied"
                )
            grown = served.memory_mb()["VmRSS"]
            served.forget()
    return [
        at_most("push_100k_s", "s", taken, 5),
        plain("push_100k_body_mb", "MB", [len(large) / MB]),
        plain("push_100k_rss_mb", "MB", [grown]),
        at_most("daemon_rss_mb", "MB", resident, 120),
        plain("daemon_anonymous_mb", "MB", anonymous),
        at_most("kernel_maps_mb", "MB", [kernel_maps_mb()], 128),
    ]


def map_writes(runs: int) -> Figure:
    """The same policy into the maps of a fresh datapath: time within the kernel's map operations alone."""
    gc.disable()  # what is collected meanwhile is no part of the figure, and takes long
    policy, _ = build(check(large_policy()))
    taken = []
    datapath = Datapath()
    for _ in range(runs):
        programmer = Programmer(datapath)
        with map_time() as spent:
            programmer.apply(policy)
        taken.append(spent.ns / 1e6)
        there = len(VipTable(datapath).items())
        if there != 2 * (SERVICES + SERVICES // PORTS_EACH):  # each port, and of each VIP the set of lengths
            raise GuardError(f"{there} VIP entries are in the table")
        for found in (VipTable(datapath), datapath.maps["members"]):
            found.delete_batch(list(found.items()))
    datapath.close()
    gc.enable()
    return at_most("push_100k_map_ms", "ms", taken, 150)


def _restart(served: Daemon) -> tuple[float, float]:
    """Kill the daemon and start it again: ms until it is ready, and until another route of its API has answered."""
    served.stop()
    began = time.perf_counter()
    ready = served.start() * 1e3
    status, body = served.ask("GET", "/api/v1/policy")
    if status != 200 or len(json.loads(body)) != len(small_policy()):
        raise GuardError(f"a daemon that is ready answers {status} {body[:100]!r}")
    return ready, (time.perf_counter() - began) * 1e3


def adoptions(runs: int) -> list[Figure]:
    """A warm restart over a million entries, all of which are there afterwards."""
    with daemon(associations=ASSOCIATIONS) as served:
        served.start()
        served.push(json.dumps(small_policy()).encode())
        served.stop()
        here = World(Datapath(pins=served.pins), ("control",))
        populate(here, ASSOCIATIONS)
        here.close()
        served.start()
        taken = [_restart(served) for _ in range(runs)]
        there = Datapath(pins=served.pins)
        found = there.btf.layout("sweep").number(there.call("sweep", conversations=ASSOCIATIONS), "live")
        there.close()
        if found != ASSOCIATIONS:
            raise GuardError(f"{found} of {ASSOCIATIONS} associations were adopted")
    ready, answered = map(list, zip(*taken, strict=True))
    return [at_most("adopt_1m_ms", "ms", ready, 500), plain("adopt_1m_answer_ms", "ms", answered)]


def kernel_maps_mb() -> float:
    """What the kernel says that the maps of a default datapath take."""
    datapath, total = Datapath(), 0
    for found in datapath.maps.values():
        lines = Path(f"/proc/self/fdinfo/{found.fd}").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("memlock:"))
    datapath.close()
    return total / MB


def command_line(runs: int) -> Figure:
    """The `telco` command's help, from start to end."""
    taken = [_command(("--help",), compiled()) for _ in range(runs + 1)]
    return at_most("cli_start_ms", "ms", taken[1:], 200)


def _command(words: tuple[str, ...], environment: dict[str, str]) -> float:
    """ms from start to end. Raises BenchError."""
    command = [str(Path(sys.executable).parent / "telco"), *words]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    taken = (time.perf_counter() - began) * 1e3
    if done.returncode:
        raise BenchError(f"telco {' '.join(words)}: {done.stderr.decode()}")
    return taken


def measure(pace: Pace = Pace.FULL) -> list[Figure]:
    """Every figure of the group."""
    runs, slow = RUNS[pace], SLOW_RUNS[pace]
    figures = [*pushes(slow), command_line(9), *adoptions(runs)]
    with namespace():
        wire_up()
        figures.append(map_writes(slow))
    return figures
