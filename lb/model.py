"""The desired state in the balancer's own words: services, pools, endpoints; values only."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Protocol(StrEnum):
    """The transport a service balances; the value is the word used in policies."""

    SCTP = "sctp"
    TCP = "tcp"
    UDP = "udp"


class Mode(StrEnum):
    """What happens to addresses on the way to the endpoint and back."""

    DNAT = "dnat"  # source kept, replies routed back through us
    ONEARM = "onearm"  # source becomes our address on the way out
    FULLNAT = "fullnat"  # source becomes the VIP
    DSR = "dsr"  # only the destination MAC changes, replies bypass us


class Pick(StrEnum):
    """How a new conversation gets its endpoint."""

    ROUND_ROBIN = "rr"
    WEIGHTED_ROUND_ROBIN = "wrr"
    MAGLEV = "maglev"
    RANDOM = "random"
    LEAST_CONNECTIONS = "least-conn"
    STICKY_SOURCE = "sticky-source"


class Admin(StrEnum):
    """What the operator wants of an endpoint."""

    UP = "up"
    DRAINING = "draining"
    DOWN = "down"


class Paths(StrEnum):
    """How a multi-homed endpoint's addresses are used: each path its own, or one only."""

    MIRROR = "mirror"
    SINGLE = "single"


class Ootb(StrEnum):
    """What an out-of-the-blue packet gets (RFC 9260 §8.4)."""

    DROP = "drop"
    ABORT = "abort"


class NoEndpoint(StrEnum):
    """What an INIT gets while no endpoint of the pool may take it."""

    ABORT = "abort"
    DROP = "drop"


class IdleExpiry(StrEnum):
    """How an association ends that was idle for its whole timeout."""

    SILENT = "silent"
    ABORT = "abort"


class Assign(StrEnum):
    """Where the daemon puts a VIP: the interface that holds its subnet, the loopback, or nowhere."""

    INTERFACE = "interface"
    LO = "lo"
    NONE = "none"


class ProbeType(StrEnum):
    """How an endpoint address is probed."""

    SCTP = "sctp"
    PING = "ping"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A health check per endpoint address; times in seconds, rise and fall in consecutive results."""

    type: ProbeType = ProbeType.NONE
    interval: float = 1.0
    timeout: float = 0.5
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One server: an ordered address list (the first is primary), a port (0: the service's), a weight."""

    name: str
    addresses: tuple[Address, ...]
    port: int = 0
    weight: int = 1
    admin: Admin = Admin.UP


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A named set of endpoints and how they are probed."""

    name: str
    endpoints: tuple[Endpoint, ...]
    probe: Probe = Probe()
    paths: Paths = Paths.MIRROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Lifetimes of idle conversations in seconds."""

    established: float = 900.0
    shutdown: float = 30.0
    pending: float = 65.0  # cookie life 60 s, RTO.Max 60 s (RFC 9260 §16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What clients dial: an ordered list of VIPs (the first is primary), a protocol and a port range.

    ``port`` to ``last_port`` inclusive; 0 to 65535 stands for any port.
    """

    name: str
    vips: tuple[Address, ...]
    protocol: Protocol
    port: int
    last_port: int
    mode: Mode
    pick: Pick
    pool: str
    timeouts: Timeouts = Timeouts()
    allowed_sources: tuple[Network, ...] = ()
    ootb: Ootb = Ootb.DROP
    no_endpoint: NoEndpoint = NoEndpoint.ABORT
    idle_expiry: IdleExpiry = IdleExpiry.SILENT
    assign: Assign = Assign.INTERFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole desired document, by name."""

    pools: dict[str, Pool] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
