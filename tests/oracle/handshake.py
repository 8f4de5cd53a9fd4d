"""From INIT to COOKIE ACK (docs/datapath.md §3 to §5)."""

from lb.model import Admin, Endpoint, Mode, Service
from tests.oracle import answers, parameters, paths
from tests.oracle.established import downward, ending, forward, upward
from tests.oracle.established import dsr as only_ethernet
from tests.oracle.frames import WHOLE, Frame
from tests.oracle.leaving import Outcome, hop_for, leave, sctp_payload
from tests.oracle.model import WAYS, Model
from tests.oracle.state import (
    DOWN,
    UP,
    Association,
    Candidate,
    Handshake,
    Key,
    Peer,
    Stop,
    Undetermined,
    drop,
    refuses_with_abort,
)

COOKIE_ECHO = 10
CANDIDATES, BUCKETS = 4, 2


def from_endpoint(model: Model, f: Frame, key: Key) -> Handshake | None:
    """The handshake that a packet from the endpoint belongs to."""
    tag, sport, dport = key
    found = [
        h
        for h in model.pending()
        if (h.tc, h.server_port, h.our_port) == (tag, sport, dport)
        and f.src in h.servers
        and h.mode is not Mode.DSR
        and (h.mode is not Mode.DNAT or f.dst in h.clients)
    ]
    if len(found) > 1:
        raise Undetermined
    return found[0] if found else None


def init(model: Model, f: Frame, key: Key) -> Outcome:
    """§3, in its order."""
    model.state = "new"
    tag, sport, dport = key
    served = model.world.service(f.dst, f.protocol, dport)
    if served is None:
        raise drop("no_service") if model.world.is_vip(f.dst, f.protocol) else Stop("pass")
    service, j = served
    if f.fragment != WHOLE:
        raise drop("fragment_ports")
    if tag:
        raise drop("init_tag")
    tc, length = parameters.check_chunk(f.payload)
    if not model.world.allowed(service, f.src):
        raise drop("source_not_allowed")
    if model.world.member(service, f.src):
        raise drop("endpoint_init")
    h = _retransmitted(model, service, f, (tc, sport, dport))
    if h:
        model.state = "pending"
    else:
        h = _begun(model, f, service, (tc, sport, dport), f.payload[12 : 12 + length])
    h.last = model.now
    return _send_init(model, f, h, j)


def _retransmitted(model: Model, service: Service, f: Frame, key: Key) -> Handshake | None:
    for h in model.pending():
        same = (h.tc, h.client_port, h.service_port) == key and h.service.name == service.name
        if same and f.src in h.clients:
            now = model.world.current(h.pool, h.endpoint)
            if h.candidates or (now and now.admin is not Admin.DOWN and model.world.reachable(now)):
                return h
            model.forget(h)
    return None


def _begun(model: Model, f: Frame, service: Service, key: Key, chunk: bytes) -> Handshake:
    """A place among the pending ones, an endpoint, a port."""
    tc, sport, dport = key
    clients, families = parameters.scan(chunk, f.src)
    h = Handshake(
        service=service,
        pool=model.world.pool(service),
        endpoint=Endpoint(name="", addresses=()),
        tc=tc,
        client_port=sport,
        service_port=dport,
        our_port=sport,
        server_port=dport,
        clients=clients,
        last=model.now,
        pair=(f.src, f.dst),
        families=families,
    )
    h.restart = model.peers.get((f.src, sport, dport, service.name))
    model.state = h.restart.state if h.restart else "new"
    _make_room(model, h)
    kept = _kept_endpoint(model, h.restart)
    h.endpoint = kept or _picked(model, h)
    h.server_port = h.endpoint.port or h.service_port
    _take_port(model, h)
    model.handshakes.append(h)
    if h.mode is Mode.DSR:
        model.direct |= {(c, sport, dport, service.name): h for c in clients}
    return h


def _make_room(model: Model, new: Handshake) -> None:
    """An expired handshake may give its place though another is free."""
    victim = _place(model, new.tc)
    if victim and model.live(victim):
        model.forget(victim)
        model.reasons.append("evicted")
    for h in [h for h in model.handshakes if not model.live(h)]:
        same = (h.tc, h.client_port, h.service_port, h.service.name, h.clients[0])
        again = same == (new.tc, new.client_port, new.service_port, new.service.name, new.clients[0])
        if len(model.chosen(h)) <= again:
            model.forget(h)


