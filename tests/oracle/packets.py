"""SCTP packets as bytes, right or damaged."""

import random
from ipaddress import ip_address
from struct import pack

from tests.oracle import checksums
from tests.oracle.frames import SCTP, TCP, ethernet, packet


def chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """One chunk, padded."""
    raw = pack(">BBH", kind, flags, 4 + len(body)) + body
    return raw + b"\0" * (-len(raw) % 4)


def parameter(kind: int, body: bytes = b"") -> bytes:
    """One parameter, padded."""
    raw = pack(">HH", kind, 4 + len(body)) + body
    return raw + b"\0" * (-len(raw) % 4)


def listed(addresses: list[bytes]) -> bytes:
    """Address parameters."""
    return b"".join(parameter(5 if len(a) == 4 else 6, a) for a in addresses)


def init(kind: int, tag: int, parameters: bytes, cut: int = 0) -> bytes:
    """INIT or INIT ACK; ``cut`` bytes of padding do not count as its length."""
    body = pack(">IIHHI", tag, 65536, 10, 10, 1) + parameters
    raw = pack(">BBH", kind, 0, 4 + len(body) - cut) + body
    return raw + b"\0" * (-len(raw) % 4)


def transport(sport: int, dport: int, tag: int, body: bytes, rng: random.Random) -> bytes:
    """Header and chunks; one in thirty has no checksum or a wrong one."""
    raw = pack(">HHI", sport, dport, tag) + b"\0\0\0\0" + body
    crc = rng.choice((0, rng.getrandbits(32))) if rng.random() < 1 / 30 else checksums.sctp(raw)
    return raw[:8] + pack("<I", crc) + body


def tcp_or_udp(
    protocol: int, src: bytes, dst: bytes, ports: tuple[int, int], flags: int, rng: random.Random
) -> bytes:
    """A TCP or UDP packet; UDP now and then without a checksum."""
    body = rng.randbytes(rng.choice([0, 1, 40, 41, 700]))
    if protocol == TCP:
        raw = pack(">HHIIBBHHH", *ports, 1, 1, 0x50, flags, 1000, 0, 0) + body
    else:
        raw = pack(">HHHH", *ports, 8 + len(body), 0) + body
    if rng.random() < 0.1:
        return raw
    pseudo = src + dst + pack(">HH", protocol, len(raw))
    at = 16 if protocol == TCP else 6
    value = checksums.internet(pseudo + raw) or 0xFFFF
    if rng.random() < 0.05:
        value ^= 0x10
    return raw[:at] + pack(">H", value) + raw[at + 2 :]


def icmp_error(src: bytes, dst: bytes, quote: bytes, rng: random.Random) -> bytes:
    """An ICMP message that quotes a packet; most are errors."""
    v4 = len(src) == 4
    kind = rng.choice([3, 3, 11, 12, 0]) if v4 else rng.choice([1, 2, 2, 3, 4, 129])
    body = pack(">BBHI", kind, 4 if kind == 3 and v4 else 0, 0, 1300) + quote
    pseudo = b"" if v4 else src + dst + pack(">II", len(body), 58)
    value = checksums.internet(pseudo + body) ^ (0x40 if rng.random() < 0.05 else 0)
    return body[:2] + pack(">H", value) + body[4:]


def frame(src: bytes, dst: bytes, payload: bytes, rng: random.Random, protocol: int = SCTP) -> bytes:
    """IP and Ethernet; now and then VLAN tags, options, a TTL of 1, bytes behind the packet."""
    odd = rng.random()
    vlans = (100,) if odd < 0.03 else (100, 200) if odd < 0.04 else ()
    options = b"\x01\x01\x01\x00" if 0.04 < odd < 0.07 else b""
    ttl = 1 if 0.07 < odd < 0.08 else rng.choice((2, 64, 255))
    raw = ethernet(packet(src, dst, protocol, payload, ttl=ttl, options=options), vlans)
    return raw + bytes(6) if 0.08 < odd < 0.12 else raw


def packed(address: str) -> bytes:
    """As bytes."""
    return ip_address(address).packed


def text(address: bytes) -> str:
    """For reports."""
    return str(ip_address(address)) if len(address) in {4, 16} else address.hex()
