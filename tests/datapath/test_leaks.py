"""fullnat and onearm: a side's own addresses are nowhere in what reaches the other, in every state."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import product
from struct import pack

import pytest

from lb.datapath.objects import Sizes
from lb.model import Mode
from tests.datapath.conftest import Wire, policy
from tests.datapath.packets import (
    ABORT,
    COOKIE_ACK,
    COOKIE_ECHO,
    INIT,
    INIT_ACK,
    Seen,
    chunk,
    data,
    frame,
    init,
    parameter,
    parse,
    sctp,
)
from tests.datapath.shapes import (
    ASCONF,
    ASCONF_ACK,
    EXTENSIONS,
    HOST_NAME,
    SET_PRIMARY,
    ZERO_CHECKSUM,
    Shape,
    shapes,
)

pytestmark = pytest.mark.root
PORT = 38412
SIZES = Sizes(conversations=4096, handshakes=32_768, services=8, endpoints=8)
GONE = {"tx", "redirect"}
CLIENTS = {4: "10.1.0.2", 6: "fd00::2"}
FACING = {
    "10.11.0.2": "10.11.0.1",
    "10.12.0.2": "10.12.0.1",
    "fd00:2::2": "fd00:2::1",
    "fd00:3::2": "fd00:3::1",
}
FOURS, SIXES = ("10.11.0.2", "10.12.0.2"), ("fd00:2::2", "fd00:3::2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a service looks like: its VIPs and its endpoint's addresses."""

    vips: tuple[str, ...]
    servers: tuple[str, ...]

    @property
    def version(self) -> int:
        """Of the first path."""
        return ip_address(self.vips[0]).version


SIDES = {
    "one": Side(vips=("10.100.0.1",), servers=FOURS[:1]),
    "two": Side(vips=("10.100.0.1", "10.101.0.1"), servers=FOURS),
    "six": Side(vips=("fd00:100::1", "fd00:101::1"), servers=SIXES),
    "mixed": Side(vips=("10.100.0.1", "fd00:100::1"), servers=(FOURS[0], SIXES[0])),
    "eight": Side(
        vips=tuple(f"10.100.0.{i}" for i in range(1, 5)) + tuple(f"fd00:100::{i}" for i in range(1, 5)),
        servers=(*FOURS, *SIXES),
    ),
}


class Talk:
    """One client port: packets of both sides, and what was seen of the wrong side's addresses."""

    def __init__(self, wire: Wire, mode: Mode, side: Side, shape: Shape, number: int) -> None:
        self.wire, self.mode, self.side, self.shape = wire, mode, side, shape
        self.client, self.server = CLIENTS[side.version], side.servers[0]
        self.port = self.our_port = 2000 + number
        self.ours = side.vips if mode is Mode.FULLNAT else tuple(FACING[server] for server in side.servers)
        self.secrets = {
            "client": {ip_address(a).packed for a in (self.client, *shape.listed(77))},
            "endpoint": {ip_address(a).packed for a in (*side.servers, *shape.listed(88))},
        }
        self.wrong: list[str] = []

    def note(self, what: str) -> None:
        """Something is wrong."""
        self.wrong.append(f"{self.shape}: {what}")

    def up(self, tag: int, *chunks: bytes) -> bytes:
        """From the client; its addresses must not be in what comes out."""
        raw = sctp(self.client, self.side.vips[0], self.port, PORT, tag, *chunks)
        return self.send(raw, "client")

    def down(self, tag: int, *chunks: bytes) -> bytes:
        """From the endpoint; its addresses must not be in what comes out."""
        return self.send(sctp(self.server, self.ours[0], PORT, self.our_port, tag, *chunks), "endpoint")

    def send(self, raw: bytes, sender: str) -> bytes:
        """Through us."""
        verdict, out = self.wire.send(raw)
        if verdict not in GONE:
            self.note(f"{verdict} {self.wire.drops()}")
        for secret in self.secrets[sender]:
            if secret in out[14:]:
                self.note(f"{ip_address(secret)} of the {sender} got through")
        return out

    def begin(self, tag: int) -> None:
        """INIT."""
        seen = parse(self.up(0, init(tag, self.shape.parameters(self.client, 77), INIT)))
        self.our_port = seen.sport
        self.read(seen, self.ours, self.ours[0])

    def answer(self, tag: int, offered: int) -> None:
        """INIT ACK."""
        seen = parse(self.down(tag, init(offered, self.shape.parameters(self.server, 88), INIT_ACK)))
        self.read(seen, self.side.vips, self.side.vips[0])

    def read(self, seen: Seen, ours: tuple[str, ...], implied: str) -> None:
        """The parameters behind us: our addresses alone, all that the other can use, and nothing that betrays."""
        found, listed = dict(seen.parameters()), seen.listed()
        if not seen.ok:
            self.note("a checksum is wrong")
        if found.keys() & {SET_PRIMARY, ZERO_CHECKSUM, HOST_NAME}:
            self.note(f"{found.keys()} are left")
        if set(found[EXTENSIONS]) & {ASCONF, ASCONF_ACK}:
            self.note("ASCONF is still offered")
        families = self.shape.families(self.side.version)
        wanted = {address for address in ours if ip_address(address).version in families}
        if (
            len(listed) != len(set(listed))
            or not set(listed) <= set(ours)
            or not wanted <= {*listed, implied}
        ):
            self.note(f"lists {listed}, wanted {wanted}")

    def confirm(self, tag: int, offered: int) -> None:
        """COOKIE ECHO, COOKIE ACK and a message each way."""
        self.up(offered, chunk(COOKIE_ECHO, bytes(8)))
        self.down(tag, chunk(COOKIE_ACK))
        self.up(offered, data())
        self.down(tag, data())

    def associate(self, tag: int) -> None:
        """A handshake in which everything comes twice."""
        offered = tag + 0x10000000
        self.begin(tag)
        self.begin(tag)
        self.answer(tag, offered)
        self.answer(tag, offered)
        self.answer(tag, offered + 1)
        self.up(offered, chunk(COOKIE_ECHO, bytes(8)))
        self.begin(tag)
        self.answer(tag, offered + 2)
        self.confirm(tag, offered)


