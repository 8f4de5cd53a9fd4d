"""Ethernet frames taken apart and put together, as far as a balancer needs it. Addresses are 4 or 16 bytes."""

from dataclasses import dataclass
from struct import pack, unpack_from

from tests.oracle.checksums import internet

IP4, IP6, VLANS = 0x0800, 0x86DD, (0x8100, 0x88A8)
TCP, UDP, SCTP, ICMP, ICMP6, FRAGMENT_HEADER = 6, 17, 132, 1, 58, 44
WHOLE, FIRST, LATER = 0, 1, 2


@dataclass(slots=True)
class Frame:
    """One parsed frame; offsets are from its start. ``end`` may lie beyond it: nothing is checked yet."""

    raw: bytes
    tags: int
    l3: int
    l4: int
    end: int
    family: int
    src: bytes
    dst: bytes
    ttl: int
    protocol: int
    fragment: int
    ident: int

    @property
    def payload(self) -> bytes:
        """What IP carries."""
        return self.raw[self.l4 : self.end]

    @property
    def size(self) -> int:
        """Bytes from the IP header to the end."""
        return self.end - self.l3


def parse(raw: bytes) -> Frame | None:
    """None: neither IPv4 nor IPv6, or not all of the header."""
    at, tags = 12, 0
    if len(raw) < 14:
        return None
    kind = int.from_bytes(raw[12:14], "big")
    while kind in VLANS and tags < 2 and len(raw) >= at + 6:
        at, tags = at + 4, tags + 1
        kind = int.from_bytes(raw[at : at + 2], "big")
    at += 2
    if kind == IP4:
        return _ip4(raw, at, tags)
    return _ip6(raw, at, tags) if kind == IP6 else None


def _ip4(raw: bytes, at: int, tags: int) -> Frame | None:
    if len(raw) < at + 20 or raw[at] >> 4 != 4 or raw[at] & 15 < 5:
        return None
    head = (raw[at] & 15) * 4
    if len(raw) < at + head:
        return None
    size, ident, where = unpack_from(">HHH", raw, at + 2)
    fragment = LATER if where & 0x1FFF else FIRST if where & 0x2000 else WHOLE
    return Frame(
        raw=raw,
        tags=tags,
        l3=at,
        l4=at + head,
        end=at + size,
        family=4,
        src=raw[at + 12 : at + 16],
        dst=raw[at + 16 : at + 20],
        ttl=raw[at + 8],
        protocol=raw[at + 9],
        fragment=fragment,
        ident=ident,
    )


def _ip6(raw: bytes, at: int, tags: int) -> Frame | None:
    if len(raw) < at + 40 or raw[at] >> 4 != 6:
        return None
    protocol, l4, fragment, ident = raw[at + 6], at + 40, WHOLE, 0
    if protocol == FRAGMENT_HEADER:
        if len(raw) < at + 48:
            return None
        protocol, l4 = raw[l4], at + 48
        (where,) = unpack_from(">H", raw, at + 42)
        fragment = LATER if where & 0xFFF8 else FIRST if where & 1 else WHOLE
        (ident,) = unpack_from(">I", raw, at + 44)
    return Frame(
        raw=raw,
        tags=tags,
        l3=at,
        l4=l4,
        end=at + 40 + int.from_bytes(raw[at + 4 : at + 6], "big"),
        family=6,
        src=raw[at + 8 : at + 24],
        dst=raw[at + 24 : at + 40],
        ttl=raw[at + 7],
        protocol=protocol,
        fragment=fragment,
        ident=ident,
    )


def inner(raw: bytes, at: int, family: int) -> Frame | None:
    """The packet that an ICMP error quotes: not a later fragment, without extension headers."""
    quote = _ip4(raw, at, 0) if family == 4 else _ip6(raw, at, 0)
    if quote is None or quote.fragment == LATER:
        return None
    if family == 6 and raw[at + 6] == FRAGMENT_HEADER:
        return None
    return quote


def packet(
    src: bytes,
    dst: bytes,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    options: bytes = b"",
    where: int = 0x4000,
    ident: int = 7,
) -> bytes:
    """An IP packet. ``where`` is IPv4's flags and fragment offset; IPv6 gets a fragment header unless it is DF."""
    if len(src) == 4:
        size = 20 + len(options)
        head = pack(">BBHHHBBH", 0x40 | size // 4, 2, size + len(payload), ident, where, ttl, protocol, 0)
        head += src + dst + options
        return head[:10] + pack(">H", internet(head)) + head[12:] + payload
    if where != 0x4000:
        extra = pack(">BBHI", protocol, 0, (where & 0x1FFF) << 3 | (where >> 13 & 1), ident)
        protocol, payload = FRAGMENT_HEADER, extra + payload
    return pack(">IHBB", 6 << 28, len(payload), protocol, ttl) + src + dst + payload


def ethernet(ip: bytes, vlans: tuple[int, ...] = ()) -> bytes:
    """A frame around an IP packet."""
    tags = b"".join(pack(">HH", 0x88A8 if i + 1 < len(vlans) else 0x8100, v) for i, v in enumerate(vlans))
    kind = IP4 if ip[0] >> 4 == 4 else IP6
    return bytes.fromhex("020000000001020000000002") + tags + pack(">H", kind) + ip
