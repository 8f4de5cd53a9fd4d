"""What peers may send next, drawn from what the model knows: handshakes, data, endings, clashes, strangers, garbage."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from struct import pack

from lb.model import Admin, Endpoint, Mode, Protocol
from tests.oracle import packets, paths, scenes
from tests.oracle.frames import ICMP, ICMP6, SCTP, TCP, UDP, ethernet, packet, parse
from tests.oracle.packets import chunk, frame, init, listed, parameter, transport
from tests.oracle.scenes import Client, Scene
from tests.oracle.state import Association, Handshake, Peer, Policies

INIT, INIT_ACK, COOKIE_ECHO, COOKIE_ACK = 1, 2, 10, 11
ABORT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE = 6, 7, 8, 14
CHUNKS = (0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 64, 0x80, 0x82, 0x84, 0xC0, 0xC1, 0xC2)
SHORTEST = 54  # the kernel runs tc programs on frames with a whole IP header only
SPANS = (
    8.0,
    24.0,
    32.0,
    64.0,
    72.0,
    896.0,
    904.0,
)  # a second at least from every timeout, whatever their sums


@dataclass(frozen=True, slots=True)
class Send:
    """A frame arrives."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes; then, perhaps, the sweep."""

    seconds: float
    sweep: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Policy or health changes."""

    world: Policies


Step = Send | Wait | Change


def tag(scene: Scene) -> int:
    """Now and then one that somebody else has."""
    peers = [*scene.model.associations, *scene.model.handshakes]
    if peers and scene.rng.random() < 0.04:
        return scene.rng.choice(peers).tc
    return scene.rng.getrandbits(32) or 1


def options(scene: Scene, addresses: list[bytes]) -> bytes:
    """Parameters of an INIT or INIT ACK in any order."""
    rng = scene.rng
    some = [listed([a]) for a in addresses]
    if rng.random() < 0.3:
        some.append(parameter(12, rng.choice([pack(">H", 5), pack(">HH", 5, 6), pack(">HHH", 6, 5, 11)])))
    if rng.random() < 0.5:
        types = bytes(rng.choice([0xC1, 0x80, 0x82, 0xC0, 0x0F]) for _ in range(rng.choice([1, 3, 5, 40])))
        some.append(parameter(0x8008, types))
    if rng.random() < 0.15:
        some.append(parameter(0x8001, b"\0\0\0\1"))
    if rng.random() < 0.15:
        some.append(parameter(0xC004, listed(addresses[:1] or [b"\1\2\3\4"])))
    if rng.random() < 0.3:
        some.append(parameter(rng.choice([0x8000, 0xC000, 7, 9]), rng.randbytes(rng.choice([0, 1, 4, 45]))))
    if rng.random() < 0.02:
        some.append(parameter(11, b"host.example\0"))
    if rng.random() < 0.02:
        some += [parameter(0x8000)] * 48
    if rng.random() < 0.3:
        rng.shuffle(some)
    return b"".join(some)


def vip_of(scene: Scene, size: int) -> bytes:
    """One of the family, mostly of the first service."""
    every = [v.packed for s in scene.world.policy.services.values() for v in s.vips]
    fitting = [v for v in every if len(v) == size]
    return scene.rng.choice(fitting or every)


def dial(scene: Scene, client: Client, tc: int, src: bytes, port: int) -> list[Step]:
    """INIT from a client."""
    rng = scene.rng
    dst = vip_of(scene, len(src))
    if len(dst) != len(src):
        return []
    names = list(client.addresses) if rng.random() < 0.85 else []
    body = options(scene, names)
    chunk = init(INIT, tc, body, cut=rng.choice([0, 0, 0, 3]) if body else 0)
    if rng.random() < 0.02:
        chunk += data(scene)  # which must not be there
    dport = rng.choice([scenes.PORT] * 40 + [scenes.PORT + 2] * 5 + [9] * 5 + [0])
    return [Send(frame(src, dst, transport(port, dport, 0, chunk, rng), rng))]


def new(scene: Scene) -> list[Step]:
    """Somebody dials."""
    client = scene.rng.choice(scene.clients)
    port = client.port if scene.rng.random() < 0.8 else scene.rng.randrange(1, 65536)
    src = client.addresses[0]
    if scene.rng.random() < 0.02:  # an endpoint dials its own service
        (pool,) = scene.world.policy.pools.values()
        src = scene.rng.choice(pool.endpoints[0].addresses).packed
    return dial(scene, client, tag(scene), src, port)


def again(scene: Scene) -> list[Step]:
    """A retransmission, perhaps by another path or with another list."""
    h = _pending(scene)
    if h is None:
        return []
    client = Client(h.clients, h.client_port)
    return dial(scene, client, h.tc, scene.rng.choice(h.clients), h.client_port)


def restart(scene: Scene) -> list[Step]:
    """A client that has lost its state dials anew."""
    a = _association(scene)
    if a is None:
        return []
    client = Client(a.clients, a.client_port)
    new_tag = a.tc if scene.rng.random() < 0.1 else tag(scene)
    src = scene.rng.choice(sorted(a.sent) if scene.rng.random() < 0.8 else a.clients)
    return dial(scene, client, new_tag, src, a.client_port)


def _pending(scene: Scene) -> Handshake | None:
    alive = scene.model.pending()
    return scene.rng.choice(alive) if alive else None


def _association(scene: Scene) -> Association | None:
    return scene.rng.choice(scene.model.associations) if scene.model.associations else None


def up(scene: Scene, peer: Peer, vtag: int, body: bytes) -> list[Step]:
    """A packet from the client; now and then from or to somebody else."""
    rng = scene.rng
    src = rng.choice(peer.clients)
    if rng.random() < 0.04:
        src = packets.packed(rng.choice(["10.1.0.33", "10.11.0.2", "fd00::33"]))
    fitting = [v for v in peer.vips if len(v) == len(src)]
    dst = rng.choice(fitting) if fitting else vip_of(scene, len(src))
    if rng.random() < 0.02:
        dst = packets.packed("10.100.0.99" if len(src) == 4 else "fd00:100::99")
    if len(src) != len(dst):
        return []
    payload = transport(peer.client_port, peer.service_port, vtag, body, rng)
    return [Send(frame(src, dst, payload, rng))]


def down(scene: Scene, peer: Peer, vtag: int, body: bytes) -> list[Step]:
    """A packet from the endpoint; now and then from or to somebody else."""
    rng = scene.rng
    ours = [s for s in paths.sources(scene.world, peer) if any(len(s) == len(e) for e in peer.servers)]
    if not ours:
        return []
    dst = rng.choice(ours)
    if rng.random() < 0.03:
        dst = vip_of(scene, len(dst))
    src = rng.choice([e for e in peer.servers if len(e) == len(dst)] or peer.servers)
    if rng.random() < 0.03:
        src = packets.packed("10.11.0.38" if len(src) == 4 else "fd00:2::26")
    if len(src) != len(dst):
        return []
    payload = transport(peer.server_port, peer.our_port, vtag, body, rng)
    return [Send(frame(src, dst, payload, rng))]


def progress(scene: Scene) -> list[Step]:
    """The next packet of a handshake, or one out of order."""
    h = _pending(scene)
    if h is None:
        return new(scene)
    if h.mode is Mode.DSR:
        return up(scene, h, tag(scene), chunk(COOKIE_ECHO, b"cookie" * 3))
    odd = scene.rng.random()
    if not h.candidates or odd < 0.06:
        return _init_ack(scene, h)
    if odd < 0.17:
        return _out_of_order(scene, h)
    if not h.echoed or odd < 0.22:
        c = scene.rng.choice(h.candidates)
        return up(scene, h, c.ts, chunk(COOKIE_ECHO, b"cookie!") + _more(scene))
    return down(scene, h, h.tc, chunk(COOKIE_ACK) + _more(scene))


def _out_of_order(scene: Scene, h: Handshake) -> list[Step]:
    way = scene.rng.random()
    if way < 0.2:
        return down(scene, h, h.tc, chunk(COOKIE_ACK))
    raw = chunk(scene.rng.choice(CHUNKS), bytes(scene.rng.choice([0, 4, 16]))) + _more(scene)
    if way < 0.6:
        return down(scene, h, h.tc, raw)
    return up(scene, h, scene.rng.choice(h.candidates).ts, raw)


def _init_ack(scene: Scene, h: Handshake) -> list[Step]:
    rng = scene.rng
    others = [(a.ts, a) for a in scene.model.associations]
    ts = rng.choice(others)[0] if others and rng.random() < 0.05 else rng.getrandbits(32) or 1
    names = h.servers if rng.random() < 0.85 else []
    raw = init(INIT_ACK, ts, options(scene, names) + parameter(7, rng.randbytes(40)))
    return down(scene, h, h.tc, raw)


def _more(scene: Scene) -> bytes:
    return data(scene) if scene.rng.random() < 0.3 else b""


def data(scene: Scene) -> bytes:
    """DATA or I-DATA of any size, now and then beyond what a link takes."""
    size = scene.rng.choice([1, 5, 100, 100, 700, 1200, 1300, 1420, 1600])
    return chunk(scene.rng.choice([0, 0, 0, 64]), pack(">IHHI", 1, 0, 0, 60) + bytes(size), 3)


def body(scene: Scene) -> bytes:
    """Chunks of any kind, one to ten of them, most often such as hosts send."""
    rng = scene.rng
    way = rng.random()
    if way < 0.3:
        return data(scene)
    if way < 0.4:
        return chunk(3, pack(">IIHH", 1, 65536, 0, 0)) + data(scene)
    if way < 0.5:
        return chunk(3, pack(">IIHH", 1, 65536, 0, 0))
    if way < 0.6:
        return chunk(rng.choice([4, 5]), parameter(1, rng.randbytes(40)))
    if way < 0.7:
        return b"".join(_any_chunk(scene) for _ in range(rng.choice([2, 3, 10])))
    return _any_chunk(scene)


def _any_chunk(scene: Scene) -> bytes:
    rng = scene.rng
    kind = rng.choice(CHUNKS)
    if kind in {ABORT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE, 0xC1, 0x80} and rng.random() < 0.7:
        kind = rng.choice([3, 4, 5, 9, 12])
    return chunk(kind, rng.randbytes(rng.choice([0, 4, 5, 16])), rng.choice([0, 0, 0, 1, 3]))


def talk(scene: Scene) -> list[Step]:
    """An established association, either way."""
    a = _association(scene)
    if a is None:
        return progress(scene)
    if scene.rng.random() < 0.5 or a.mode is Mode.DSR:
        return up(scene, a, a.ts, body(scene))
    return down(scene, a, a.tc, body(scene))


def ending(scene: Scene) -> list[Step]:
    """One of the chunks that end an association, with the own or the reflected tag."""
    a, rng = _association(scene), scene.rng
    if a is None:
        return progress(scene)
    kind = rng.choice([ABORT, ABORT, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE])
    reflect = kind in {ABORT, SHUTDOWN_COMPLETE} and rng.random() < 0.6
    raw = chunk(kind, b"", int(reflect))
    if rng.random() < 0.5:
        return up(scene, a, a.tc if reflect else a.ts, raw)
    return down(scene, a, a.ts if reflect else a.tc, raw)


def blue(scene: Scene) -> list[Step]:
    """Out of the blue."""
    rng = scene.rng
    client = rng.choice(scene.clients)
    src = client.addresses[0]
    dst = vip_of(scene, len(src))
    if len(dst) != len(src):
        return []
    raw = rng.choice([body(scene), chunk(ABORT, b"", 1), chunk(COOKIE_ACK), init(INIT_ACK, 5, b"")])
    vtag = rng.choice([0, rng.getrandbits(32)])
    dport = rng.choice([scenes.PORT] * 4 + [9])
    return [Send(frame(src, dst, transport(client.port, dport, vtag, raw, rng), rng))]


def mutant(scene: Scene) -> list[Step]:
    """Any of the others' packets with bytes changed, cut or doubled behind the Ethernet header."""
    rng = scene.rng
    steps = rng.choice([new, again, progress, talk, ending, blue, flow, error])(scene)
    return [Send(_mutated(scene, s.raw)) if isinstance(s, Send) else s for s in steps]


