"""Checks of packets that the datapath makes itself: ABORT, and ICMP errors. What they say, not each byte."""

from struct import unpack_from

from tests.oracle import checksums
from tests.oracle.frames import ICMP, ICMP6, SCTP, Frame, parse
from tests.oracle.leaving import Check

CHUNKS = {
    "abort": 6,
    "reflect": 6,
    "complete": 14,
}  # ABORT with its own tag or the packet's, SHUTDOWN COMPLETE
QUOTE_LEAST = 8  # bytes behind the quoted IP header, RFC 792


def check_for(answer: str, f: Frame) -> Check | None:
    """What an answer to this packet must be; None: nothing may be sent."""
    if answer in CHUNKS:
        return lambda raw: _chunk(f, raw, CHUNKS[answer], reflect=answer != "abort")
    if f.protocol in {ICMP, ICMP6} or f.tags:
        return None
    mtu = int(answer.removeprefix("mtu ")) if answer.startswith("mtu ") else 0
    return lambda raw: _error(f, raw, mtu)


def _common(f: Frame, raw: bytes, protocol: int) -> Frame | str:
    got = parse(raw)
    if got is None:
        return "not IP"
    if (got.src, got.dst, got.protocol) != (f.dst, f.src, protocol):
        return f"from {got.src.hex()} to {got.dst.hex()} protocol {got.protocol}"
    if raw[:12] != f.raw[6:12] + f.raw[:6]:
        return "Ethernet addresses are not those of the packet, turned round"
    if got.family == 4 and checksums.internet(raw[got.l3 : got.l4]):
        return "IPv4 header checksum"
    if got.end > len(raw):
        return "IP length"
    return got if got.ttl > 1 else "TTL"


def _chunk(f: Frame, raw: bytes, kind: int, *, reflect: bool) -> str:
    got = _common(f, raw, SCTP)
    if isinstance(got, str):
        return got
    body, asked = got.payload, f.payload
    if body[:4] != asked[2:4] + asked[:2]:
        return "ports"
    if body[4:8] != (asked[4:8] if reflect else asked[16:20]):
        return "verification tag"
    if (body[12], body[13] & 1) != (kind, int(reflect)):
        return "chunk type, or its T bit"
    if int.from_bytes(body[14:16], "big") != len(body) - 12:
        return "chunk length"
    return "" if checksums.stored(body) == checksums.sctp(body) else "CRC32c"


def _error(f: Frame, raw: bytes, mtu: int) -> str:
    got = _common(f, raw, ICMP if f.family == 4 else ICMP6)
    if isinstance(got, str):
        return got
    body = got.payload
    kinds = {(4, False): (11, 0), (4, True): (3, 4), (6, False): (3, 0), (6, True): (2, 0)}
    if (body[0], body[1]) != kinds[f.family, bool(mtu)]:
        return f"ICMP type {body[0]} code {body[1]}"
    pseudo = b"" if f.family == 4 else got.src + got.dst + len(body).to_bytes(4, "big") + b"\0\0\0\x3a"
    if checksums.internet(pseudo + body):
        return "ICMP checksum"
    (rest,) = unpack_from(">I", body, 4)
    if rest != mtu:
        return f"rest of header {rest}"
    quote = body[8:]
    if len(quote) < f.l4 - f.l3 + QUOTE_LEAST or not f.raw[f.l3 :].startswith(quote):
        return f"quote {quote.hex()}"
    return ""
