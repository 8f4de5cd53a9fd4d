"""CRC32c: the published vectors, the C package, and pieces against the whole."""

import crc32c as package
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.crc32c import crc32c, sctp_checksum

READ_10 = bytes.fromhex(
    "01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000"
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (READ_10, 0xD9963A56),
        (b"123456789", 0xE3069283),
    ],
)
def test_rfc3720_b4_vectors(data: bytes, expected: int) -> None:
    """RFC 3720 §B.4, and the catalogue's check value."""
    assert crc32c(data) == expected


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_agrees_with_the_c_package(data: bytes, before: int) -> None:
    """Two implementations that share nothing, at every length and alignment, begun anew or continued."""
    assert crc32c(data) == package.crc32c(data)
    assert crc32c(data, before) == package.crc32c(data, before)


@given(st.binary(max_size=100), st.integers(0, 100))
def test_pieces_make_the_whole(data: bytes, cut: int) -> None:
    """The CRC of the beginning goes on through the end, whatever kind of buffer it is."""
    assert crc32c(memoryview(data)[cut:], crc32c(bytearray(data[:cut]))) == crc32c(data)


@given(st.binary(min_size=12, max_size=100))
def test_rfc9260_6_8_checksum_takes_its_own_field_as_zero(raw: bytes) -> None:
    """What is stored in the field has no part in its value."""
    assert sctp_checksum(raw) == crc32c(raw[:8] + bytes(4) + raw[12:])