def _mutated(scene: Scene, raw: bytes) -> bytes:
    rng = scene.rng
    changed = bytearray(raw)
    start = 14 if rng.random() < 0.3 else min(len(raw) - 1, 34)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(start, len(changed))
        changed[at] = rng.choice((0, 1, 4, 5, 0xFF, rng.randrange(256)))
    if rng.random() < 0.2:
        del changed[max(rng.randrange(len(changed)), SHORTEST) :]
    return bytes(changed)


def wait(scene: Scene) -> list[Step]:
    """Time passes."""
    span = scene.rng.choices(SPANS, [6, 3, 3, 2, 2, 1, 1])[0]
    return [Wait(span, scene.rng.random() < 0.7)]


def change(scene: Scene) -> list[Step]:
    """An endpoint address dies or lives again; an endpoint is drained, taken down, given back."""
    rng, world = scene.rng, scene.world
    (name, pool), *_ = world.policy.pools.items()
    if rng.random() < 0.6:
        every = [a for e in pool.endpoints for a in e.addresses]
        dead = world.dead ^ {rng.choice(every)}
        return [Change(replace(world, dead=dead))]
    chosen = rng.randrange(len(pool.endpoints))
    endpoints: tuple[Endpoint, ...] = tuple(
        replace(e, admin=rng.choice(list(Admin))) if i == chosen else e for i, e in enumerate(pool.endpoints)
    )
    policy = replace(world.policy, pools={name: replace(pool, endpoints=endpoints)})
    return [Change(replace(world, policy=policy))]


