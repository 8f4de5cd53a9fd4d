"""What the API answers with: the one description of it for views, OpenAPI and the client."""

from typing import (
    Any,
    Literal,
    NotRequired,  # pydantic reads the standard library's from 3.12 on
)

from typing_extensions import TypedDict

State = Literal["up", "down"]


class Resource(TypedDict):
    """A resource as its author wrote it; `status` is what is observed of it, and is passed over when applied."""

    kind: str
    name: str
    spec: dict[str, Any]
    status: NotRequired[dict[str, Any]]


class Step(TypedDict):
    """One difference between two policies."""

    action: Literal["add", "change", "remove"]
    kind: str
    name: str


class Applied(TypedDict):
    """What a change did, or in a diff would do; `steps` are the first thousand of `changes`."""

    revision: int
    changes: int
    steps: list[Step]
    warnings: list[str]


class FieldError(TypedDict):
    """One thing wrong: where, what was there, what would be right."""

    field: str
    value: str
    allowed: str


class ProblemDocument(TypedDict):
    """An error (RFC 9457). The end of `type` is stable."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldError]]


class Directions(TypedDict):
    """Counted towards the endpoint and towards the client."""

    to_endpoint: int
    to_client: int


class Path(TypedDict):
    """`client` dials `vip`; the endpoint at `server` sees `source`."""

    client: str
    vip: str
    source: str
    server: str
    state: State
    packets: Directions


class Association(TypedDict):
    """An SCTP association, or a flow of TCP or UDP, which has one path and no tags. Times in seconds."""

    service: str
    endpoint: str
    state: str
    client_tag: str
    server_tag: str
    protocol: Literal["sctp", "tcp", "udp"]
    client_port: int
    service_port: int
    our_port: int
    server_port: int
    clients: list[str]
    paths: list[Path]
    packets: Directions
    bytes: Directions
    age_s: float
    idle_s: float
    note: NotRequired[str]


class Totals(TypedDict):
    """Counters since the datapath was made, ended associations included."""

    associations: int
    created: int
    packets: Directions
    bytes: Directions


class PathTotals(TypedDict):
    """All live associations on one path between a VIP and an endpoint's address."""

    service: str
    endpoint: str
    vip: str
    server: str
    associations: int
    packets: Directions


class Stats(TypedDict):
    """Counters per service, endpoint (`pool/name`), path and drop reason."""

    services: dict[str, Totals]
    endpoints: dict[str, Totals]
    paths: list[PathTotals]
    drops: dict[str, int]


class Trouble(TypedDict):
    """Why an endpoint's address is not used, and for how many seconds."""

    reason: str
    for_s: float


class EndpointHealth(TypedDict):
    """An endpoint's addresses, and why some are down."""

    name: str
    admin: Literal["up", "draining", "down"]
    addresses: dict[str, State]
    trouble: dict[str, Trouble]


class Status(TypedDict):
    """The datapath, pools with the health of each address, and what is odd about the policy."""

    revision: int
    adopted: bool
    interfaces: dict[str, list[str]]
    pools: dict[str, list[EndpointHealth]]
    warnings: list[str]


class Event(TypedDict):
    """An association was born, died or moved, a client was refused, a packet was traced, or events were lost."""

    kind: str
    reason: str
    service: str
    endpoint: str
    client_tag: str
    server_tag: str
    source: str
    destination: str
    sport: int
    dport: int
    conversation: int
