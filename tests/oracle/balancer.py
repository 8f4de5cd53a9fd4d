"""One packet in, what must come of it out: the walk of docs/datapath.md, from the top."""

from tests.oracle import answers, flows, icmp, sctp
from tests.oracle.frames import FIRST, ICMP, ICMP6, LATER, SCTP, TCP, UDP, Frame, parse
from tests.oracle.leaving import Outcome, hop_for, leave
from tests.oracle.model import Model, malformed
from tests.oracle.state import Stop, drop

FRAGMENT_LIFE = 30.0


def step(model: Model, raw: bytes, seen: bytes) -> Outcome:
    """What must come of a frame; ``seen`` is what the datapath sent on, empty if it sent nothing."""
    model.seen, model.state = seen, ""
    model.reasons.clear()
    f = parse(raw)
    if f is None:
        return Outcome("pass", data=raw)
    try:
        outcome = _walk(model, f)
    except Stop as stop:
        outcome = _stopped(f, stop)
    if f.fragment == FIRST and outcome.verdict == "forward":
        sent = parse(outcome.data)
        if sent:
            model.fragments[_key(f)] = sent.src, sent.dst, model.now
    outcome.reasons += tuple(model.reasons)
    return outcome


def _walk(model: Model, f: Frame) -> Outcome:
    if f.protocol == (ICMP if f.family == 4 else ICMP6):
        return icmp.walk(model, f)
    if f.protocol not in {SCTP, TCP, UDP}:
        raise Stop("pass")
    if f.end > len(f.raw):
        raise malformed(model, f, "ip_length")
    if f.fragment == LATER:
        return _later(model, f)
    return sctp.walk(model, f) if f.protocol == SCTP else flows.walk(model, f)


def _stopped(f: Frame, stop: Stop) -> Outcome:
    if stop.verdict == "pass":
        return Outcome("pass", data=f.raw)
    reasons = (stop.reason,) if stop.reason else ()
    check = answers.check_for(stop.answer, f) if stop.answer else None
    return Outcome("answer", reasons, check=check) if check else Outcome("drop", reasons)


def _key(f: Frame) -> tuple[bytes, bytes, int, int]:
    return f.src, f.dst, f.ident, f.protocol


def _later(model: Model, f: Frame) -> Outcome:
    """The addresses that the first fragment got."""
    src, dst, seen = model.fragments.get(_key(f), (b"", b"", 0.0))
    if not src or model.now - seen > FRAGMENT_LIFE:
        if model.hook == "xdp":
            raise Stop("pass")
        raise drop("fragment") if model.world.is_vip(f.dst, f.protocol) else Stop("pass")
    return leave(model.hook, f, hop_for(model.hook, f, dst), src, dst, f.payload)
