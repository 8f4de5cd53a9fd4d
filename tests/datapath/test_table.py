"""Every chunk type, each way, in every state, in each mode and family, with and without port translation.

What must happen is in rules.py. A cell that fails is named with what was wanted and what came.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from lb.datapath.objects import Sizes
from lb.datapath.read import Reader
from lb.model import Mode, Ootb, Policy
from tests.datapath.cell import PORT, PREFIXES, VERDICTS, Cell, Group, Tally
from tests.datapath.conftest import Wire, policy
from tests.datapath.kinds import KINDS, NUMBERS, Kind
from tests.datapath.packets import addresses, chunk, init, parse, sctp
from tests.datapath.rules import TRANSLATED, Outcome, State, Way, outcome

pytestmark = pytest.mark.root
SIZES = Sizes(conversations=1024, handshakes=65_536, services=64, endpoints=64)
GROUPS = tuple(
    Group(mode, family, translated, number)
    for number, (mode, family, translated) in enumerate(product(Mode, (4, 6), (False, True)), 1)
    if not (mode is Mode.DSR and translated)  # it translates nothing
)
RESTARTS = {State.ESTABLISHED, State.RESTART, State.SHUTDOWN, State.ABORTED}  # what an INIT there begins
ENDED = {State.SHUTDOWN, State.ABORTED}  # an INIT after these may get any endpoint


def service(group: Group) -> Policy:
    """The group's service over two endpoints."""
    port = group.server_port if group.translated else 0
    made = policy(group.mode, vips=group.vips, servers=group.servers, server_port=port, port=PORT)
    pools = {group.name: made.pools["amf"]}
    return Policy(pools=pools, services={group.name: made.services["n2"]})


def joined(groups: tuple[Group, ...]) -> Policy:
    """All services side by side; names are the groups'."""
    pools, services = {}, {}
    for group in groups:
        made = service(group)
        pools[group.name] = replace(made.pools[group.name], name=group.name)
        services[group.name] = replace(made.services[group.name], name=group.name, pool=group.name)
    return Policy(pools=pools, services=services)


