"""Checksums, always over the whole. A checksum that was wrong on arrival must be wrong by as much on leaving."""

from struct import unpack

from crc32c import crc32c

CRC_AT = 8  # of the SCTP common header


def ones(words: bytes | bytearray) -> int:
    """The one's complement sum of 16-bit words, 0 to 0xffff; odd bytes are padded."""
    if len(words) & 1:
        words = bytes(words) + b"\0"
    total: int = sum(unpack(f">{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def internet(words: bytes | bytearray) -> int:
    """RFC 1071."""
    return ~ones(words) & 0xFFFF


def sctp(raw: bytes | bytearray) -> int:
    """The CRC32c of an SCTP packet as the number that is stored little endian."""
    value: int = crc32c(bytes(raw[:CRC_AT]) + b"\0\0\0\0" + bytes(raw[CRC_AT + 4 :]))
    return value


def stored(raw: bytes | bytearray) -> int:
    """The CRC32c that an SCTP packet carries."""
    return int.from_bytes(raw[CRC_AT : CRC_AT + 4], "little")


def carried_on(before: bytes, after: bytes) -> int:
    """What ``after``, an edit of ``before`` perhaps with more behind it, must carry: right, or as wrong as before."""
    was = stored(before)
    if was == 0:
        return 0
    same, more = after[: len(before)], after[len(before) :]
    value: int = was ^ sctp(before) ^ sctp(same)
    return crc32c(more, value) if more else value


def same_ones(left: int, right: int) -> bool:
    """Equal as one's complement numbers: 0 and 0xffff are one."""
    return left % 0xFFFF == right % 0xFFFF
