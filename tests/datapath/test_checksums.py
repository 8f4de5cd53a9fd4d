"""CRC32c and IP checksums of what leaves, at every length, by another implementation; damage stays damage.

A test run takes one page: its lengths end at 3,464 bytes of SCTP. Beyond, to 9,000, packets go over real
interfaces with jumbo frames, through generic XDP and tc (native XDP takes one page, too).
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from struct import pack

import pytest
from crc32c import crc32c

from lb.datapath.attach import Attach, Hooks
from lb.model import Mode
from tests.datapath.cell import Cell, Group, Tally
from tests.datapath.conftest import LINKS, Wire, namespace, run, wire_up
from tests.datapath.packets import addresses, checksum, chunk, frame, init, parameter
from tests.datapath.rules import State, Way
from tests.datapath.test_table import joined

pytestmark = pytest.mark.root
GROUPS = (
    Group(Mode.DNAT, 4, translated=False, number=1),
    Group(Mode.DNAT, 6, translated=True, number=2),
    Group(Mode.FULLNAT, 4, translated=True, number=3),
    Group(Mode.ONEARM, 6, translated=True, number=4),
    Group(Mode.FULLNAT, 6, translated=False, number=5),
    Group(Mode.DSR, 4, translated=False, number=6),
)
SHORT, LONG = range(16, 3465, 4), (*range(3468, 9000, 92), 8996, 9000)
PLAIN, RARE = 4, 9  # HEARTBEAT goes the fast way, ERROR the complete one
SCTP = 132
Send = Callable[[bytes, Way], bytes]


@pytest.fixture(scope="module")
def jumbo() -> Iterator[None]:
    """Links that take 9,000 bytes of SCTP."""
    with namespace():
        wire_up()
        for i in range(len(LINKS)):
            for end in (f"p{i}", f"v{i}"):
                run("ip", "link", "set", end, "mtu", "9200")
        yield


@pytest.fixture(scope="module", params=["xdp", "tc"])
def wire(jumbo: None, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """All groups side by side."""
    made = Wire(request.param)
    made.apply(joined(GROUPS))
    yield made
    made.datapath.close()


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one frame: what its CRC32c is off by, whether it is 0, whether the IP header's checksum holds."""

    off: int
    absent: bool
    header: bool


def sums(raw: bytes) -> Sums:
    """By the crc32c package."""
    fine, body = True, raw[54:]
    if raw[12:14] == b"\x08\x00":
        fine, body = checksum(raw[14:34]) == 0, raw[34:]
    stored = int.from_bytes(body[8:12], "little")
    return Sums(off=stored ^ crc32c(body[:8] + bytes(4) + body[12:]), absent=stored == 0, header=fine)