@pytest.fixture(scope="module", params=["xdp", "tc"])
def table(network: str, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """One datapath for all groups of a hook."""
    wire = Wire(request.param, SIZES)
    wire.apply(joined(GROUPS))
    yield wire
    wire.datapath.close()


def occupy(cell: Cell) -> None:
    """Where ports change: another client holds this client's port at both endpoints."""
    group = cell.group
    if not group.translated or group.mode not in {Mode.FULLNAT, Mode.ONEARM}:
        return
    other = PREFIXES[group.family][0] + "9"
    for tag in (0x70000001, 0x78000001):
        raw = sctp(
            other, group.vips[0], cell.port, PORT, 0, init(tag + cell.tags["old"][0], addresses(other))
        )
        assert cell.wire.send(raw)[0] in VERDICTS


def tags(state: State, kind: Kind) -> str:
    """Which association's: an INIT beside one that is there has new ones."""
    return "new" if state is State.RESTARTED or (kind.name == "INIT" and state in RESTARTS) else "old"


def fate(cell: Cell, way: Way, state: State, kind: Kind) -> tuple[str, bytes, Counter[str]]:
    """What became of the packet: verdict, the packet behind us, what was counted."""
    which = tags(state, kind)
    raw = cell.sent(way, cell.tag(way, kind, which), *cell.chunks(way, kind, which))
    before = Counter(cell.wire.drops())
    verdict, out = cell.wire.send(raw)
    counted = Counter(cell.wire.drops()) - before
    if verdict in VERDICTS and counts(cell, way, state, kind):
        cell.tally.add(way, raw)
    return verdict, out, counted


def counts(cell: Cell, way: Way, state: State, kind: Kind) -> bool:
    """Whether the packet is one of an association, once it has gone through."""
    if kind.rule in {"INIT", "INIT ACK"} or kind.reflected:
        return False
    if state in {State.NONE, State.INIT, State.INIT_ACK, State.COOKIE_ECHO, State.RESTARTED}:
        if cell.group.mode is Mode.DSR:
            return state is State.COOKIE_ECHO or kind.rule == "COOKIE ECHO"
        return way is Way.DOWN and kind.rule == "COOKIE ACK"
    return True


def complaint(cell: Cell, way: Way, state: State, kind: Kind) -> str:
    """What is wrong with this cell; '' if nothing."""
    wanted = outcome(cell.group.mode, way, state, kind.rule)
    verdict, out, counted = fate(cell, way, state, kind)
    word, _, reason = wanted.value.partition(" ")
    if wanted is not Outcome.SENT:
        fine = (verdict, counted) == (word, Counter([reason] if reason else []))
        return "" if fine else f"wanted {wanted.value}, got {verdict} {dict(counted)}"
    if verdict not in VERDICTS or counted:
        return f"wanted translated, got {verdict} {dict(counted)}"
    if kind.name == "INIT" and state in ENDED | {State.NONE}:  # a new pick
        cell.learn(out)
    which = tags(state, kind)
    must = cell.wanted(way, cell.tag(way, kind, which), *cell.chunks(way, kind, which, behind=True))
    if (out[:6], out[12:]) != (must[:6], must[12:]):
        return f"translated to {parse(out)}, wanted {parse(must)}"
    return ""


def end_all(wire: Wire) -> None:
    """Every association ends, so that its counters are banked."""
    for number in range(SIZES.conversations):
        wire.datapath.call("end", conversation=number, how=255)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_chunk_in_every_state(table: Wire, group: Group) -> None:
    """Verdict, bytes, drop counters of each cell; and what the service has counted in the end."""
    wrong: list[str] = []
    tally = Tally()
    number = table.programmer.services.of(table.programmer._names[group.name])
    before = Reader(table.datapath).totals("service", number)
    for i, (state, way, kind) in enumerate(product(State, Way, KINDS)):
        cell = Cell(group, table, i, tally)
        occupy(cell)
        cell.reach(state)
        if found := complaint(cell, way, state, kind):
            wrong.append(f"{state.value} / {way.value} / {kind.name}: {found}")
    end_all(table)
    totals = Reader(table.datapath).totals("service", number)
    assert not wrong, f"{len(wrong)} cells of {table.hook} {group.name}:\n" + "\n".join(wrong[:40])
    assert totals.packets == tuple(b + t for b, t in zip(before.packets, tally.packets, strict=True))
    assert totals.bytes == tuple(b + t for b, t in zip(before.bytes, tally.octets, strict=True))


SILENT = {"ABORT", "SHUTDOWN COMPLETE", "COOKIE ACK", "ABORT with T", "SHUTDOWN COMPLETE with T"}
SILENT |= {"COOKIE ACK, SACK, DATA", "ERROR, ABORT"}
REPORTED = Kind(name="ERROR, ABORT", rule="ABORT", chunks=(chunk(9, bytes(8)), chunk(6)))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("hook", ["xdp", "tc"])
def test_rfc9260_8_4_answers_out_of_the_blue(network: str, hook: str, family: int) -> None:
    """ABORT with the T bit where the service says so, SHUTDOWN COMPLETE to SHUTDOWN ACK, or silence."""
    group = Group(Mode.FULLNAT, family, translated=False, number=1)
    wire = Wire(hook)
    made = service(group)
    services = {name: replace(one, ootb=Ootb.ABORT) for name, one in made.services.items()}
    wire.apply(Policy(pools={"amf": made.pools[group.name]}, services=services))
    asked = [kind for kind in (*KINDS, REPORTED) if kind.name != "INIT"]
    for i, kind in enumerate(asked):
        cell = Cell(group, wire, i, Tally())
        raw = cell.sent(Way.UP, 0x1234, *cell.chunks(Way.UP, kind, "old"))
        verdict, out = wire.send(raw)
        answer = 14 if kind.name == "SHUTDOWN ACK" else 6
        back = sctp(group.vips[0], group.clients[0], PORT, cell.port, 0x1234, chunk(answer, b"", 1))
        same = parse(out) == parse(back) if verdict in VERDICTS else None
        assert same is (None if kind.name in SILENT else True), (kind.name, verdict, parse(out))
    assert wire.drops() == {"ootb": len(asked)}
    wire.datapath.close()


def test_the_table_is_complete() -> None:
    """Types 0 to 14 of RFC 9260, those of its extensions, and an unknown one of each of the four actions."""
    first = {"INIT": 1, "INIT ACK": 2}
    types = {kind.chunks[0][0] if kind.chunks else first[kind.name] for kind in KINDS}
    assert types >= NUMBERS | {15, 64, 0x80, 0x84, 130, 0xC1, 192, 194}
    assert {number >> 6 for number in types - NUMBERS - {15, 64, 0x80, 0x84, 130, 0xC1, 192, 194}} == set(
        range(4)
    )
    assert set(TRANSLATED) == set(product(Way, State))
