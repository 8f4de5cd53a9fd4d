"""Resources `{kind, name, spec}` as users write them: parsed and checked one by one."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from lb.model import Admin, Assign, IdleExpiry, Mode, NoEndpoint, Ootb, Paths, Pick, ProbeType, Protocol
from telco.errors import PolicyError, Problem

MAX_ADDRESSES = 8  # a side, as the datapath's records hold
MAX_ENDPOINTS = 1024  # a pool, as a least-connections pick compares
MAX_WEIGHT = 65_535
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"

Name = Annotated[str, Field(pattern=NAME, description="letters, digits, '.', '_' and '-', at most 63")]
IpText = Annotated[str, Field(max_length=45, examples=["10.100.0.1", "2001:db8::1"])]


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)", value.strip())
        if not found:
            raise ValueError("a duration is a number and one of ms, s, min, h, as in 500ms")
        return float(found[1]) * UNITS[found[2]]
    return value


Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0, le=86_400, examples=["500ms", "15min"])]


def _port_range(value: object) -> object:
    if value == "any":
        return (0, 65_535)
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, str) and (found := re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", value)):
        return (int(found[1]), int(found[2] or found[1]))
    raise ValueError("a port is 1 to 65535, a range such as 5000-5100, or any")


def _port_text(span: tuple[int, int]) -> int | str:
    first, last = span
    if first == last:
        return first
    return "any" if span == (0, 65_535) else f"{first}-{last}"


Ports = Annotated[
    tuple[int, int],
    BeforeValidator(_port_range, json_schema_input_type=int | str),
    PlainSerializer(_port_text),
    Field(examples=[38412, "any"]),
]


class Spec(BaseModel):
    """Base of all specs: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbeSpec(Spec):
    """How each endpoint address is probed."""

    type: ProbeType = ProbeType.NONE
    interval: Duration = Field(default=1.0, description="from one answer to the next question")
    timeout: Duration = Field(
        default=0.5, description="a question without an answer fails, and is repeated at once"
    )
    rise: int = Field(default=2, ge=1, le=100, description="answers in a row that bring an address up")
    fall: int = Field(default=3, ge=1, le=100, description="failures in a row that take it down")


class EndpointSpec(Spec):
    """One server of a pool."""

    name: Name
    addresses: list[IpText] = Field(
        min_length=1, max_length=MAX_ADDRESSES, description="the first is primary"
    )
    port: int = Field(default=0, ge=0, le=65_535, description="0: the service's")
    weight: int = Field(default=1, ge=0, le=MAX_WEIGHT, description="0 takes no new conversations")
    admin: Admin = Field(
        Admin.UP, description="draining and down take no new conversations; down is not probed"
    )


class PoolSpec(Spec):
    """A set of endpoints."""

    kind: ClassVar[str] = "Pool"
    endpoints: list[EndpointSpec] = Field(max_length=MAX_ENDPOINTS)
    probe: ProbeSpec = ProbeSpec()
    paths: Paths | None = Field(
        default=None, description="default: mirror where an endpoint has several addresses, else single"
    )


class TimeoutsSpec(Spec):
    """How long a silent conversation is kept."""

    established: Duration = 900.0
    shutdown: Duration = 30.0


class ServiceSpec(Spec):
    """What clients dial."""

    kind: ClassVar[str] = "Service"
    vips: list[IpText] = Field(min_length=1, max_length=MAX_ADDRESSES, description="the first is primary")
    protocol: Protocol = Protocol.SCTP
    port: Ports = Field(description="one port, a range such as 5000-5100, or any")
    mode: Mode = Field(
        Mode.FULLNAT, description="what endpoints see of a client; tcp and udp: fullnat or dnat"
    )
    pick: Pick = Field(Pick.MAGLEV, description="how a new conversation gets its endpoint")
    pool: Name = Field(description="the name of a Pool")
    timeouts: TimeoutsSpec = TimeoutsSpec()
    allowed_sources: list[Annotated[str, Field(max_length=49)]] = Field(
        default=[], max_length=1024, description="prefixes that may dial; none: everybody"
    )
    ootb: Ootb = Field(Ootb.DROP, description="what a packet of no association gets")
    no_endpoint: NoEndpoint = Field(
        NoEndpoint.ABORT, description="what an INIT gets while no endpoint may take it"
    )
    idle_expiry: IdleExpiry = Field(IdleExpiry.SILENT, description="how an idle association ends")
    assign: Assign = Field(
        Assign.INTERFACE,
        description="where the VIPs are put: the interface of their subnet (else lo), lo, or nowhere",
    )


class PoolResource(Spec):
    """A Pool as it is written."""

    kind: Literal["Pool"]
    name: Name
    spec: PoolSpec


class ServiceResource(Spec):
    """A Service as it is written."""

    kind: Literal["Service"]
    name: Name
    spec: ServiceSpec


Resource = PoolResource | ServiceResource
KINDS: dict[str, type[Spec]] = {"Pool": PoolSpec, "Service": ServiceSpec}
_ADAPTER: TypeAdapter[list[Resource]] = TypeAdapter(list[Annotated[Resource, Field(discriminator="kind")]])


def parse(body: bytes, *, yaml_text: bool) -> list[Resource]:
    """Resources of a document: JSON (one, a list, or `{"resources": [...]}`) or multi-document YAML.

    Raises PolicyError that names each field, its value and what is allowed.
    """
    return check(_yaml(body) if yaml_text else _json(body))


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PolicyError([Problem(field="body", value=_short(body), allowed=f"JSON: {error}")]) from error


def _yaml(body: bytes) -> object:
    try:
        documents = [d for d in yaml.load_all(body, Loader=yaml.CSafeLoader) if d is not None]  # safe
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise PolicyError([Problem(field="body", value=_short(body), allowed=f"YAML: {reason}")]) from error
    return documents[0] if len(documents) == 1 and isinstance(documents[0], list) else documents


def check(document: object) -> list[Resource]:
    """Plain values as resources. Raises PolicyError."""
    if isinstance(document, dict):
        document = document["resources"] if set(document) == {"resources"} else [document]
    try:
        return _ADAPTER.validate_python(document)
    except ValidationError as error:
        raise PolicyError([_problem(found, document) for found in error.errors(include_url=False)]) from error
    except RecursionError as error:
        raise PolicyError([Problem(field="body", value="", allowed="less deeply nested values")]) from error


def _problem(found: Mapping[str, Any], document: object) -> Problem:
    location: Sequence[int | str] = found["loc"]
    where, parts = "", list(location)
    if parts and isinstance(parts[0], int) and isinstance(document, list):
        item = document[parts[0]]
        named = isinstance(item, dict) and isinstance(item.get("name"), str)
        where = f"{item.get('kind', '?')}/{item['name']}" if named else f"resource {parts[0] + 1}"
        parts = parts[2:] if len(parts) > 1 and parts[1] in KINDS else parts[1:]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    message = found["msg"].removeprefix("Value error, ")
    return Problem(field=(where + path).lstrip(".") or "body", value=_short(found["input"]), allowed=message)


def _short(value: object) -> str:
    text = value[:60].decode(errors="replace") if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def dump(resource: Resource) -> dict[str, Any]:
    """A resource as plain values, with what its author wrote and no defaults."""
    return resource.model_dump(mode="json", exclude_unset=True)


def encode(resource: Resource) -> str:
    """The same as JSON."""
    return resource.model_dump_json(exclude_unset=True)
