"""Every drop reason is reached by a packet, and by that packet no other reason; those that none can reach are named."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from struct import pack

import pytest

from lb.datapath.objects import Sizes
from lb.model import Admin, Mode, Policy, Protocol
from tests.datapath.conftest import Wire, namespace, policy, run, wire_up
from tests.datapath.packets import (
    COOKIE_ACK,
    COOKIE_ECHO,
    INIT_ACK,
    addresses,
    checksum,
    chunk,
    data,
    frame,
    init,
    parameter,
    sctp,
)

pytestmark = pytest.mark.root
CLIENT, OTHER, SERVER, PORT = "10.1.0.2", "10.1.0.3", "10.11.0.2", 38412
N2, CLOSED, EMPTY, PORTS, MIXED, LOST, TWIN, SECOND_TWIN = (f"10.100.0.{i}" for i in range(1, 9))
MIXED6 = "fd00:100::5"
TCP_PORT = 8080
TC, TS = 0x11112222, 0x33334444
TINY = Sizes(conversations=4, handshakes=16, services=8, endpoints=8)
GONE = {"tx", "redirect"}
UNREACHABLE = {
    "none": "no reason at all",
    "impossible": "stands where the verifier wants a branch: a record that a number of ours does not lead to",
}


def services() -> Policy:
    """One service for each way of being refused."""
    made = {
        "n2": policy(vips=(N2, "10.101.0.1")),
        "closed": policy(vips=(CLOSED,), allowed_sources=(ip_network("192.0.2.0/24"),)),
        "empty": policy(vips=(EMPTY,)),
        "ports": policy(vips=(PORTS,), server_port=36412),
        "mixed": policy(vips=(MIXED, MIXED6), servers=((SERVER,),)),
        "lost": policy(vips=(LOST,), servers=(("203.0.113.9",),)),
        "tcp": policy(vips=(N2,), port=TCP_PORT, protocol=Protocol.TCP),
        "twin": policy(Mode.DNAT, vips=(TWIN,), port=53, protocol=Protocol.UDP),
        "second": policy(Mode.DNAT, vips=(SECOND_TWIN,), port=53, protocol=Protocol.UDP),
    }
    pools = {name: replace(one.pools["amf"], name=name) for name, one in made.items()}
    down = tuple(replace(endpoint, admin=Admin.DOWN) for endpoint in pools["empty"].endpoints)
    pools["empty"] = replace(pools["empty"], endpoints=down)
    found = {name: replace(one.services["n2"], name=name, pool=name) for name, one in made.items()}
    return Policy(pools=pools, services=found)


class Bench:
    """A datapath and what it counted."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._port = 20_000

    def port(self) -> int:
        """A client port that nobody has used."""
        self._port += 1
        return self._port

    def send(self, raw: bytes) -> tuple[str, Counter[str]]:
        """Verdict, and what was counted for this packet."""
        before = Counter(self.wire.drops())
        verdict, _ = self.wire.send(raw)
        return verdict, Counter(self.wire.drops()) - before

    def must(self, raw: bytes) -> None:
        """A packet that goes through."""
        assert self.wire.send(raw)[0] in GONE, self.wire.drops()

    def begin(self, sport: int, client: str = CLIENT, tag: int = TC) -> int:
        """INIT; gives the port that the endpoint sees."""
        return self.wire.through(sctp(client, N2, sport, PORT, 0, init(tag, addresses(client)))).sport

    def associate(self, sport: int, client: str = CLIENT, tag: int = TC, server_tag: int = TS) -> int:
        """A whole handshake; gives the port that the endpoint sees."""
        ours = self.begin(sport, client, tag)
        self.must(sctp(SERVER, N2, PORT, ours, tag, init(server_tag, addresses(SERVER), INIT_ACK)))
        self.must(sctp(client, N2, sport, PORT, server_tag, chunk(COOKIE_ECHO, b"cookie!!")))
        self.must(sctp(SERVER, N2, PORT, ours, tag, chunk(COOKIE_ACK)))
        return ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``packet`` prepares and gives what is refused; ``verdicts`` and other reasons where it is more than a drop."""

    reason: str
    packet: Callable[[Bench], bytes]
    verdicts: frozenset[str] = frozenset({"drop"})
    beside: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ("xdp", "tc")
    tiny: bool = False


def dials(vip: str = N2, tag: int = 0, body: bytes = b"", client: str = CLIENT) -> Callable[[Bench], bytes]:
    """An INIT."""
    return lambda bench: sctp(client, vip, bench.port(), PORT, tag, body or init(TC))


def known(*chunks: bytes, client: str = CLIENT, ttl: int = 64) -> Callable[[Bench], bytes]:
    """A client's packet of an association."""

    def make(bench: Bench) -> bytes:
        sport = bench.port()
        bench.associate(sport)
        return sctp(client, N2, sport, PORT, TS, *chunks, ttl=ttl)

    return make


