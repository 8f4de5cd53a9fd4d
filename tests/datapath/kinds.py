"""The packets of the table: every chunk type of RFC 9260, of its extensions, an unknown one of each action, bundles."""

from dataclasses import dataclass
from struct import pack

from tests.datapath.packets import COOKIE_ACK, COOKIE_ECHO, INIT, INIT_ACK, SACK, chunk, data

T_BIT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A packet by its chunks. ``rule`` names the row of the rule table; ``reflected``: it carries the other side's tag.

    INIT and INIT ACK have no chunks here: they differ with the addresses that they list.
    """

    name: str
    rule: str
    chunks: tuple[bytes, ...] = ()
    reflected: bool = False


def _one(name: str, number: int, body: bytes = bytes(8), *, rule: str = "", flags: int = 0) -> Kind:
    reflected = bool(flags & T_BIT)
    return Kind(name=name, rule=rule or name, chunks=(chunk(number, body, flags),), reflected=reflected)


def _more(name: str, rule: str, *chunks: bytes) -> Kind:
    return Kind(name=name, rule=rule, chunks=chunks)


SACKED = chunk(SACK, bytes(12))
# RFC 9260 §3.2: the two highest bits of an unknown type say what its receiver does.
KINDS = (
    Kind(name="DATA", rule="DATA", chunks=(data(),)),
    Kind(name="INIT", rule="INIT"),
    Kind(name="INIT ACK", rule="INIT ACK"),
    _one("SACK", SACK, bytes(12)),
    _one("HEARTBEAT", 4),
    _one("HEARTBEAT ACK", 5),
    _one("ABORT", 6, b"", rule="ABORT"),
    _one("SHUTDOWN", 7, bytes(4)),
    _one("SHUTDOWN ACK", 8, b""),
    _one("ERROR", 9),
    _one("COOKIE ECHO", COOKIE_ECHO),
    _one("COOKIE ACK", COOKIE_ACK, b""),
    _one("ECNE", 12, bytes(4)),
    _one("CWR", 13, bytes(4)),
    _one("SHUTDOWN COMPLETE", 14, b""),
    _one("AUTH", 15, bytes(24)),
    _one("I-DATA", 64, pack(">IHHII", 1, 0, 0, 0, 60) + b"hello", flags=2),
    _one("ASCONF ACK", 0x80, rule="ASCONF"),
    _one("RE-CONFIG", 130),
    _one("PAD", 0x84),
    _one("ASCONF", 0xC1),
    _one("FORWARD TSN", 192),
    _one("I-FORWARD-TSN", 194),
    _one("unknown, stop", 0x3E),
    _one("unknown, stop and report", 0x7E),
    _one("unknown, skip", 0xBE),
    _one("unknown, skip and report", 0xFE),
    _one("ABORT with T", 6, b"", rule="reflected", flags=T_BIT),
    _one("SHUTDOWN COMPLETE with T", 14, b"", rule="reflected", flags=T_BIT),
    _more("SACK, DATA", "DATA", SACKED, data()),
    _more("COOKIE ECHO, DATA", "COOKIE ECHO", chunk(COOKIE_ECHO, bytes(8)), data()),
    _more("COOKIE ACK, SACK, DATA", "COOKIE ACK", chunk(COOKIE_ACK), SACKED, data()),
    _more("AUTH, ASCONF", "ASCONF", chunk(15, bytes(24)), chunk(0xC1, bytes(8))),
    _more("SACK, ASCONF ACK, DATA", "ASCONF", SACKED, chunk(0x80, bytes(8)), data()),
    _more("DATA, then what nobody reads", "DATA", data(), chunk(0xC1, bytes(8))),
)
NUMBERS = {INIT, INIT_ACK, *range(15)}
