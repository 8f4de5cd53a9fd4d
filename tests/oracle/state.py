"""What the model remembers: handshakes, associations, flows, and the policy that it serves."""

from dataclasses import dataclass, field
from ipaddress import ip_address

from lb.model import Address, Admin, Endpoint, Mode, NoEndpoint, Ootb, Paths, Policy, Pool, Protocol, Service

UP, DOWN = 0, 1  # directions: to the endpoint, to the client
PROTOCOLS = {132: Protocol.SCTP, 6: Protocol.TCP, 17: Protocol.UDP}
Key = tuple[int, int, int]  # tag, source port, destination port
Pair = tuple[bytes, bytes]  # client's address, VIP


class Stop(Exception):  # noqa: N818  # the walk ends here, which is no error
    """The packet's walk ends: dropped for a reason, or passed to the host."""

    def __init__(self, verdict: str, reason: str = "", answer: str = "") -> None:
        super().__init__(verdict, reason)
        self.verdict, self.reason, self.answer = verdict, reason, answer


class Undetermined(Exception):  # noqa: N818  # no error either
    """What comes hangs on a hash or on the datapath's clock; the sequence ends here.

    Two conversations answer to one tag and pair of ports, which 32 random bits prevent outside of tests; or what a
    handshake restarts has ended before it.
    """


def drop(reason: str) -> Stop:
    """What to raise to drop."""
    return Stop("drop", reason)


@dataclass(slots=True, eq=False)
class Peer:
    """What a handshake and the association that it becomes both know."""

    service: Service
    pool: Pool
    endpoint: Endpoint
    tc: int
    client_port: int
    service_port: int
    our_port: int
    server_port: int
    clients: list[bytes]
    last: float

    @property
    def mode(self) -> Mode:
        """The service's."""
        return self.service.mode

    @property
    def single(self) -> bool:
        """One source and one endpoint address only."""
        return self.pool.paths is Paths.SINGLE

    @property
    def vips(self) -> list[bytes]:
        """In order."""
        return [vip.packed for vip in self.service.vips]

    @property
    def servers(self) -> list[bytes]:
        """The endpoint's addresses in order."""
        return [address.packed for address in self.endpoint.addresses]

    @property
    def translated(self) -> bool:
        """Whether ports change."""
        return (self.client_port, self.service_port) != (self.our_port, self.server_port)


@dataclass(slots=True, eq=False)
class Candidate:
    """A tag that the endpoint drew in one INIT ACK."""

    ts: int


@dataclass(slots=True, eq=False)
class Handshake(Peer):
    """Between INIT and COOKIE ACK; ``pair`` is what the client used last."""

    pair: Pair = (b"", b"")
    families: frozenset[int] = frozenset()
    candidates: list[Candidate] = field(default_factory=list)
    answered: bool = False
    echoed: int = 0  # the candidate that the client took
    lent: bool = False  # its port belongs to the association that it restarts
    restart: "Association | None" = None


@dataclass(slots=True, eq=False)
class Association(Peer):
    """Established or ending."""

    ts: int = 0
    pair: Pair = (b"", b"")  # the COOKIE ECHO's
    pairs: dict[bytes, Pair] = field(default_factory=dict)  # by our source
    sent: set[bytes] = field(default_factory=set)  # client addresses that have really sent
    state: str = "established"
    doubtful: bool = False  # another had its tag and ports: which of them an alias names hangs on their order
    packets: list[dict[int, int]] = field(default_factory=lambda: [{}, {}])  # by direction and VIP
    octets: list[int] = field(default_factory=lambda: [0, 0])


Tuple = tuple[int, bytes, bytes, int, int]  # protocol, source, destination, ports


@dataclass(slots=True, eq=False)
class Flow:
    """TCP or UDP: the client's tuple, and the one of the endpoint's answers."""

    service: Service
    pool: Pool
    endpoint: Endpoint
    near: Tuple
    far: Tuple
    last: float
    state: str = "established"
    fins: set[int] = field(default_factory=set)
    packets: list[int] = field(default_factory=lambda: [0, 0])
    octets: list[int] = field(default_factory=lambda: [0, 0])


@dataclass(slots=True)
class Policies:
    """A policy, and the world that it meets: dead endpoint addresses, our addresses that face endpoints."""

    policy: Policy
    dead: frozenset[Address] = frozenset()
    facing: dict[Address, Address] = field(default_factory=dict)

    def service(self, dst: bytes, protocol: int, port: int) -> tuple[Service, int] | None:
        """The service at a VIP and port, and the VIP's index."""
        wanted, vip = PROTOCOLS[protocol], ip_address(dst)
        for service in self.policy.services.values():
            if (
                service.protocol is wanted
                and vip in service.vips
                and service.port <= port <= service.last_port
            ):
                return service, service.vips.index(vip)
        return None

    def is_vip(self, dst: bytes, protocol: int) -> bool:
        """Whether any port of this address is served."""
        wanted, vip = PROTOCOLS[protocol], ip_address(dst)
        return any(s.protocol is wanted and vip in s.vips for s in self.policy.services.values())

    def pool(self, service: Service) -> Pool:
        """The service's."""
        return self.policy.pools[service.pool]

    def alive(self, address: Address) -> bool:
        """Whether an endpoint address answers."""
        return address not in self.dead

    def usable(self, endpoint: Endpoint) -> bool:
        """Whether it takes new conversations."""
        return endpoint.admin is Admin.UP and endpoint.weight > 0 and self.reachable(endpoint)

    def reachable(self, endpoint: Endpoint) -> bool:
        """Whether any of its addresses answers."""
        return any(map(self.alive, endpoint.addresses))

    def current(self, pool: Pool, endpoint: Endpoint) -> Endpoint | None:
        """The endpoint as the policy has it now; None: no longer there."""
        now = self.policy.pools.get(pool.name)
        return next((e for e in now.endpoints if e.name == endpoint.name), None) if now else None

    def allowed(self, service: Service, src: bytes) -> bool:
        """``allowed_sources``."""
        address = ip_address(src)
        return not service.allowed_sources or any(address in net for net in service.allowed_sources)

    def member(self, service: Service, src: bytes) -> bool:
        """Whether an address is an endpoint's of the service's pool."""
        address = ip_address(src)
        return any(address in e.addresses for e in self.pool(service).endpoints)


def answers_abort(service: Service) -> bool:
    """``ootb: abort``."""
    return service.ootb is Ootb.ABORT


def refuses_with_abort(service: Service) -> bool:
    """``no_endpoint: abort``."""
    return service.no_endpoint is NoEndpoint.ABORT
