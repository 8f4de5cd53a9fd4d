"""ICMP errors about translated packets (docs/datapath.md §11): what the packet's sender would have seen without us."""

from struct import pack

from lb.model import Mode
from tests.oracle import checksums, established, flows
from tests.oracle.frames import SCTP, TCP, UDP, WHOLE, Frame, inner
from tests.oracle.leaving import Answer, Outcome, hop_for, leave, moved, quoted_header
from tests.oracle.model import Model
from tests.oracle.state import DOWN, UP, Association, Key, Pair, Stop, Undetermined, drop

ERRORS = {4: {3, 11, 12}, 6: {1, 2, 3, 4}}
HEADER, PORTS_AND_TAG = 8, 8


def walk(model: Model, f: Frame) -> Outcome:
    """An error about a packet of ours; everything else is the host's."""
    raw = f.raw[f.l4 :]
    if len(raw) < HEADER or f.fragment != WHOLE or f.end > len(f.raw) or raw[0] not in ERRORS[f.family]:
        raise Stop("pass")
    quote = inner(f.raw, f.l4 + HEADER, f.family)
    if quote is None or quote.protocol not in {SCTP, TCP, UDP} or f.end < quote.l4 + PORTS_AND_TAG:
        raise Stop("pass")
    answer = _of_association(model, quote) if quote.protocol == SCTP else flows.answer(model, quote)
    if answer is None:
        raise Stop("pass")
    hop = hop_for(model.hook, f, answer.dst)
    body = _unmade(f, quote, answer)
    outcome = leave(model.hook, f, hop, answer.src, answer.dst, body)
    outcome.soft += (
        len(outcome.data) - (len(f.raw) - f.l4) + 2,
        len(outcome.data) - (len(f.raw) - quote.l3) + 10,
    )
    return outcome


def _of_association(model: Model, quote: Frame) -> Answer | None:
    raw = quote.raw
    sport, dport, tag = (
        int.from_bytes(raw[quote.l4 + a : quote.l4 + b], "big") for a, b in ((0, 2), (2, 4), (4, 8))
    )
    found = _named(model, (tag, sport, dport))
    if found is None:
        return None
    a, direction = found
    ends = _ends(model, quote, a, direction)
    if direction == UP:
        return Answer(*ends, a.service_port, a.client_port)
    return Answer(*ends, a.our_port, a.server_port)


def _named(model: Model, key: Key) -> tuple[Association, int] | None:
    """The association whose packet in this direction looked so when it left us."""
    translated = [a for a in model.associations if a.mode is not Mode.DSR]
    found = [(a, UP) for a in translated if (a.ts, a.our_port, a.server_port) == key]
    found += [(a, DOWN) for a in translated if (a.tc, a.service_port, a.client_port) == key]
    if any(a.doubtful for a, _ in found):
        raise Undetermined
    return found[0] if found else None


def _ends(model: Model, quote: Frame, a: Association, direction: int) -> Pair:
    """Source and destination of an answer to the quoted packet, as it would leave."""
    turned = Frame(
        raw=b"",
        tags=0,
        l3=0,
        l4=0,
        end=0,
        family=quote.family,
        src=quote.dst,
        dst=quote.src,
        ttl=64,
        protocol=SCTP,
        fragment=WHOLE,
        ident=0,
    )
    model.state = a.state
    try:
        if direction == DOWN:
            return established.upward(model, turned, a)[0]
        client, vip = established.downward(model, turned, a)
    except Stop as stop:
        raise drop("foreign_source") from stop
    return vip, client


def _unmade(f: Frame, quote: Frame, answer: Answer) -> bytes:
    """The ICMP message about the packet that was really sent, its checksum as right as it was."""
    before = f.payload
    head = quoted_header(quote, answer.dst, answer.src)
    rest = pack(">HH", answer.dport, answer.sport) + f.raw[quote.l4 + 4 : f.end]
    after = before[:HEADER] + head + rest
    was = int.from_bytes(before[2:4], "big")
    wrong = (was - _sum(f, f.src, f.dst, before)) % 0xFFFF
    value = moved(_sum(f, answer.src, answer.dst, after), wrong)
    return after[:2] + value.to_bytes(2, "big") + after[4:]


def _sum(f: Frame, src: bytes, dst: bytes, body: bytes) -> int:
    pseudo = b"" if f.family == 4 else src + dst + len(body).to_bytes(4, "big") + pack(">I", f.protocol)
    return checksums.internet(pseudo + body[:2] + b"\0\0" + body[4:])