def _cut(bench: Bench) -> bytes:
    return sctp(CLIENT, N2, bench.port(), PORT, 1, data())[:-4]


def _odd(bench: Bench) -> bytes:
    return frame(CLIENT, N2, 132, pack(">HHII", bench.port(), PORT, 1, 0) + bytes(6))


def _clash(bench: Bench) -> bytes:
    sport = bench.port()
    first, second = bench.begin(sport, CLIENT, 5), bench.begin(sport, OTHER, 6)
    bench.must(sctp(SERVER, N2, PORT, first, 5, init(TS, b"", INIT_ACK)))
    return sctp(SERVER, N2, PORT, second, 6, init(TS, b"", INIT_ACK))


def _unechoed(bench: Bench) -> bytes:
    ours = bench.begin(bench.port())
    bench.must(sctp(SERVER, N2, PORT, ours, TC, init(TS, b"", INIT_ACK)))
    return sctp(SERVER, N2, PORT, ours, TC, chunk(COOKIE_ACK))


def _elsewhere(bench: Bench) -> bytes:
    return sctp(SERVER, CLOSED, PORT, bench.associate(bench.port()), TC, data())


def _large(bench: Bench) -> bytes:
    return sctp(SERVER, N2, PORT, bench.associate(bench.port()), TC, data(bytes(2000)))


def _first_fragment(bench: Bench) -> bytes:
    return _fragment(sctp(CLIENT, PORTS, bench.port(), PORT, 0, init(TC)), 0x2000)


def _fragment(raw: bytes, offset: int) -> bytes:
    head = raw[14:20] + pack(">H", offset) + raw[22:24] + b"\0\0" + raw[26:34]
    return raw[:14] + head[:10] + pack(">H", checksum(head)) + head[12:] + raw[34:]


def _later_fragment(bench: Bench) -> bytes:
    return _fragment(sctp(CLIENT, N2, bench.port(), PORT, TS, data()), 100)


def tcp(flags: int, dport: int = TCP_PORT, size: int = 20) -> Callable[[Bench], bytes]:
    """A TCP segment, cut to a size; its checksum is not looked at."""

    def make(bench: Bench) -> bytes:
        head = pack(">HHIIBBHHH", bench.port(), dport, 1, 0, 0x50, flags, 1000, 0, 0)
        return frame(CLIENT, N2, 6, head[:size])

    return make


def _twin(bench: Bench) -> bytes:
    body = pack(">HHHH", bench.port(), 53, 8, 0)
    bench.must(frame(CLIENT, TWIN, 17, body))
    return frame(CLIENT, SECOND_TWIN, 17, body)


def _limited(bench: Bench) -> bytes:
    raw = known(data(), ttl=1)(bench)
    for _ in range(20_000):
        if bench.send(raw)[1]["icmp_limit"]:
            return raw
    raise AssertionError("no limit was met")


def _no_room(bench: Bench) -> bytes:
    return sctp(CLIENT, N2, bench.port(), PORT, 0, init(TC, parameter(0xC123, bytes(3444))))


def _tagged(bench: Bench) -> bytes:
    sport = bench.port()
    bench.associate(sport)
    return sctp(CLIENT, N2, sport, PORT, TS, data(), vlan=5)


def _full(bench: Bench) -> bytes:
    for i in range(TINY.conversations):
        bench.associate(bench.port(), tag=100 + i, server_tag=200 + i)
    sport = bench.port()
    ours = bench.begin(sport, tag=99)
    bench.must(sctp(SERVER, N2, PORT, ours, 99, init(TS, b"", INIT_ACK)))
    bench.must(sctp(CLIENT, N2, sport, PORT, TS, chunk(COOKIE_ECHO)))
    return sctp(SERVER, N2, PORT, ours, 99, chunk(COOKIE_ACK))


def _many(bench: Bench, *, answered: bool) -> bytes:
    """INITs until the next one finds its bucket full; that one is given."""
    for tag in range(1000, 1100):
        sport = bench.port()
        raw = sctp(CLIENT, N2, sport, PORT, 0, init(tag))
        verdict, out = bench.wire.send(raw)
        if (bench.wire.drops().keys() & {"evicted", "pending_full"}) or verdict not in GONE:
            return sctp(CLIENT, N2, bench.port(), PORT, 0, init(tag))
        if answered:
            ours = int.from_bytes(out[34:36], "big")
            bench.must(sctp(SERVER, N2, PORT, ours, tag, init(tag << 8, b"", INIT_ACK)))
    raise AssertionError("no bucket is full")