def _place(model: Model, tc: int) -> Handshake | None:
    """None: one is free. An expired one makes room, else the oldest unanswered one."""
    home = model.homes.get(tc)
    inside = [h for h in model.handshakes if model.homes[h.tc] == home]
    if home is None:  # refused, or it would be there: one of the buckets must be full of answered ones
        buckets = [[h for h in model.handshakes if model.homes[h.tc] == i] for i in range(BUCKETS)]
        inside = next((b for b in buckets if _full(model, b)), [])
    if len(inside) < WAYS:
        return None
    if _full(model, inside):
        raise drop("pending_full")
    expired = next((h for h in inside if not model.live(h)), None)
    return expired or min((h for h in inside if not h.answered), key=lambda h: h.last)


def _full(model: Model, bucket: list[Handshake]) -> bool:
    return len(bucket) == WAYS and all(model.live(h) and h.answered for h in bucket)


def _kept_endpoint(model: Model, a: Association | None) -> Endpoint | None:
    now = model.world.current(a.pool, a.endpoint) if a and a.state == "established" else None
    if now and now.admin is not Admin.DOWN and model.world.reachable(now):
        return now
    return None


def _picked(model: Model, h: Handshake) -> Endpoint:
    """Whatever usable endpoint the datapath took."""
    able = [e for e in h.pool.endpoints if model.world.usable(e)]
    if not able:
        raise Stop("drop", "no_endpoint", "abort" if refuses_with_abort(h.service) else "")
    took = model.chosen(h)
    return next((e for e in able if took and took[0][0] == e.addresses[0].packed), able[0])


def _take_port(model: Model, h: Handshake) -> None:
    """Its own port if free, else a legal one that the datapath took."""
    if h.mode not in {Mode.FULLNAT, Mode.ONEARM}:
        return
    old = h.restart
    if old and (old.endpoint.name, old.server_port) == (h.endpoint.name, h.server_port):
        h.our_port, h.lent = old.our_port, True
        return
    if _port_free(model, h, h.our_port):
        return
    took = model.chosen(h)
    port = took[0][1] if took else 0
    if port < 1024 or not _port_free(model, h, port):
        raise drop("ports_exhausted")
    h.our_port = port


def reserved(model: Model) -> set[tuple[bytes, int, int]]:
    """{server, its port, our port} of everything that lives."""
    peers: list[Peer] = [h for h in model.handshakes if not h.lent]
    peers += model.associations
    return {(p.servers[0], p.server_port, p.our_port) for p in peers}


def _port_free(model: Model, h: Handshake, port: int) -> bool:
    server = h.endpoint.addresses[0].packed
    if (server, h.server_port, port) in reserved(model):
        return False
    return (h.tc, h.server_port, port) not in model.table


def _send_init(model: Model, f: Frame, h: Handshake, j: int) -> Outcome:
    src, dst = paths.to_endpoint(model.world, h, f.src, j)
    h.pair = f.src, f.dst
    if h.mode is Mode.DSR:
        return only_ethernet(model, f, dst)
    hop = hop_for(model.hook, f, dst)
    siblings = None
    if h.mode in {Mode.FULLNAT, Mode.ONEARM}:
        siblings = parameters.Siblings(
            ours=list(dict.fromkeys(paths.sources(model.world, h))),  # one address may face two of theirs
            implied=src,
            src=f.src,
            families=h.families,
            room=hop.mtu - f.size,
        )
    edited = parameters.edit(f.payload, siblings)
    return leave(model.hook, f, hop, src, dst, sctp_payload(f, h.our_port, h.server_port, edited))


def init_ack(model: Model, f: Frame, key: Key, h: Handshake) -> Outcome:
    """§4."""
    model.state = "pending"
    ts, _ = parameters.check_chunk(f.payload)
    _add_candidate(model, h, ts)
    h.answered = True
    h.last = model.now
    client, vip = downward(model, f, h)
    hop = hop_for(model.hook, f, client)
    if f.fragment != WHOLE:
        raise drop("fragment_ports")
    siblings = parameters.Siblings(
        ours=h.vips, implied=vip, src=f.src, families=h.families, room=hop.mtu - f.size
    )
    edited = parameters.edit(f.payload, siblings)
    return leave(model.hook, f, hop, vip, client, sctp_payload(f, h.service_port, h.client_port, edited))


def _taken(model: Model, h: Handshake, ts: int) -> bool:
    key = (ts, h.client_port, h.service_port)
    if key in model.table:
        return True
    return any(
        (c.ts, o.client_port, o.service_port) == key
        for o in model.handshakes
        if o is not h
        for c in o.candidates
    )


