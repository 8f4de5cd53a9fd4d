"""Scenarios: named stories over a lab, each a series of steps with a measured effect that held or did not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from telco.errors import TelcoError

from . import state
from .echo import WHOLE, dial, finish, paths, serve, wait_for_state
from .errors import LabError, LabTopologyError
from .lab import Lab
from .topologies import topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was done, what was measured, and whether it was as it must be."""

    title: str
    effect: str
    held: bool


Story = Callable[[Lab], Iterator[Step]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story and the topology it needs."""

    name: str
    topology: str
    summary: str
    story: Story


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, *, on: str) -> Callable[[Story], Story]:
    """Register a story under a name; its docstring's first line is the summary."""

    def register(story: Story) -> Story:
        summary = (story.__doc__ or name).splitlines()[0]
        SCENARIOS[name] = Scenario(name=name, topology=topology(on).name, summary=summary, story=story)
        return story

    return register


def up(name: str, *, lab: str = "lab") -> Lab:
    """Make a lab that outlives this process, until `down`."""
    return Lab.up(topology(name), name=lab, owned=False)


def down(*, lab: str = "lab") -> None:
    """Remove a lab whatever its state, and what killed processes left; none there is no error."""
    Lab.clear(lab)
    state.sweep()


def run(name: str, *, lab: str = "scenario") -> Iterator[Step]:
    """Make a lab, yield a scenario's steps as they happen, remove the lab; a LabError is a failed step."""
    if name not in SCENARIOS:
        raise LabTopologyError(f"scenario: {name!r} is none of {sorted(SCENARIOS)}")
    found = SCENARIOS[name]
    made = Lab.up(topology(found.topology), name=lab)
    last = "the beginning"
    try:
        for step in found.story(made):
            last = step.title
            yield step
    except (LabError, TelcoError) as error:
        yield Step(title=f"what comes after “{last}”", effect=str(error), held=False)
    finally:
        made.down()


@scenario("failover", on="small")
def failover(lab: Lab) -> Iterator[Step]:
    """A client's cable is cut and mended under traffic, over plain forwarding: what SCTP does by itself."""
    lab.forwarding(on=True)
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    first = amf.addresses[0]
    serve(amf)
    client = dial(gnb, amf.addresses, "--interval", 5)
    took = client.expect("up")["ms"]
    for address in amf.addresses:
        wait_for_state(client, address, "ACTIVE")
    yield Step(title="multi-homed association", effect=f"up in {took} ms, both paths active", held=True)
    lab.faults.cut("gnb1", 0)
    noticed = wait_for_state(client, first, "INACTIVE")
    alive = paths(client)[amf.addresses[1]].state != "INACTIVE"
    yield Step(title="cable cut", effect=f"path given up after {noticed * 1e3:.0f} ms", held=alive)
    lab.faults.mend("gnb1", 0)
    back = wait_for_state(client, first, "ACTIVE")
    yield Step(title="cable mended", effect=f"path active again after {back * 1e3:.0f} ms", held=True)
    report = finish(client)
    effect = f"{report['delivered']} of {report['sent']} delivered, longest pause {report['max_gap_ms']} ms"
    yield Step(title="messages", effect=effect, held=report.items() >= WHOLE.items())
