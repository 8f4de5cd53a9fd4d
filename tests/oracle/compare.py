"""Runs one sequence through model and datapath, and says where they part."""

from collections import Counter
from dataclasses import dataclass, field

from lb.model import Protocol
from tests.oracle import flows
from tests.oracle.balancer import step
from tests.oracle.driver import Driver
from tests.oracle.frames import SCTP, parse
from tests.oracle.grammar import Change, Send, Step, Wait, next_steps
from tests.oracle.handshake import end
from tests.oracle.leaving import Outcome
from tests.oracle.model import PENDING_LIFE, Model
from tests.oracle.packets import text
from tests.oracle.scenes import ROOM, Scene, scene
from tests.oracle.state import DOWN, Flow, Undetermined

LIVES = {"established": 900.0}
SHUTDOWN_LIFE, BETWEEN_INITS = 30.0, 0.008
ANSWERS = {"xdp": "answer", "tc": "forward"}


class Disagreement(AssertionError):  # noqa: N818  # what it is, not a mistake of ours
    """Model and datapath part; the message is the whole report."""


@dataclass(slots=True)
class Coverage:
    """What has been met: (state, chunk, direction), drop reasons, verdicts."""

    met: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    undetermined: int = 0  # sequences that ended early


def describe(raw: bytes) -> str:
    """A frame in a line."""
    f = parse(raw)
    if f is None:
        return f"no IP, {len(raw)} bytes"
    ends = f"{text(f.src)} > {text(f.dst)} ttl {f.ttl} proto {f.protocol} frag {f.fragment} {f.size} bytes"
    p = f.payload
    if f.protocol != SCTP or len(p) < 16:
        return ends
    ports = f"{int.from_bytes(p[:2], 'big')} > {int.from_bytes(p[2:4], 'big')}"
    return f"{ends} ports {ports} tag {p[4:8].hex()} chunk {p[12]} flags {p[13]}"


def run(driver: Driver, seed: int, length: int, coverage: Coverage, *, strict: bool = False) -> int:
    """One sequence; gives how many packets it had. Raises Disagreement.

    Counters are compared at its end, or with ``strict`` after each step, so that the first wrong one shows itself.
    """
    made = scene(seed)
    made.model.chosen = driver.chosen
    driver.reset()
    driver.apply(made.world)
    scarce = driver.take_records(made.model.free) if made.model.free < ROOM else []
    try:
        return _all_steps(driver, made, length, coverage, strict=strict)
    except Undetermined:
        coverage.undetermined += 1
        return 0
    finally:
        driver.give_records(scarce)


def _all_steps(driver: Driver, made: Scene, length: int, coverage: Coverage, *, strict: bool) -> int:
    done: list[Step] = []
    counted: Counter[str] = Counter()
    for _ in range(length):
        for one in next_steps(made):
            done.append(one)
            wrong = _one(driver, made, one, coverage, counted)
            if not wrong and strict:
                wrong = _counters(driver, counted)
            if wrong:
                raise Disagreement(_report(made, done, one, wrong))
    wrong = _counters(driver, counted) or _rows(driver, made.model)
    if wrong:
        raise Disagreement(_report(made, done, done[-1], wrong))
    return sum(isinstance(one, Send) for one in done)


def _line(one: Step) -> str:
    if isinstance(one, Send):
        return describe(one.raw)
    return str(one)[:300]


def _report(made: Scene, done: list[Step], one: Step, wrong: str) -> str:
    model = made.model
    lines = [f"seed {made.seed}, step {len(done)}, hook {model.hook}: {wrong}", f"policy {made.world}"]
    lines += [f"  {i} {_line(step)}" for i, step in enumerate(done, 1)]
    if isinstance(one, Send):
        lines.append(f"in  {one.raw.hex()}")
    return "\n".join(lines)


def _one(driver: Driver, made: Scene, one: Step, coverage: Coverage, counted: Counter[str]) -> str:
    model = made.model
    if isinstance(one, Change):
        model.world = one.world
        driver.apply(one.world)
        return ""
    if isinstance(one, Wait):
        driver.age(one.seconds)
        model.now += one.seconds
        return _sweep(driver, model) if one.sweep else ""
    return _packet(driver, made, one.raw, coverage, counted)


def _packet(driver: Driver, made: Scene, raw: bytes, coverage: Coverage, counted: Counter[str]) -> str:
    model = made.model
    model.now += BETWEEN_INITS
    driver.age_handshakes(round(BETWEEN_INITS * driver.hz))
    verdict, data = driver.send(model.hook, raw)
    model.homes |= driver.homes()
    outcome = step(model, raw, data if verdict in {"forward", "answer"} else b"")
    counted.update(outcome.reasons)
    _note(coverage, model, raw, outcome)
    wrong = _difference(model, verdict, data, outcome)
    if not wrong and outcome.verdict == "forward":
        made.sent.append(data)
    return wrong


