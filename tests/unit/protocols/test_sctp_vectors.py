"""Packets that Linux sent (tests/vectors/record_sctp.py): bytes to JSON and JSON to bytes."""

import json
from pathlib import Path

import pytest
from scapy.layers.sctp import SCTP
from scapy.packet import NoPayload, Packet, Raw

from protocols import sctp
from protocols.sctp import ChunkType
from tests.vectors.sctp_json import from_json, to_json

VECTORS = sorted((Path(__file__).parents[2] / "vectors" / "sctp").glob("*.hex"))
NOT_RECORDED = {  # never sent by Linux, or only in answer to what Linux never sends
    ChunkType.ERROR,
    ChunkType.PAD,
}


def raw_of(path: Path) -> bytes:
    return bytes.fromhex(path.read_text())


def layers(packet: Packet) -> list[int]:
    """Chunk types as scapy sees them, up to the first that it does not know."""
    found = []
    while not isinstance(packet := packet.payload, NoPayload | Raw):
        found.append(int(packet.type))
    return found


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vector_in_both_directions(path: Path) -> None:
    """decode(hex) is the JSON, encode(JSON) is the hex; the checksum holds."""
    shown = json.loads(path.with_suffix(".json").read_text())
    assert to_json(sctp.decode(raw_of(path))) == shown
    assert sctp.encode(from_json(shown)) == raw_of(path)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vector_is_the_same_to_another_decoder(path: Path) -> None:
    """Ports, tag and the chain of chunk types."""
    ours, theirs = sctp.decode(raw_of(path)), SCTP(raw_of(path))
    assert (ours.source, ours.destination, ours.tag) == (theirs.sport, theirs.dport, theirs.tag)
    known = layers(theirs)
    assert [chunk.type for chunk in ours.chunks][: len(known)] == known
    assert known or ours.chunks[0].type in {ChunkType.ECNE, ChunkType.CWR}


def test_vectors_cover_every_chunk_that_linux_sends() -> None:
    """A recording that lost a scenario is noticed."""
    seen = {chunk.type for path in VECTORS for chunk in sctp.decode(raw_of(path)).chunks}
    assert seen == set(ChunkType) - NOT_RECORDED
