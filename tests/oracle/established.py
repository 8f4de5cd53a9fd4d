"""A packet of an association (docs/datapath.md §6)."""

from collections.abc import Iterator

from lb.model import Mode
from tests.oracle import paths
from tests.oracle.frames import WHOLE, Frame
from tests.oracle.leaving import Outcome, hop_for, leave, sctp_payload
from tests.oracle.model import Model
from tests.oracle.state import UP, Association, Handshake, Pair, Stop, drop

DATA, I_DATA, ABORT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE = 0, 64, 6, 7, 8, 14
ASCONF, ASCONF_ACK = 0xC1, 0x80
ENDS = {SHUTDOWN: "shutdown", SHUTDOWN_ACK: "shutdown", ABORT: "aborted", SHUTDOWN_COMPLETE: "aborted"}
LOOKED_AT = 8


def control_chunks(f: Frame) -> Iterator[int]:
    """Types of the chunks before the first DATA, eight at most. A first fragment may end in one."""
    payload, at = f.payload, 12
    for _ in range(LOOKED_AT):
        if at + 4 > len(payload) or payload[at] in {DATA, I_DATA}:
            return
        length = int.from_bytes(payload[at + 2 : at + 4], "big")
        if length < 4 or at + length > len(payload):
            if f.fragment == WHOLE:
                raise drop("sctp_length")
            return
        yield payload[at]
        at += length + (-length % 4)


def ending(f: Frame) -> str:
    """The state that the chunks bring about, or none. ASCONF cannot be translated, whatever follows it."""
    found = ""
    for kind in control_chunks(f):
        if kind in {ASCONF, ASCONF_ACK}:
            raise drop("asconf")
        if kind in ENDS and found != "aborted":
            found = ENDS[kind]
    return found


def upward(model: Model, f: Frame, peer: Association | Handshake) -> tuple[Pair, int]:
    """Addresses of a packet to the endpoint, and the VIP's index."""
    if f.src not in peer.clients:
        raise drop("foreign_source")
    if f.dst not in peer.vips:
        raise drop("foreign_destination")
    j = peer.vips.index(f.dst)
    return paths.to_endpoint(model.world, peer, f.src, j), j


def downward(model: Model, f: Frame, peer: Association | Handshake) -> Pair:
    """The client's address and the VIP of a packet from the endpoint."""
    if f.src not in peer.servers:
        raise drop("foreign_source")
    if f.dst not in paths.arrivals(model.world, peer):
        raise drop("foreign_destination")
    return paths.to_client(peer, f.dst)


def forward(model: Model, f: Frame, a: Association, direction: int) -> Outcome:
    """A packet that carries its own tag: translate, send, count."""
    model.state = a.state
    if direction == UP:
        (src, dst), j = upward(model, f, a)
        a.pairs[src] = f.src, f.dst
        model.heard(a, f.src)
    else:
        dst, src = downward(model, f, a)
        j = a.vips.index(src)
    _end(a, ending(f))
    before = a.last
    _count(model, a, direction, j, f.size)
    try:
        return _translated(model, f, a, direction, (src, dst))
    except Stop as stop:
        if stop.verdict == "pass":  # the tc program gets it, and counts it
            _count(model, a, direction, j, -f.size)
            a.last = before
        raise


def _count(model: Model, a: Association, direction: int, j: int, size: int) -> None:
    a.last = model.now
    a.packets[direction][j] = a.packets[direction].get(j, 0) + (1 if size > 0 else -1)
    a.octets[direction] += size


def _end(a: Association, state: str) -> None:
    if state and (a.state == "established" or state == "aborted"):
        a.state = state


def _translated(model: Model, f: Frame, a: Association, direction: int, ends: Pair) -> Outcome:
    if a.mode is Mode.DSR:
        return dsr(model, f, ends[1])
    hop = hop_for(model.hook, f, ends[1])
    ports = (a.our_port, a.server_port) if direction == UP else (a.service_port, a.client_port)
    return leave(model.hook, f, hop, *ends, sctp_payload(f, *ports))


def reflect(model: Model, f: Frame, a: Association, direction: int) -> Outcome:
    """A packet whose sender has no association and returns the tag that it was sent: the end, after which it waits."""
    model.state = a.state
    if direction == UP:
        ends, _ = upward(model, f, a)
    else:
        client, vip = downward(model, f, a)
        ends = vip, client
    _end(a, "aborted")
    a.last = model.now
    return _translated(model, f, a, direction, ends)


def dsr(model: Model, f: Frame, server: bytes) -> Outcome:
    """Only the Ethernet addresses and the hop limit change."""
    return leave(model.hook, f, hop_for(model.hook, f, server), f.src, f.dst, f.payload)