@pytest.fixture(params=["xdp", "tc"], scope="module")
def leaky(network: str, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """One datapath a hook; each test brings its policy."""
    made = Wire(request.param, SIZES)
    yield made
    made.datapath.close()


def prepare(wire: Wire, mode: Mode, side: Side) -> None:
    """The policy, and nothing left of the test before."""
    for number in range(SIZES.conversations):
        wire.datapath.call("end", conversation=number, how=255)
    wire.apply(policy(mode, vips=side.vips, servers=(side.servers,)))


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_no_address_gets_through(leaky: Wire, mode: Mode, name: str) -> None:
    """First, retransmitted and duplicate; after the client's restart and the endpoint's; for every shape of list."""
    side = SIDES[name]
    prepare(leaky, mode, side)
    kind = list(SIDES).index(name) * 2 + (mode is Mode.ONEARM)
    wrong: list[str] = []
    for i, shape in enumerate(shapes()):
        talk = Talk(leaky, mode, side, shape, kind * 1000 + i)
        tag = 0x01000001 + (kind << 20 | i << 4)
        talk.associate(tag)
        if i % 2:
            talk.down(
                tag + 0x10000000, chunk(ABORT, b"", 1)
            )  # the endpoint has restarted: it reflects its tag
        talk.associate(tag + 0x01000000)  # the client restarts
        wrong += talk.wrong
    assert not wrong, f"{len(wrong)} findings:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize("mode", [Mode.FULLNAT, Mode.ONEARM])
def test_host_name_reaches_nobody(leaky: Wire, mode: Mode) -> None:
    """A name betrays as an address does: ABORT to the client, nothing to the endpoint (RFC 9260 §3.3.2.1.4)."""
    side = SIDES["two"]
    prepare(leaky, mode, side)
    raw = sctp(CLIENTS[4], side.vips[0], 9, PORT, 0, init(7, parameter(HOST_NAME, b"gnb.example\0")))
    verdict, out = leaky.send(raw)
    seen = parse(out)
    assert verdict in GONE
    assert (seen.src, seen.dst, seen.tag, seen.chunks[0][0]) == (side.vips[0], CLIENTS[4], 7, ABORT)


def icmp(source: str, destination: str, quoted: bytes) -> bytes:
    """Port unreachable about a frame, quoting it whole."""
    if ip_address(source).version == 4:
        return frame(source, destination, 1, pack(">BBHI", 3, 3, 0, 0) + quoted[14:])
    return frame(source, destination, 58, pack(">BBHI", 1, 4, 0, 0) + quoted[14:])


@pytest.mark.parametrize(("mode", "name"), list(product((Mode.FULLNAT, Mode.ONEARM), ("two", "six"))))
def test_icmp_errors_betray_nobody(leaky: Wire, mode: Mode, name: str) -> None:
    """Sent by the peer itself about the packet that it got: neither the outer nor the quoted header names it."""
    side = SIDES[name]
    prepare(leaky, mode, side)
    shape = next(shapes())
    talk = Talk(leaky, mode, side, shape, 50_000)
    talk.associate(0x51)
    _, sent = leaky.send(sctp(talk.client, side.vips[0], talk.port, PORT, 0x10000051, data()))
    verdict, out = leaky.send(icmp(talk.server, talk.ours[0], sent))
    assert verdict in GONE
    assert not [ip_address(secret) for secret in talk.secrets["endpoint"] if secret in out[14:]]
    _, sent = leaky.send(sctp(talk.server, talk.ours[0], PORT, talk.our_port, 0x51, data()))
    verdict, out = leaky.send(icmp(talk.client, side.vips[0], sent))
    assert verdict in GONE
    assert not [ip_address(secret) for secret in talk.secrets["client"] if secret in out[14:]]
    assert not talk.wrong


def test_a_leak_would_be_seen(leaky: Wire) -> None:
    """The measure itself, in dnat, where the client's address is meant to arrive."""
    side = SIDES["two"]
    prepare(leaky, Mode.DNAT, side)
    talk = Talk(leaky, Mode.DNAT, side, list(shapes())[-1], 60_000)
    talk.begin(0x61)
    assert any("10.1.0.2 of the client got through" in found for found in talk.wrong)
    assert any("10.77.231.1 of the client got through" in found for found in talk.wrong)
