"""The last part of every packet's way: next hop, hop limit, MTU, and the frame as it must leave."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.oracle import checksums
from tests.oracle.frames import FIRST, TCP, UDP, Frame
from tests.oracle.network import NextHop, next_hop
from tests.oracle.state import Stop, drop

Check = Callable[[bytes], str]  # of a frame that the datapath made itself: what is wrong with it


@dataclass(slots=True)
class Outcome:
    """What must come of a packet. ``soft``: places of 16 bits that are equal as one's complement numbers."""

    verdict: str  # forward, answer, drop, pass
    reasons: tuple[str, ...] = ()
    data: bytes = b""
    soft: tuple[int, ...] = ()
    check: Check | None = None
    what: str = ""  # for the coverage table


@dataclass(frozen=True, slots=True)
class Answer:
    """Ends and ports of a packet as it leaves."""

    src: bytes
    dst: bytes
    sport: int
    dport: int


def hop_for(hook: str, f: Frame, dst: bytes) -> NextHop:
    """The next hop of an address; without a neighbour XDP leaves the packet to tc."""
    hop = next_hop(dst)
    if hop is None:
        raise drop("no_route")
    if not hop.macs and hook == "xdp":
        raise Stop("pass")
    if f.ttl <= 1:
        raise Stop("drop", "ttl", "ttl")
    if f.size > hop.mtu and hop.macs:  # the kernel tells no MTU before it knows the neighbour
        raise Stop("drop", "too_big", f"mtu {hop.mtu}")
    return hop


def ip_header(f: Frame, src: bytes, dst: bytes, size: int, *, dec: bool = True) -> tuple[bytes, bool]:
    """The header with new addresses; whether its checksum was right on arrival."""
    head = bytearray(f.raw[f.l3 : f.l4])
    ttl = f.ttl - dec
    if f.family == 6:
        head[4:6] = (size - 40).to_bytes(2, "big")
        head[7] = ttl
        head[8:40] = src + dst
        return bytes(head), True
    was = int.from_bytes(head[10:12], "big")
    head[10:12] = b"\0\0"
    wrong = (was - checksums.internet(head)) % 0xFFFF
    head[2:4] = size.to_bytes(2, "big")
    head[8] = ttl
    head[12:20] = src + dst
    head[10:12] = moved(checksums.internet(head), wrong).to_bytes(2, "big")
    return bytes(head), wrong == 0


def quoted_header(quote: Frame, src: bytes, dst: bytes) -> bytes:
    """A quoted header as its sender wrote it, but for the hop limit; nothing in it is believed but the addresses."""
    head = bytearray(quote.raw[quote.l3 : quote.l4])
    if quote.family == 6:
        head[8:40] = src + dst
        return bytes(head)
    delta = checksums.ones(src + dst) - checksums.ones(bytes(head[12:20]))
    was = int.from_bytes(head[10:12], "big")
    head[10:12] = ((was - delta) % 0xFFFF).to_bytes(2, "big")
    head[12:20] = src + dst
    return bytes(head)


def moved(right: int, wrong: int) -> int:
    """A checksum that is wrong by as much as it was."""
    return (right + wrong) % 0xFFFF if wrong else right


def leave(hook: str, f: Frame, hop: NextHop, src: bytes, dst: bytes, payload: bytes) -> Outcome:
    """The packet as it leaves with this payload, transport checksums already right."""
    size = f.l4 - f.l3 + len(payload)
    head, right = ip_header(f, src, dst, size)
    behind = f.raw[f.end :] if len(payload) == len(f.payload) else b""
    if hook == "tc" and f.tags and hop.macs:
        raise drop("resize")  # the kernel's own tag is not in the frame; what is there is a second one
    link = hop.macs + f.raw[f.l3 - 2 : f.l3] if hop.macs else f.raw[: f.l3]
    return Outcome("forward", data=link + head + payload + behind, soft=() if right else (len(link) + 10,))


def sctp_payload(f: Frame, sport: int, dport: int, payload: bytes | None = None) -> bytes:
    """The SCTP packet with new ports and a checksum as right as it was."""
    before = f.payload
    body = payload if payload is not None else before
    if (sport, dport) == (int.from_bytes(before[0:2], "big"), int.from_bytes(before[2:4], "big")):
        if body == before:
            return before
    elif f.fragment == FIRST:
        raise drop("fragment_ports")
    after = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + body[4:]
    crc = checksums.carried_on(before, after)
    return after[:8] + crc.to_bytes(4, "little") + after[12:]


def flow_payload(f: Frame, src: bytes, dst: bytes, sport: int, dport: int) -> bytes:
    """The TCP or UDP packet with new ports and a checksum as right as it was; UDP's 0 means none (RFC 768)."""
    at = {TCP: 16, UDP: 6}[f.protocol]
    before = f.payload
    was = int.from_bytes(before[at : at + 2], "big")
    after = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + before[4:]
    if f.protocol == UDP and was == 0:
        return after
    delta = checksums.ones(src + dst + after[:4]) - checksums.ones(f.src + f.dst + before[:4])
    value = (was - delta) % 0xFFFF or 0xFFFF
    return after[:at] + value.to_bytes(2, "big") + after[at + 2 :]
