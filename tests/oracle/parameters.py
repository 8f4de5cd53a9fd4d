"""INIT and INIT ACK: what they must look like, and what becomes of their parameters (RFC 9260 §3.3.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import pack, unpack_from

from tests.oracle.state import Stop, drop

IPV4, IPV6, HOST_NAME, ADDRESS_TYPES, ZERO_CHECKSUM = 5, 6, 11, 12, 0x8001
PAD, EXTENSIONS, SET_PRIMARY = 0x8005, 0x8008, 0xC004
ASCONF, ASCONF_ACK, PAD_CHUNK = 0xC1, 0x80, 0x84
MOST, MOST_ADDRESSES, MOST_TYPES, FIXED = 48, 8, 4, 20  # and bytes before the parameters
ZEROED = 32  # bytes of a PAD, its header included
SIZE = {IPV4: 8, IPV6: 20}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: where it starts in the chunk, its type and its length without padding."""

    at: int
    kind: int
    length: int


def check_chunk(payload: bytes) -> tuple[int, int]:
    """The initiate tag and the chunk's length; ``payload`` starts at the SCTP header."""
    length = int.from_bytes(payload[14:16], "big")
    if length < FIXED or 12 + length > len(payload) or not any(payload[16:20]):
        raise drop("init_malformed")
    if 12 + length + (-length % 4) < len(payload):
        raise drop("init_bundled")
    return int.from_bytes(payload[16:20], "big"), length


def walk(chunk: bytes) -> Iterator[Parameter | None]:
    """The parameters of a chunk cut to its length; None ends them early: malformed, or too many."""
    at = FIXED
    for _ in range(MOST):
        if at >= len(chunk):
            return
        kind, length = unpack_from(">HH", chunk, at) if len(chunk) - at >= 4 else (0, 0)
        if length < 4 or length > len(chunk) - at or length != SIZE.get(kind, length):
            yield None
            return
        yield Parameter(at, kind, length)
        at += length + (-length % 4)
    if at < len(chunk):
        yield None


def scan(chunk: bytes, src: bytes) -> tuple[list[bytes], frozenset[int]]:
    """The client's addresses, the header's source first, each once; and the sizes of those that it can use.

    The first parameter that is wrong tells what becomes of the INIT.
    """
    listed, stated = [src], list[bytes]()
    for p in walk(chunk):
        if p is None:
            raise drop("init_malformed")
        body = chunk[p.at + 4 : p.at + p.length]
        if p.kind == HOST_NAME:
            raise Stop("drop", "host_name", "abort")
        if p.kind == ADDRESS_TYPES:
            stated.append(body)
        if p.kind in SIZE and body not in listed:
            if len(listed) == MOST_ADDRESSES:
                raise Stop("drop", "too_many_addresses", "abort")
            listed.append(body)
    if not stated:
        return listed, frozenset(map(len, listed))
    types = {t for body in stated for t in unpack_from(f">{len(body) // 2}H", body)[:MOST_TYPES]}
    return listed, frozenset(size for kind, size in ((IPV4, 4), (IPV6, 16)) if kind in types)


@dataclass(frozen=True, slots=True)
class Siblings:
    """What may be listed instead: ours in order, the one that the header will carry; None keeps addresses."""

    ours: list[bytes]
    implied: bytes
    src: bytes  # that the header carried before
    families: frozenset[int]
    room: int  # bytes that may be appended


def edit(payload: bytes, siblings: Siblings | None) -> bytes:
    """The SCTP packet with its parameters edited and siblings appended; the checksum is the caller's."""
    length = int.from_bytes(payload[14:16], "big")
    chunk = bytearray(payload[12:])
    unused = list(siblings.ours) if siblings else []
    if siblings:
        unused.remove(siblings.implied)
    for p in walk(bytes(chunk[:length])):
        if p:
            _edit_one(chunk, p, siblings, unused)
    if siblings:
        more = _appended(unused, siblings)
        if more:
            chunk += more
            chunk[2:4] = pack(">H", len(chunk))
    return payload[:12] + bytes(chunk)


def _edit_one(chunk: bytearray, p: Parameter, siblings: Siblings | None, unused: list[bytes]) -> None:
    body = slice(p.at + 4, p.at + p.length)
    if p.kind in SIZE and siblings:
        address = bytes(chunk[body])
        if address == siblings.src:
            chunk[body] = siblings.implied
            return
        fits = next((s for s in unused if len(s) == len(address)), None)
        if fits:
            unused.remove(fits)
            chunk[body] = fits
        else:
            _pad(chunk, p)
    elif p.kind in {SET_PRIMARY, ZERO_CHECKSUM}:
        _pad(chunk, p)
    elif p.kind == EXTENSIONS:
        for i in range(p.at + 4, min(p.at + p.length, p.at + 4 + 32)):
            if chunk[i] in {ASCONF, ASCONF_ACK}:
                chunk[i] = PAD_CHUNK


def _pad(chunk: bytearray, p: Parameter) -> None:
    chunk[p.at : p.at + 2] = pack(">H", PAD)
    zeroed = min(p.length + (-p.length % 4), ZEROED) - 4
    chunk[p.at + 4 : p.at + 4 + zeroed] = bytes(zeroed)


def _appended(unused: list[bytes], siblings: Siblings) -> bytes:
    more = b""
    for address in unused:
        kind = IPV4 if len(address) == 4 else IPV6
        if len(address) in siblings.families and len(more) + SIZE[kind] <= siblings.room:
            more += pack(">HH", kind, SIZE[kind]) + address
    return more