def _note(coverage: Coverage, model: Model, raw: bytes, outcome: Outcome) -> None:
    coverage.reasons.update(outcome.reasons)
    coverage.verdicts[outcome.verdict] += 1
    f = parse(raw)
    if f and f.protocol == SCTP and len(f.payload) > 12 and outcome.verdict == "forward":
        servers = {
            a.packed for p in model.world.policy.pools.values() for e in p.endpoints for a in e.addresses
        }
        coverage.met[model.state, f.payload[12], "down" if f.src in servers else "up"] += 1


def _difference(model: Model, verdict: str, data: bytes, outcome: Outcome) -> str:
    wanted = ANSWERS[model.hook] if outcome.verdict == "answer" else outcome.verdict
    if verdict != wanted:
        wrong = f"verdict {verdict}, the model says {outcome.verdict} {outcome.reasons}"
        return f"{wrong}\nout {describe(data)} {data.hex()}"
    if outcome.check:
        fault = outcome.check(data)
        return f"answer: {fault}\nout {data.hex()}" if fault else ""
    if outcome.verdict == "drop" or data == outcome.data:
        return ""
    if _softly(data, outcome):
        return ""
    return f"bytes\nout  {describe(data)}\n     {data.hex()}\nwant {describe(outcome.data)}\n     {outcome.data.hex()}"


def _softly(data: bytes, outcome: Outcome) -> bool:
    """Equal, once checksums that were wrong on arrival are compared as one's complement numbers."""
    same = bytearray(data)
    for at in outcome.soft:
        mine, theirs = (int.from_bytes(raw[at : at + 2], "big") for raw in (outcome.data, data))
        if mine % 0xFFFF == theirs % 0xFFFF:
            same[at : at + 2] = outcome.data[at : at + 2]
    return bytes(same) == outcome.data


def _counters(driver: Driver, counted: Counter[str]) -> str:
    real = driver.drops()
    return "" if real == dict(counted) else f"counters {real}, the model says {dict(counted)}"


def _patience(flow: Flow) -> float:
    if flow.state != "established":
        return SHUTDOWN_LIFE
    return LIVES["established"] if flow.packets[DOWN] else PENDING_LIFE


def _sweep(driver: Driver, model: Model) -> str:
    found = driver.sweep()
    gone = [a for a in model.associations if model.now - a.last > LIVES.get(a.state, SHUTDOWN_LIFE)]
    for a in gone:
        end(model, a)
    silent = [f for f in {f for f, _ in model.flows.values()} if model.now - f.last > _patience(f)]
    for flow in silent:
        flows.end(model, flow)
    late = [h for h in model.handshakes if not model.live(h)]
    for h in late:
        model.forget(h)
    wanted = {
        "live": len(model.associations) + len(model.flows) // 2,
        "ended": len(gone) + len(silent),
        "pending": len(model.handshakes),
        "expired": len(late),
    }
    return "" if found == wanted else f"sweep {found}, the model says {wanted}"


def _rows(driver: Driver, model: Model) -> str:
    """Every association as the datapath reports it."""
    real: list[tuple[object, ...]] = sorted(
        (
            r.client_tag,
            r.server_tag,
            r.client_port,
            r.service_port,
            r.our_port,
            r.server_port,
            tuple(a.packed for a in r.clients),
            r.state,
            r.packets,
            r.bytes,
        )
        for r in driver.rows()
        if r.protocol is Protocol.SCTP
    )
    mine: list[tuple[object, ...]] = sorted(
        (
            a.tc,
            a.ts,
            a.client_port,
            a.service_port,
            a.our_port,
            a.server_port,
            tuple(a.clients),
            a.state,
            (sum(a.packets[0].values()), sum(a.packets[1].values())),
            (a.octets[0], a.octets[1]),
        )
        for a in model.associations
    )
    real += sorted(
        (r.client_port, r.service_port, r.our_port, r.server_port, r.state, r.packets, r.bytes)
        for r in driver.rows()
        if r.protocol is not Protocol.SCTP
    )
    mine += sorted(
        (f.near[3], f.near[4], f.far[4], f.far[3], f.state, tuple(f.packets), tuple(f.octets))
        for f in {f for f, _ in model.flows.values()}
    )
    if real == mine:
        return ""
    only = [f"- {r}" for r in real if r not in mine] + [f"+ {m}" for m in mine if m not in real]
    return "associations (- datapath, + model)\n" + "\n".join(only)