NINE = addresses(*(f"10.1.1.{i}" for i in range(1, 10)))
SENT = frozenset(GONE)
CASES = (
    Case(reason="ip_length", packet=_cut),
    Case(reason="sctp_length", packet=_odd),
    Case(reason="sctp_length", packet=known(pack(">BBH", 3, 0, 3))),
    Case(reason="zero_port", packet=lambda _: sctp(CLIENT, N2, 0, PORT, TS, data())),
    Case(reason="zero_tag", packet=dials(body=data())),
    Case(reason="init_tag", packet=dials(tag=7)),
    Case(reason="init_bundled", packet=dials(body=init(TC) + data())),
    Case(reason="init_malformed", packet=dials(body=init(0))),
    Case(reason="init_malformed", packet=dials(body=init(TC, pack(">HH", 5, 7) + bytes(4)))),
    Case(reason="too_many_addresses", packet=dials(body=init(TC, NINE)), verdicts=SENT),
    Case(reason="host_name", packet=dials(body=init(TC, parameter(11, b"gnb.\0"))), verdicts=SENT),
    Case(reason="source_not_allowed", packet=dials(CLOSED)),
    Case(reason="endpoint_init", packet=dials(client=SERVER)),
    Case(reason="no_endpoint", packet=dials(EMPTY), verdicts=SENT),
    Case(reason="table_full", packet=_full, tiny=True),
    Case(reason="pending_full", packet=lambda b: _many(b, answered=True), tiny=True),
    Case(reason="evicted", packet=lambda b: _many(b, answered=False), tiny=True, verdicts=SENT),
    Case(reason="ports_exhausted", packet=_twin),
    Case(reason="tag_clash", packet=_clash),
    Case(reason="handshake_order", packet=_unechoed),
    Case(reason="ootb", packet=lambda b: sctp(CLIENT, N2, b.port(), PORT, 9, data())),
    Case(reason="foreign_source", packet=known(data(), client=OTHER)),
    Case(reason="foreign_destination", packet=_elsewhere),
    Case(reason="no_path", packet=dials(MIXED6, client="fd00::2")),
    Case(reason="asconf", packet=known(chunk(0xC1, bytes(8)))),
    Case(reason="ttl", packet=known(data(), ttl=1), verdicts=SENT),
    Case(reason="too_big", packet=_large, verdicts=SENT),
    Case(reason="no_route", packet=dials(LOST)),
    Case(reason="fragment", packet=_later_fragment, hooks=("tc",)),
    Case(reason="fragment_ports", packet=_first_fragment),
    Case(reason="no_flow", packet=tcp(0x10)),
    Case(reason="no_service", packet=tcp(2, dport=22)),
    Case(reason="no_service", packet=lambda b: sctp(CLIENT, N2, b.port(), 22, 0, init(TC))),
    Case(reason="icmp_limit", packet=_limited, beside=("ttl",)),
    Case(reason="resize", packet=_no_room, hooks=("xdp",), verdicts=SENT),
    Case(reason="resize", packet=_tagged, hooks=("tc",)),
    Case(reason="transport_length", packet=tcp(2, size=16)),
)


@pytest.fixture(scope="module")
def roomy() -> Iterator[None]:
    """A namespace whose first endpoint link takes long packets."""
    with namespace():
        wire_up()
        for end in ("v2", "p2"):
            run("ip", "link", "set", end, "mtu", "9000")
        yield


@pytest.fixture(scope="module", params=["xdp", "tc"])
def bench(roomy: None, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One datapath a hook for all reasons but those of full tables."""
    wire = Wire(request.param)
    wire.apply(services())
    yield Bench(wire)
    wire.datapath.close()


def check(bench: Bench, case: Case) -> str:
    """What is wrong; '' if nothing."""
    raw = case.packet(bench)
    verdict, counted = bench.send(raw)
    if verdict in case.verdicts and counted == Counter([case.reason, *case.beside]):
        return ""
    return f"{case.reason}: {verdict} {dict(counted)}"


def end_all(bench: Bench) -> None:
    """No association is left to the next case."""
    for number in range(bench.wire.datapath.sizes.conversations):
        bench.wire.datapath.call("end", conversation=number, how=255)


def test_each_reason_is_reached(bench: Bench) -> None:
    """By its packet, once, and nothing else is counted."""
    wrong = []
    for case in CASES:
        if bench.wire.hook in case.hooks and not case.tiny:
            wrong.append(check(bench, case))
            end_all(bench)
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("hook", ["xdp", "tc"])
@pytest.mark.parametrize("case", [case for case in CASES if case.tiny], ids=lambda case: case.reason)
def test_reasons_of_full_tables_are_reached(roomy: None, hook: str, case: Case) -> None:
    """Each on a datapath of four associations and sixteen handshakes."""
    wire = Wire(hook, TINY)
    wire.apply(policy())
    assert not check(Bench(wire), case)
    wire.datapath.close()


def test_the_table_names_every_reason(bench: Bench) -> None:
    """A new reason needs a packet here, or a word why there is none."""
    reasons = {name.removeprefix("REASON_").lower() for name in bench.wire.reasons.values()} - {"count"}
    assert {case.reason for case in CASES} | UNREACHABLE.keys() == reasons
    assert not {case.reason for case in CASES} & UNREACHABLE.keys()
    assert ip_address(SERVER) in services().pools["n2"].endpoints[0].addresses
