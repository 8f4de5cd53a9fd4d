"""Group stress: two CPUs insert into, delete from and hit one table; then its invariants are checked from outside."""

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection

from bench.errors import BenchError
from bench.figures import NO_TARGET, Figure
from bench.invariants import broken
from bench.policies import many_endpoints
from bench.population import packets_of, prepare
from bench.rounds import Pace
from bench.world import World, world
from lb.datapath.objects import Sizes

SIZES = Sizes(conversations=4096, handshakes=64, services=64, endpoints=64)
RANGE = 1_900  # associations of a worker: both together fill the table nearly to its load of one half
SHARED = 64  # associations that both workers make and end, without asking each other
CLASHES = 50_000  # times of that in each cycle: some 25 milliseconds
HITS = 200_000  # packets of one call: some 20 milliseconds, which is also what the kernel takes to begin
SECONDS = 30.0


@dataclass(slots=True)
class Worker:
    """One CPU's share: its own range, its neighbour's, and the shared one."""

    world: World
    number: int
    cpu: int
    until: float
    errors: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def run(self, tell: Connection) -> None:
        """Until time is up; ends with its own range established, and tells errors and what was done."""
        os.sched_setaffinity(0, {self.cpu})
        while time.monotonic() < self.until:
            self._establish()
            self._hit_own()
            self._hit((1 - self.number) * RANGE, RANGE)
            self._clash()
            ended = self.world.call("demolish", first=self.number * RANGE, count=RANGE)["ended"]
            self.errors["not deleted"] += RANGE - ended
            self.done["deleted"] += ended
        self._establish()
        tell.send((self.errors, self.done))

    def _establish(self) -> None:
        made = self.world.call("establish", first=self.number * RANGE, count=RANGE, reserve=1)["made"]
        self.errors["not inserted"] += RANGE - made
        self.done["inserted"] += made

    def _hit_own(self) -> None:
        self.errors["live but not found"] += self._hit(self.number * RANGE, RANGE)

    def _clash(self) -> None:
        done = self.world.call("clash", first=2 * RANGE, range=SHARED, count=CLASHES)
        self.done["shared made"] += done["made"]
        self.done["shared ended"] += done["ended"]

    def _hit(self, first: int, associations: int) -> int:
        """Send to these; how many packets found nothing. A wrong translation is an error always."""
        element = self.world.maps["strains"]
        layout = self.world.layouts["strain"]
        count = layout.number(element[self.number], "count")
        element[self.number] = layout.pack(count=count, first=first, range=associations)
        self.world.send(f"bench_strain_{self.number}", packets_of(0)[0], HITS)
        after = element[self.number]
        translated, refused, wrong = (
            layout.number(after, name) for name in ("translated", "refused", "wrong")
        )
        self.errors["translated wrongly"] += wrong
        self.errors["not counted"] += HITS - translated - refused - wrong
        self.done["translated"] += translated
        return refused


def _both(here: World, cpus: list[int], until: float) -> tuple[Counter[str], Counter[str]]:
    """A process for each CPU: two threads of one Python would wait for each other. Raises BenchError."""
    context, errors, done = get_context("fork"), Counter[str](), Counter[str]()
    running = []
    for number in (0, 1):
        receive, send = context.Pipe(duplex=False)
        worker = Worker(world=here, number=number, cpu=cpus[number], until=until)
        process = context.Process(target=worker.run, args=(send,))
        process.start()
        send.close()
        running.append((process, receive))
    for process, receive in running:
        try:
            told = receive.recv()
        except EOFError as error:
            raise BenchError("a worker of group stress died") from error
        process.join()
        errors.update(told[0])
        done.update(told[1])
    return errors, done


def strain(here: World, seconds: float) -> tuple[Counter[str], Counter[str]]:
    """Errors and what was done, by name. Raises BenchError on a machine of one CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BenchError("group stress needs two CPUs")
    errors, done = _both(here, cpus, time.monotonic() + seconds)
    done["shared ended"] += here.call("demolish", first=2 * RANGE, count=SHARED)["ended"]
    errors["shared made, not ended"] += abs(done["shared made"] - done["shared ended"])
    errors.update(broken(here, live=2 * RANGE))
    here.call("demolish", first=0, count=2 * RANGE)
    errors.update({f"{what}, all deleted": count for what, count in broken(here, live=0).items()})
    drained = here.call("drain", most=SIZES.conversations)
    errors["slots lost"] += SIZES.conversations - drained["drained"]
    errors["live, but in the queue of unused"] += drained["wrong"]
    return +errors, done


def measure(pace: Pace = Pace.FULL) -> list[Figure]:
    """Every figure of the group. Errors are named beside the figure."""
    with world(many_endpoints(), SIZES, ("control", "stress")) as here:
        prepare(here)
        errors, done = strain(here, SECONDS / 10 if pace is Pace.QUICK else SECONDS)
    if not done["inserted"] or not done["translated"]:
        raise BenchError(f"nothing was stressed: {dict(done)}")
    total = sum(errors.values())
    figures = [
        Figure(
            name="sctp_stress_errors",
            value=total,
            unit="",
            detail=", ".join(f"{count} {what}" for what, count in errors.items()),
            target="0",
            met=total == 0,
        )
    ]
    for what in ("inserted", "deleted", "translated", "shared made"):
        name = f"sctp_stress_{what.replace(' ', '_')}"
        figures.append(Figure(name=name, value=done[what], unit="", target=NO_TARGET))
    return figures
