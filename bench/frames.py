"""The frames that are measured, whole and with right checksums."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack, unpack_from

from crc32c import crc32c

Ip = IPv4Address | IPv6Address
MACS = bytes.fromhex("020000000001020000000002")
DATA, INIT, INIT_ACK, COOKIE_ECHO, COOKIE_ACK = 0, 1, 2, 10, 11


def chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """One chunk; the body is a multiple of four."""
    return pack(">BBH", kind, flags, 4 + len(body)) + body


def data(size: int) -> bytes:
    """A DATA chunk of ``size`` bytes: one whole message, NGAP's payload protocol."""
    return chunk(DATA, pack(">IHHI", 1, 0, 0, 60) + b"\x5a" * (size - 16), 3)


def parameter(kind: int, body: bytes = b"") -> bytes:
    """One parameter, padded."""
    raw = pack(">HH", kind, 4 + len(body)) + body
    return raw + b"\0" * (-len(raw) % 4)


def init(tag: int, addresses: tuple[str, ...] = (), kind: int = INIT, more: bytes = b"") -> bytes:
    """INIT or INIT ACK that lists addresses."""
    listed = b"".join(
        parameter(5 if ip_address(a).version == 4 else 6, ip_address(a).packed) for a in addresses
    )
    return chunk(kind, pack(">IIHHI", tag, 106_496, 10, 2048, 1) + listed + more)


def internet_checksum(words: bytes) -> int:
    """RFC 1071."""
    total: int = sum(unpack_from(f">{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(src: str, dst: str, ports: tuple[int, int], tag: int, body: bytes) -> bytes:
    """Ethernet, IP, SCTP and chunks."""
    segment = pack(">HHI", *ports, tag) + b"\0\0\0\0" + body
    segment = segment[:8] + pack("<I", crc32c(segment)) + body
    source, destination = ip_address(src), ip_address(dst)
    if source.version == 6:
        head = pack(">IHBB", 6 << 28, len(segment), 132, 64) + source.packed + destination.packed
        return MACS + b"\x86\xdd" + head + segment
    head = pack(">BBHHHBBH", 0x45, 2, 20 + len(segment), 7, 0x4000, 64, 132, 0)
    head += source.packed + destination.packed
    return MACS + b"\x08\x00" + head[:10] + pack(">H", internet_checksum(head)) + head[12:] + segment


def ends(raw: bytes) -> tuple[str, int, str, int]:
    """Source, its port, destination, its port. Raises ValueError where a checksum is wrong."""
    at, address = (34, raw[26:34]) if raw[12:14] == b"\x08\x00" else (54, raw[22:54])
    half = len(address) // 2
    segment = raw[at:]
    if len(address) == 8 and internet_checksum(raw[14:34]):
        raise ValueError("the IP header's checksum is wrong")
    if crc32c(segment[:8] + b"\0\0\0\0" + segment[12:]) != int.from_bytes(segment[8:12], "little"):
        raise ValueError("the SCTP checksum is wrong")
    sport, dport = unpack_from(">HH", segment)
    return str(ip_address(address[:half])), sport, str(ip_address(address[half:])), dport
