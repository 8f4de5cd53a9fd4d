"""Which association an SCTP packet belongs to (docs/datapath.md §2), and out of the blue (§8)."""

from lb.model import Mode
from tests.oracle import established, handshake
from tests.oracle.frames import WHOLE, Frame
from tests.oracle.leaving import Outcome
from tests.oracle.model import Model, malformed
from tests.oracle.state import DOWN, UP, Association, Key, Stop, Undetermined, answers_abort, drop

INIT, INIT_ACK, ABORT, SHUTDOWN_ACK, COOKIE_ACK, SHUTDOWN_COMPLETE = 1, 2, 6, 8, 11, 14
SHORTEST, LARGEST = 16, 9216
Found = tuple[Association, int]


def walk(model: Model, f: Frame) -> Outcome:
    """Any whole SCTP packet or first fragment."""
    payload = f.payload
    if len(payload) < SHORTEST or (len(payload) & 3 and f.fragment == WHOLE) or f.end > LARGEST:
        raise malformed(model, f, "sctp_length")
    key = key_of(payload)
    if not key[1] or not key[2]:
        raise malformed(model, f, "zero_port")
    first = payload[12]
    if first == INIT:
        return handshake.init(model, f, key)
    if first == INIT_ACK:
        found = handshake.from_endpoint(model, f, key)
        return handshake.init_ack(model, f, key, found) if found else out_of_the_blue(model, f, key)
    if first == COOKIE_ACK:
        found = handshake.from_endpoint(model, f, key)
        if found:
            handshake.promote(model, found)
    return any_other(model, f, key)


def any_other(model: Model, f: Frame, key: Key) -> Outcome:
    """The table first; last for a reflected tag: with one port at both ends it looks like the other direction's."""
    pending = handshake.by_candidate, handshake.by_tag
    plain = (_table, *pending, _overflow, handshake.dsr)
    for look_up in (*pending, _reflected, _overflow, _table) if _reflects(f) else plain:
        outcome: Outcome | None = look_up(model, f, key)
        if outcome:
            return outcome
    return out_of_the_blue(model, f, key)


def key_of(payload: bytes) -> Key:
    """Tag and ports as the packet carries them."""
    return (
        int.from_bytes(payload[4:8], "big"),
        int.from_bytes(payload[0:2], "big"),
        int.from_bytes(payload[2:4], "big"),
    )


def _table(model: Model, f: Frame, key: Key) -> Outcome | None:
    found = model.table.get(key)
    if found is None:
        return None
    association, direction = found
    stranger = f.dst not in association.clients or f.src not in association.servers
    if direction == DOWN and association.mode is Mode.DNAT and stranger:
        association = model.overflow.get((key, f.dst), association)
    return established.forward(model, f, association, direction)


def _overflow(model: Model, f: Frame, key: Key) -> Outcome | None:
    other = model.overflow.get((key, f.dst))
    return established.forward(model, f, other, DOWN) if other else None


def reflected(model: Model, key: Key) -> Found | None:
    """The association whose other direction has this tag and these ports, seen from the sender."""
    found: list[Found] = []
    for a in model.associations:
        if a.mode is not Mode.DSR and (a.ts, a.server_port, a.our_port) == key:
            found.append((a, DOWN))
        if a.mode is not Mode.DSR and (a.tc, a.client_port, a.service_port) == key:
            found.append((a, UP))
    if any(a.doubtful for a, _ in found):
        raise Undetermined
    return found[0] if found else None


def _reflects(f: Frame) -> bool:
    return f.payload[12] in {ABORT, SHUTDOWN_COMPLETE} and bool(f.payload[13] & 1)


def _reflected(model: Model, f: Frame, key: Key) -> Outcome | None:
    found = reflected(model, key)
    return established.reflect(model, f, *found) if found else None


def out_of_the_blue(model: Model, f: Frame, key: Key) -> Outcome:
    """§8: RFC 9260 §8.4."""
    tag, _, dport = key
    served = model.world.service(f.dst, f.protocol, dport)
    if not model.world.is_vip(f.dst, f.protocol):
        raise Stop("pass")
    if served is None:
        raise drop("ootb")
    if tag == 0:
        raise drop("zero_tag")
    if _quiet(f) or not answers_abort(served[0]):
        raise drop("ootb")
    raise Stop("drop", "ootb", "complete" if f.payload[12] == SHUTDOWN_ACK else "reflect")


def _quiet(f: Frame) -> bool:
    """What RFC 9260 §8.4 has nobody answer."""
    if f.fragment != WHOLE or f.payload[12] == COOKIE_ACK:
        return True
    try:
        return any(kind in {ABORT, SHUTDOWN_COMPLETE} for kind in established.control_chunks(f))
    except Stop:
        return True
