"""SCTP values become bytes and the same values again; bytes become values and the same bytes again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import sctp
from protocols.sctp.causes import CAUSES
from protocols.sctp.chunks.registry import CHUNKS
from protocols.sctp.parameters.registry import PARAMETERS
from tests.unit.protocols.sctp_values import (
    CAUSE_LISTS,
    CAUSES_BY_CLASS,
    CHUNKS_BY_CLASS,
    PACKET,
    PARAMETER_LISTS,
    PARAMETERS_BY_CLASS,
    U8,
)

few = settings(max_examples=40)


def by_name(kind: object) -> str:
    return getattr(kind, "__name__", "")


@pytest.mark.parametrize("kind", CHUNKS_BY_CLASS, ids=by_name)
@few
@given(st.data())
def test_chunk_comes_back_equal(kind: type[sctp.Chunk], data: st.DataObject) -> None:
    """Every chunk type, known and unknown, with any flags."""
    chunk = data.draw(st.builds(kind, flags=U8, **CHUNKS_BY_CLASS[kind]))
    raw = sctp.build_chunk(chunk)
    assert len(raw) % 4 == 0
    assert sctp.parse_chunks(raw) == (chunk,)


@pytest.mark.parametrize("kind", PARAMETERS_BY_CLASS, ids=by_name)
@few
@given(st.data())
def test_parameter_comes_back_equal(kind: type[sctp.Parameter], data: st.DataObject) -> None:
    """Every parameter, known and unknown."""
    parameter = data.draw(st.builds(kind, **PARAMETERS_BY_CLASS[kind]))
    assert sctp.parse_parameters(sctp.build_parameters((parameter,))) == (parameter,)


@given(PARAMETER_LISTS)
def test_parameter_list_comes_back_equal(parameters: tuple[sctp.Parameter, ...]) -> None:
    """In order, padded between, and not behind (RFC 9260 §3.2)."""
    assert sctp.parse_parameters(sctp.build_parameters(parameters)) == parameters


@given(CAUSE_LISTS)
def test_cause_list_comes_back_equal(causes: tuple[sctp.Cause, ...]) -> None:
    """Every cause, known and unknown."""
    assert sctp.parse_causes(sctp.build_causes(causes)) == causes


@given(PACKET)
def test_packet_comes_back_equal_with_its_checksum_right(packet: sctp.Packet) -> None:
    """Whole packets; without verifying, the checksum is kept as a number."""
    raw = sctp.encode(packet)
    assert sctp.decode(raw) == packet
    assert sctp.checksum_holds(raw)
    assert sctp.encode(sctp.decode(raw, verify=False)) == raw


@given(PACKET, st.integers(0, 2**32 - 1))
def test_wrong_checksum_is_kept_on_request(packet: sctp.Packet, checksum: int) -> None:
    """A damaged packet comes out as damaged as it went in."""
    raw = bytearray(sctp.encode(packet))
    raw[8:12] = checksum.to_bytes(4, "little")
    kept = sctp.decode(bytes(raw), verify=False)
    assert kept.checksum == checksum
    assert sctp.encode(kept) == raw


@pytest.mark.parametrize(
    ("known", "tested"),
    [(CHUNKS, CHUNKS_BY_CLASS), (PARAMETERS, PARAMETERS_BY_CLASS), (CAUSES, CAUSES_BY_CLASS)],
)
def test_every_class_has_a_round_trip(known: dict[int, type], tested: dict[type, object]) -> None:
    """A class that is registered, but not here, would go untested; a number of ids.py must have a class."""
    assert set(known.values()) <= set(tested)


def test_every_number_has_a_class() -> None:
    """What ids.py names, the registries speak; the causes that have no class of their own quote or are bare."""
    assert set(CHUNKS) == set(sctp.ChunkType)
    assert set(PARAMETERS) == set(sctp.ParameterType)