def variants(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Whole; a bit of the payload flipped; the checksum itself wrong; and none at all."""
    at = (34 if raw[12:14] == b"\x08\x00" else 54) + 8
    yield "whole", raw
    if len(raw) > at + 8:
        yield "payload damaged", raw[:-1] + bytes([raw[-1] ^ 0x10])
    yield "checksum damaged", raw[:at] + bytes([raw[at] ^ 0x81]) + raw[at + 1 :]
    yield "no checksum", raw[:at] + bytes(4) + raw[at + 4 :]


def carried(off: int, more: int) -> int:
    """What a sum is off by after so many bytes more, whose own sum is right: the error goes through them."""
    return crc32c(bytes(more), off ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def complaints(what: str, raw: bytes, send: Callable[[bytes], bytes]) -> Iterator[str]:
    """What is wrong with the checksums of each variant of a packet once it is behind us."""
    for name, variant in variants(raw):
        out = send(variant)
        before, after = sums(variant), sums(out)
        if not after.header:
            yield f"{what}, {name}: IP checksum wrong"
        if name == "no checksum":
            if not after.absent:
                yield f"{what}, {name}: now there is one"
        elif carried(before.off, len(out) - len(variant)) != after.off or (name == "whole") != (
            after.off == 0
        ):
            yield f"{what}, {name}: off by {before.off:#x}, now by {after.off:#x}"


def established(wire: Wire, group: Group, number: int = 1) -> Cell:
    """An association of a group."""
    cell = Cell(group, wire, number, Tally())
    cell.reach(State.ESTABLISHED)
    return cell


def of_length(cell: Cell, way: Way, length: int) -> bytes:
    """A packet with so many bytes of SCTP."""
    kind = PLAIN if length % 8 else RARE
    body = bytes((i * 7 + length) & 0xFF for i in range(length - 16))
    return cell.sent(way, cell.tags["old"][1 if way is Way.UP else 0], chunk(kind, body))


def ways(group: Group) -> tuple[Way, ...]:
    """dsr sees one."""
    return (Way.UP,) if group.mode is Mode.DSR else (Way.UP, Way.DOWN)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_length_keeps_its_checksum(wire: Wire, group: Group) -> None:
    """Both ways, each multiple of four to a page."""
    cell = established(wire, group)
    wrong: list[str] = []

    def send(raw: bytes) -> bytes:
        verdict, out = wire.send(raw)
        assert verdict in {"tx", "redirect"}, (verdict, wire.drops())
        return out

    for way in ways(group):
        for length in SHORT:
            wrong += complaints(f"{way.value}, {length} bytes", of_length(cell, way, length), send)
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("group", [g for g in GROUPS if g.mode is not Mode.DSR], ids=lambda group: group.name)
def test_edited_init_and_init_ack_keep_their_checksums(wire: Wire, group: Group) -> None:
    """Addresses exchanged, parameters made PAD, siblings appended, at every length of an unknown parameter."""
    cell = established(wire, group, 2)
    listed = (
        b"",
        addresses(group.clients[1]),
        addresses(*group.clients),
        addresses(*group.clients, "192.0.2.1"),
    )
    wrong: list[str] = []
    for i, extra in enumerate(range(0, 1400, 4)):
        odd = parameter(0xC123, bytes(extra)) + parameter(0xC004, parameter(5, b"\x0a\1\0\2"))
        chunks = init(cell.tags["new"][0], odd + listed[i % 4] + parameter(0x8008, b"\xc1\x80\x82"))
        raw = cell.sent(Way.UP, 0, chunks)
        wrong += complaints(f"INIT with {extra} bytes more", raw, lambda raw: wire.send(raw)[1])
    cell = Cell(group, wire, 4, Tally())
    cell.reach(State.INIT)
    for i, extra in enumerate(range(0, 1400, 4)):
        odd = parameter(0x8001, bytes(4)) + parameter(0xC123, bytes(extra))
        chunks = init(0x7F000000 + i, odd + (addresses(*cell.servers) if i % 2 else b""), 2)
        raw = cell.sent(Way.DOWN, cell.tags["old"][0], chunks)
        wrong += complaints(f"INIT ACK with {extra} bytes more", raw, lambda raw: wire.send(raw)[1])
    assert not wrong, "\n".join(wrong[:20])
    assert not wire.drops()


class Cables:
    """The far ends of two links, where frames go in and come out."""

    def __init__(self) -> None:
        self.ends = {}
        for way, name in ((Way.UP, "p0"), (Way.DOWN, "p2")):
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            end.bind((name, 0))
            end.settimeout(2)
            self.ends[way] = end

    def through(self, raw: bytes, way: Way) -> bytes:
        """What arrives at the other end."""
        self.ends[way].send(raw)
        while True:
            out, (_, _, kind, *_) = self.ends[Way.DOWN if way is Way.UP else Way.UP].recvfrom(16_384)
            protocol = out[23] if out[12:14] == b"\x08\x00" else out[20]
            if protocol == SCTP and kind != socket.PACKET_OUTGOING:
                return out

    def close(self) -> None:
        """Both."""
        for end in self.ends.values():
            end.close()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_jumbo_frames_keep_their_checksums(wire: Wire, group: Group) -> None:
    """Over real interfaces, to 9,000 bytes."""
    cell = established(wire, group, 3)
    hooks = Hooks(wire.datapath.programs["telco_xdp"], wire.datapath.programs["telco_tc"])
    mode = Attach.XDP_GENERIC if wire.hook == "xdp" else Attach.TC
    for name in ("v0", "v2"):
        assert ("xdp" in hooks.attach(name, mode)) == (wire.hook == "xdp")
    cables = Cables()
    wrong: list[str] = []
    try:
        for way in ways(group):
            for length in LONG:
                raw = of_length(cell, way, length)
                assert cell.wanted(way, 0, b"")[:6] == cables.through(raw, way)[:6]
                wrong += complaints(f"{way.value}, {length} bytes", raw, partial(cables.through, way=way))
    finally:
        cables.close()
        hooks.detach()
    assert not wrong, "\n".join(wrong[:20])


def test_damage_would_be_seen() -> None:
    """The measure itself: a whole frame is off by nothing, a damaged one is not."""
    raw = frame("10.1.0.2", "10.1.0.3", SCTP, pack(">HHII", 1, 2, 3, 0) + chunk(4))
    at = 34 + 8
    good = raw[:at] + pack("<I", crc32c(raw[34:])) + raw[at + 4 :]
    assert sums(good) == Sums(off=0, absent=False, header=True)
    assert [sums(bad).off != 0 for _, bad in variants(good)] == [False, True, True]
    assert not sums(good[:24] + b"\0\0" + good[26:]).header
