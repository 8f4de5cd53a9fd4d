"""ICMP echo (RFC 792, RFC 4443): the token is the payload, and its low half the identifier."""

from struct import Struct

_ECHO = Struct(">BBHHHI")
REQUEST, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}


def _checksum(data: bytes) -> int:
    total: int = sum(Struct(f">{len(data) // 2}H").unpack(data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def request(family: int, token: int) -> bytes:
    """An echo request; the kernel fills in ICMPv6's checksum, which covers addresses."""
    empty = _ECHO.pack(REQUEST[family], 0, 0, token & 0xFFFF, 0, token)
    return empty if family == 6 else empty[:2] + _checksum(empty).to_bytes(2, "big") + empty[4:]


def reply(family: int, message: bytes) -> int | None:
    """The token of an echo reply to one of our requests; None: something else."""
    if len(message) != _ECHO.size:
        return None
    kind, code, _, identifier, _, token = _ECHO.unpack(message)
    return token if (kind, code, identifier) == (REPLY[family], 0, token & 0xFFFF) else None
