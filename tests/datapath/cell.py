"""One client of one service: brings an association into a state, and says how each packet must look behind us."""

from dataclasses import dataclass, field
from ipaddress import ip_address

from lb.model import Mode
from tests.datapath.conftest import Wire
from tests.datapath.kinds import Kind
from tests.datapath.packets import (
    ABORT,
    COOKIE_ACK,
    COOKIE_ECHO,
    INIT_ACK,
    SHUTDOWN,
    addresses,
    chunk,
    init,
    parse,
    sctp,
)
from tests.datapath.rules import State, Way

PORT, OTHER_PORT = 38412, 36412
PREFIXES = {
    4: ("10.1.0.", "10.2.0.", "10.11.0.", "10.12.0."),
    6: ("fd00::", "fd00:1::", "fd00:2::", "fd00:3::"),
}
VERDICTS = {"tx", "redirect"}


@dataclass(frozen=True, slots=True)
class Group:
    """One service: mode, family, whether ports change."""

    mode: Mode
    family: int
    translated: bool
    number: int

    @property
    def name(self) -> str:
        """As tests call it."""
        return f"{self.mode.value}-ipv{self.family}" + ("-ports" if self.translated else "")

    @property
    def vips(self) -> tuple[str, str]:
        """Of this service alone."""
        if self.family == 4:
            return f"10.100.{self.number}.1", f"10.101.{self.number}.1"
        return f"fd00:100:{self.number}::1", f"fd00:101:{self.number}::1"

    @property
    def servers(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Two endpoints, .2 and .3 of the links behind us."""
        _, _, near, far = PREFIXES[self.family]
        return (near + "2", far + "2"), (near + "3", far + "3")

    @property
    def clients(self) -> tuple[str, str]:
        """One client, .2 of the links before us."""
        return PREFIXES[self.family][0] + "2", PREFIXES[self.family][1] + "2"

    @property
    def facing(self) -> tuple[str, str]:
        """Our addresses before the endpoints."""
        return PREFIXES[self.family][2] + "1", PREFIXES[self.family][3] + "1"

    @property
    def server_port(self) -> int:
        """Where the endpoints listen."""
        return OTHER_PORT if self.translated and self.mode is not Mode.DSR else PORT


def mac(address: str) -> bytes:
    """Of the neighbours that the tests' links have."""
    prefixes = PREFIXES[4] if ip_address(address).version == 4 else PREFIXES[6]
    text, host = address[:-1], int(address[-1])
    return bytes((2, 0, 0, 0, prefixes.index(text), host))


@dataclass(slots=True)
class Tally:
    """Packets and bytes of IP that associations must have counted, by direction."""

    packets: list[int] = field(default_factory=lambda: [0, 0])
    octets: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, way: Way, frame: bytes) -> None:
        """One more."""
        direction = 0 if way is Way.UP else 1
        self.packets[direction] += 1
        self.octets[direction] += len(frame) - 14