def flow(scene: Scene) -> list[Step]:
    """A packet of TCP or UDP: from a client, of a flow either way, or of none."""
    rng, model = scene.rng, scene.model
    kinds = [s for s in scene.world.policy.services.values() if s.protocol is not Protocol.SCTP]
    if not kinds:
        return talk(scene)
    if model.flows and rng.random() < 0.75:
        protocol, src, dst, sport, dport = rng.choice(list(model.flows))
    else:
        client = rng.choice(scene.clients)
        src = client.addresses[0]
        protocol, sport = rng.choice([TCP, UDP]), rng.choice([client.port, 40_000, 40_001])
        dst, dport = vip_of(scene, len(src)), rng.choice([scenes.PORT] * 9 + [9])
    if len(src) != len(dst):
        return []
    flags = rng.choice([2, 2, 16, 16, 24, 17, 4, 18])
    raw = packets.tcp_or_udp(protocol, src, dst, (sport, dport), flags, rng)
    return [Send(frame(src, dst, raw, rng, protocol))]


def error(scene: Scene) -> list[Step]:
    """A router or host reports on a packet that left us."""
    rng = scene.rng
    sent = [f for f in map(parse, scene.sent[-40:]) if f and f.protocol in {SCTP, TCP, UDP}]
    if not sent:
        return talk(scene)
    about = rng.choice(sent)
    routers = ["10.11.0.38", "10.1.0.38"] if about.family == 4 else ["fd00:2::26", "fd00::26"]
    src = packets.packed(rng.choice(routers)) if rng.random() < 0.7 else about.dst
    quote = bytearray(about.raw[about.l3 : about.end][: rng.choice([28, 48, 60, 576])])
    if rng.random() < 0.05:
        quote[-1] ^= 1
    if rng.random() < 0.05:
        quote[16] ^= 0x10
    return [
        Send(
            frame(
                src,
                about.src,
                packets.icmp_error(src, about.src, bytes(quote), rng),
                rng,
                ICMP if about.family == 4 else ICMP6,
            )
        )
    ]


