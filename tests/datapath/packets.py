"""Packets as bytes: a factory whose defaults make a test show only what is odd. CRC32c is the crc32c package's."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack, unpack_from

from crc32c import crc32c

Ip = IPv4Address | IPv6Address
INIT, INIT_ACK, SACK, HEARTBEAT, ABORT, SHUTDOWN, SHUTDOWN_ACK = 1, 2, 3, 4, 6, 7, 8
COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE = 10, 11, 14
MACS = bytes.fromhex("020000000001020000000002")


def chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """One chunk, padded."""
    raw = pack(">BBH", kind, flags, 4 + len(body)) + body
    return raw + b"\0" * (-len(raw) % 4)


def data(payload: bytes = b"hello", tsn: int = 1) -> bytes:
    """DATA with one whole user message."""
    return chunk(0, pack(">IHHI", tsn, 0, 0, 60) + payload, 3)


def parameter(kind: int, body: bytes = b"") -> bytes:
    """One parameter, padded."""
    raw = pack(">HH", kind, 4 + len(body)) + body
    return raw + b"\0" * (-len(raw) % 4)


def addresses(*listed: str) -> bytes:
    """Address parameters."""
    return b"".join(parameter(5 if ip_address(a).version == 4 else 6, ip_address(a).packed) for a in listed)


def init(tag: int, parameters: bytes = b"", kind: int = INIT) -> bytes:
    """INIT or INIT ACK."""
    return chunk(kind, pack(">IIHHI", tag, 65536, 10, 10, 1) + parameters)


def checksum(words: bytes) -> int:
    """The Internet checksum."""
    total: int = sum(unpack_from(f">{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def sctp(
    src: str, dst: str, sport: int, dport: int, tag: int, *chunks: bytes, ttl: int = 64, vlan: int = 0
) -> bytes:
    """A whole Ethernet frame."""
    body = b"".join(chunks)
    raw = pack(">HHI", sport, dport, tag) + b"\0\0\0\0" + body
    raw = raw[:8] + pack("<I", crc32c(raw)) + body
    return frame(src, dst, 132, raw, ttl=ttl, vlan=vlan)


def frame(src: str, dst: str, protocol: int, payload: bytes, *, ttl: int = 64, vlan: int = 0) -> bytes:
    """Ethernet and IP around a payload."""
    source, destination = ip_address(src), ip_address(dst)
    if source.version == 4:
        head = pack(">BBHHHBBH", 0x45, 2, 20 + len(payload), 7, 0x4000, ttl, protocol, 0)
        head += source.packed + destination.packed
        head = head[:10] + pack(">H", checksum(head)) + head[12:]
        kind = 0x0800
    else:
        head = pack(">IHBB", 6 << 28, len(payload), protocol, ttl) + source.packed + destination.packed
        kind = 0x86DD
    tag = pack(">HH", 0x8100, vlan) if vlan else b""
    return MACS + tag + pack(">H", kind) + head + payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came out, taken apart; ``ok`` tells whether every checksum holds."""

    src: str
    dst: str
    sport: int
    dport: int
    tag: int
    ttl: int
    chunks: tuple[tuple[int, int, bytes], ...]
    ok: bool

    @property
    def ends(self) -> tuple[str, int, str, int]:
        """Source and destination."""
        return self.src, self.sport, self.dst, self.dport

    def listed(self) -> list[str]:
        """Addresses listed in INIT or INIT ACK."""
        return [str(ip_address(body)) for kind, body in self.parameters() if kind in {5, 6}]

    def parameters(self) -> list[tuple[int, bytes]]:
        """Parameters of INIT or INIT ACK."""
        found, rest = [], self.chunks[0][2][16:]
        while rest:
            kind, length = unpack_from(">HH", rest)
            found.append((kind, rest[4:length]))
            rest = rest[length + (-length % 4) :]
        return found


def parse(raw: bytes) -> Seen:
    """Take a frame apart."""
    at = 18 if raw[12:14] == b"\x81\x00" else 14
    if raw[at] >> 4 == 4:
        size = int.from_bytes(raw[at + 2 : at + 4], "big")
        ip, ttl = raw[at : at + 20], raw[at + 8]
        src, dst, fine = ip_address(ip[12:16]), ip_address(ip[16:20]), checksum(ip) == 0
        body = raw[at + 20 : at + size]
    else:
        ttl, fine = raw[at + 7], True
        src, dst = ip_address(raw[at + 8 : at + 24]), ip_address(raw[at + 24 : at + 40])
        body = raw[at + 40 : at + 40 + int.from_bytes(raw[at + 4 : at + 6], "big")]
    sport, dport, tag = unpack_from(">HHI", body)
    fine &= crc32c(body[:8] + b"\0\0\0\0" + body[12:]) == int.from_bytes(body[8:12], "little")
    chunks, rest = [], body[12:]
    while rest:
        kind, flags, length = unpack_from(">BBH", rest)
        chunks.append((kind, flags, rest[4:length]))
        rest = rest[length + (-length % 4) :]
    return Seen(
        src=str(src), dst=str(dst), sport=sport, dport=dport, tag=tag, ttl=ttl, chunks=tuple(chunks), ok=fine
    )