class Cell:
    """A client port of a group, with tags of its own."""

    def __init__(self, group: Group, wire: Wire, number: int, tally: Tally) -> None:
        self.group, self.wire, self.tally = group, wire, tally
        self.port = self.our_port = 2000 + group.number * 1000 + number
        seed = (group.number << 12 | number) << 2
        self.tags = {
            "old": (0x10000001 + seed, 0x50000001 + seed),
            "new": (0x10000002 + seed, 0x50000002 + seed),
        }
        self.servers = group.servers[0]

    # packets as their senders make them

    def sent(self, way: Way, tag: int, *chunks: bytes) -> bytes:
        """Before us."""
        group = self.group
        if way is Way.UP:
            return sctp(group.clients[0], group.vips[0], self.port, PORT, tag, *chunks)
        source = group.vips[0] if group.mode is Mode.DSR else self.servers[0]
        return sctp(source, self.ours(), group.server_port, self.our_port, tag, *chunks)

    def ours(self) -> str:
        """What the endpoint sees of the client."""
        if self.group.mode is Mode.FULLNAT:
            return self.group.vips[0]
        return self.group.facing[0] if self.group.mode is Mode.ONEARM else self.group.clients[0]

    def wanted(self, way: Way, tag: int, *chunks: bytes) -> bytes:
        """Behind us, but for the source MAC."""
        group, client = self.group, self.group.clients[0]
        if way is Way.DOWN:
            raw = sctp(group.vips[0], client, PORT, self.port, tag, *chunks, ttl=63)
            return mac(client) + raw[6:]
        if group.mode is Mode.DSR:
            raw = sctp(client, group.vips[0], self.port, PORT, tag, *chunks, ttl=63)
        else:
            raw = sctp(self.ours(), self.servers[0], self.our_port, group.server_port, tag, *chunks, ttl=63)
        return mac(self.servers[0]) + raw[6:]

    def chunks(self, way: Way, kind: Kind, which: str, *, behind: bool = False) -> tuple[bytes, ...]:
        """Of a packet of this kind; ``behind`` us, where INIT and INIT ACK list our addresses."""
        if kind.chunks:
            return kind.chunks
        group = self.group
        client, server = self.tags[which]
        own = client if way is Way.UP else server
        listed = group.clients if way is Way.UP else self.servers
        number = 1 if kind.name == "INIT" else INIT_ACK
        if behind and (way is Way.DOWN or group.mode is Mode.FULLNAT):
            listed = group.vips
        elif behind and group.mode is Mode.ONEARM:
            listed = group.facing
        if number == INIT_ACK:  # the tag that an INIT ACK offers is new each time
            own += 0x20000000
        return (init(own, addresses(*listed), number),)

    def tag(self, way: Way, kind: Kind, which: str) -> int:
        """The verification tag that its sender puts in."""
        if kind.name == "INIT":
            return 0
        client, server = self.tags[which]
        return server if (way is Way.UP) != kind.reflected else client

    # states

    def must(self, way: Way, tag: int, *chunks: bytes, counted: bool = False) -> bytes:
        """A packet that goes through; gives it as it left."""
        raw = self.sent(way, tag, *chunks)
        verdict, out = self.wire.send(raw)
        assert verdict in VERDICTS, (self.group.name, way, verdict, self.wire.drops())
        if counted:
            self.tally.add(way, raw)
        return out

    def begin(self, which: str) -> None:
        """INIT; tells which endpoint and port it got."""
        listed = addresses(*self.group.clients)
        self.learn(self.must(Way.UP, 0, init(self.tags[which][0], listed)))

    def learn(self, out: bytes) -> None:
        """Which endpoint and port an INIT got: one of the pool's, and any."""
        if self.group.mode is Mode.DSR:
            self.servers = next(pair for pair in self.group.servers if mac(pair[0]) == out[:6])
            return
        seen = parse(out)
        self.our_port = seen.sport
        self.servers = next(pair for pair in self.group.servers if pair[0] == seen.dst)

    def answer(self, which: str) -> None:
        """INIT ACK, which dsr does not see."""
        if self.group.mode is not Mode.DSR:
            client, server = self.tags[which]
            self.must(Way.DOWN, client, init(server, addresses(*self.servers), INIT_ACK))

    def echo(self, which: str) -> None:
        """COOKIE ECHO, which in dsr makes the association."""
        direct = self.group.mode is Mode.DSR
        self.must(Way.UP, self.tags[which][1], chunk(COOKIE_ECHO, bytes(8)), counted=direct)

    def confirm(self, which: str) -> None:
        """COOKIE ACK."""
        if self.group.mode is not Mode.DSR:
            self.must(Way.DOWN, self.tags[which][0], chunk(COOKIE_ACK), counted=True)

    def reach(self, state: State) -> None:
        """Everything that comes before a packet in this state."""
        steps = (self.begin, self.answer, self.echo, self.confirm)
        opening = (State.NONE, State.INIT, State.INIT_ACK, State.COOKIE_ECHO)
        for step in steps[: opening.index(state) if state in opening else len(steps)]:
            step("old")
        if state in {State.RESTART, State.RESTARTED}:
            self.begin("new")
            self.answer("new")
            if self.group.mode is not Mode.DSR:
                self.echo("new")
        elif state is State.SHUTDOWN:
            self.must(Way.UP, self.tags["old"][1], chunk(SHUTDOWN, bytes(4)), counted=True)
        elif state is State.ABORTED:
            self.must(Way.UP, self.tags["old"][1], chunk(ABORT), counted=True)