def fragment(scene: Scene) -> list[Step]:
    """The first or a later fragment of somebody's packet."""
    rng = scene.rng
    steps = rng.choice([talk, talk, flow, progress, blue])(scene)
    out: list[Step] = []
    for one in steps:
        f = parse(one.raw) if isinstance(one, Send) else None
        if f is None or f.tags or len(f.payload) < 32 or (f.raw[f.l3] & 15 != 5 and f.family == 4):
            out.append(one)
            continue
        cut = rng.choice([16, 24, (len(f.payload) - 1) // 8 * 8])
        parts = [(0x2000, f.payload[:cut]), (cut // 8, f.payload[cut:])]
        ident = rng.randrange(1, 8)
        wires = [
            Send(ethernet(packet(f.src, f.dst, f.protocol, p, ttl=max(f.ttl, 2), where=w, ident=ident)))
            for w, p in parts
        ]
        out += rng.choice([wires, wires, wires[1:], wires[:1], [*wires, wires[1]]])
    return out


Action = Callable[[Scene], list[Step]]
ACTIONS: dict[Action, int] = {
    new: 8,
    again: 4,
    restart: 3,
    progress: 26,
    talk: 40,
    ending: 3,
    blue: 2,
    mutant: 6,
    flow: 8,
    error: 4,
    fragment: 2,
    wait: 1,
    change: 1,
}


def acknowledge(scene: Scene) -> list[Step]:
    """The endpoint answers, and then nothing more comes of it."""
    waiting = [h for h in scene.model.pending() if not h.answered and h.mode is not Mode.DSR]
    return _init_ack(scene, scene.rng.choice(waiting)) if waiting else new(scene)


# Many handshakes that nobody ends: buckets fill up.
BUSY: dict[Action, int] = {new: 24, acknowledge: 20, again: 2, progress: 1, mutant: 1}


def next_steps(scene: Scene) -> list[Step]:
    """What happens now."""
    actions = BUSY if scene.busy else ACTIONS
    action = scene.rng.choices(list(actions), list(actions.values()))[0]
    return action(scene)