def _add_candidate(model: Model, h: Handshake, ts: int) -> None:
    if any(c.ts == ts for c in h.candidates):
        return
    if _taken(model, h, ts):
        raise drop("tag_clash")
    if len(h.candidates) == CANDIDATES:
        h.candidates.remove(next(c for c in h.candidates if c.ts != h.echoed))
    h.candidates.append(Candidate(ts))


def by_candidate(model: Model, f: Frame, key: Key) -> Outcome | None:
    """From the client, by a tag that the endpoint drew; an expired handshake too, until it is swept."""
    for h in model.handshakes:
        if any((c.ts, h.client_port, h.service_port) == key for c in h.candidates):
            model.state = "pending"
            if f.src not in h.clients:
                raise drop("foreign_source")
            if f.payload[12] == COOKIE_ECHO:
                h.echoed = key[0]
            return _relay(model, f, h, UP)
    return None


def by_tag(model: Model, f: Frame, key: Key) -> Outcome | None:
    """From the endpoint, by the client's tag."""
    h = from_endpoint(model, f, key)
    model.state = "pending" if h else ""
    return _relay(model, f, h, DOWN) if h else None


def _relay(model: Model, f: Frame, h: Handshake, direction: int) -> Outcome:
    over = ending(f) == "aborted"
    if direction == UP:
        (src, dst), _ = upward(model, f, h)
        h.pair = f.src, f.dst
        ports = h.our_port, h.server_port
    else:
        dst, src = downward(model, f, h)
        ports = h.service_port, h.client_port
    h.last = model.now
    try:
        hop = hop_for(model.hook, f, dst)
        outcome = leave(model.hook, f, hop, src, dst, sctp_payload(f, *ports))
    except Stop as stop:
        if over and stop.answer and answers.check_for(stop.answer, f):
            model.forget(h)  # whoever hears that its ABORT went no further has aborted all the same
        raise
    if over:
        model.forget(h)
    return outcome


def promote(model: Model, h: Handshake) -> None:
    """COOKIE ACK makes an association."""
    if not h.echoed:
        model.state = "pending"
        raise drop("handshake_order")
    become(model, h, h.echoed)


def become(model: Model, h: Handshake, ts: int) -> Association:
    """The association; what it restarts dies first."""
    model.state = "pending"
    if h.restart:
        if h.restart not in model.associations:
            raise Undetermined  # its record may be another's, made within one tick of the datapath's clock
        end(model, h.restart)
        h.lent = False
    down = (h.tc, h.server_port, h.our_port)
    up = (ts, h.client_port, h.service_port)
    clash = up in model.table or (h.mode not in {Mode.DNAT, Mode.DSR} and down in model.table)
    if model.free <= 0 or clash:
        raise drop("table_full")
    model.free -= 1
    a = Association(
        service=h.service,
        pool=h.pool,
        endpoint=h.endpoint,
        tc=h.tc,
        client_port=h.client_port,
        service_port=h.service_port,
        our_port=h.our_port,
        server_port=h.server_port,
        clients=h.clients,
        last=model.now,
        ts=ts,
        pair=h.pair,
    )
    model.heard(a, h.pair[0])
    for other in model.associations:
        same = (a.tc, a.service_port, a.client_port) == (other.tc, other.service_port, other.client_port)
        if same or (a.ts, a.our_port, a.server_port) == (other.ts, other.our_port, other.server_port):
            a.doubtful = other.doubtful = True
    model.forget(h)
    model.associations.append(a)
    model.table[up] = a, UP
    if a.mode is Mode.DSR:
        return a
    if down in model.table:
        model.overflow |= {(down, client): a for client in a.clients}
    else:
        model.table[down] = a, DOWN
    return a


def end(model: Model, a: Association) -> None:
    """Nothing of it stays."""
    model.associations.remove(a)
    model.free += 1
    model.table = {k: v for k, v in model.table.items() if v[0] is not a}
    model.overflow = {k: v for k, v in model.overflow.items() if v is not a}
    model.peers = {k: v for k, v in model.peers.items() if v is not a}


def dsr(model: Model, f: Frame, key: Key) -> Outcome | None:
    """COOKIE ECHO alone makes an association: the endpoint's answers never come here."""
    tag, sport, dport = key
    if f.payload[12] != COOKIE_ECHO:
        return None
    served = model.world.service(f.dst, f.protocol, dport)
    h = model.direct.get((f.src, sport, dport, served[0].name)) if served else None
    if h is None:
        return None
    h.pair = f.src, f.dst
    try:
        a = become(model, h, tag)
    except Stop:
        return None
    return forward(model, f, a, UP)
