"""Resources `{kind, name, spec}` as users write them: parsed and checked one by one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from lb.model import Admin, Assign, IdleExpiry, Mode, NoEndpoint, Ootb, Paths, Pick, ProbeType, Protocol
from telco.document import read_json, read_yaml, short
from telco.errors import PolicyError, Problem

MAX_ADDRESSES = 8  # a side, as the datapath's records hold
MAX_ENDPOINTS = 1024  # a pool, as a least-connections pick compares
MAX_WEIGHT = 65_535
MAX_PROBLEMS = 100  # that one refusal tells of
MAX_FIELDS = 64  # of a spec; the largest has fewer than twenty
DURATION = r"^([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|h)$"
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"

Name = Annotated[
    str, Field(strict=True, pattern=NAME, description="letters, digits, '.', '_' and '-', at most 63")
]
IpText = Annotated[str, Field(strict=True, max_length=45, examples=["10.100.0.1", "2001:db8::1"])]
Whole = Annotated[int, Field(strict=True)]  # neither true nor "5" is a number


def _duration(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a duration is seconds, or a number and one of ms, s, min, h, as in 500ms")  # noqa: TRY004
    if isinstance(value, str):
        found = re.fullmatch(DURATION, value)
        if not found:
            raise ValueError("a duration is a number and one of ms, s, min, h, as in 500ms")
        return float(found[1]) * UNITS[found[2]]
    return value


Duration = Annotated[
    float,
    BeforeValidator(_duration, json_schema_input_type=float | Annotated[str, Field(pattern=DURATION)]),
    Field(gt=0, le=86_400, examples=["500ms", "15min"]),
]


def _port_range(value: object) -> object:
    if value == "any":
        return (0, 65_535)
    span = None
    if isinstance(value, int) and not isinstance(value, bool):
        span = value, value
    elif isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", value)):
        span = int(found[1]), int(found[2] or found[1])
    if span is None or not 1 <= span[0] <= span[1] <= 65_535:
        raise ValueError("a port is 1 to 65535, a range such as 5000-5100 with the lower first, or any")
    return span


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
    rise: Whole = Field(default=2, ge=1, le=100, description="answers in a row that bring an address up")
    fall: Whole = Field(default=3, ge=1, le=100, description="failures in a row that take it down")


class EndpointSpec(Spec):
    """One server of a pool."""

    name: Name
    addresses: list[IpText] = Field(
        min_length=1, max_length=MAX_ADDRESSES, description="the first is primary"
    )
    port: Whole = Field(default=0, ge=0, le=65_535, description="0: the service's")
    weight: Whole = Field(default=1, ge=0, le=MAX_WEIGHT, description="0 takes no new conversations")
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
    allowed_sources: list[Annotated[str, Field(strict=True, max_length=49)]] = Field(
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
_One = Annotated[Resource, Field(discriminator="kind")]
_ONE: TypeAdapter[Resource] = TypeAdapter(_One)
_ALL: TypeAdapter[list[Resource]] = TypeAdapter(Annotated[list[_One], FailFast()])


def parse(body: bytes, *, yaml_text: bool) -> list[Resource]:
    """Resources of a document: JSON (one, a list, or `{"resources": [...]}`) or multi-document YAML.

    Raises PolicyError that names each field, its value and what is allowed.
    """
    return check(read_yaml(body) if yaml_text else read_json(body))


def check(document: object) -> list[Resource]:
    """Plain values as resources; an observed `status` among them is passed over. Raises PolicyError."""
    if isinstance(document, dict):
        document = document["resources"] if set(document) == {"resources"} else [document]
    if not isinstance(document, list):
        allowed = "a list of resources {kind, name, spec}"
        raise PolicyError([Problem(field="body", value=short(document), allowed=allowed)])
    items = [_desired(item) for item in document]
    try:
        return _ALL.validate_python(items)
    except (ValidationError, RecursionError) as error:
        raise PolicyError(list(_problems(items))) from error


def _desired(item: object) -> object:
    if isinstance(item, dict) and "status" in item:
        return {name: value for name, value in item.items() if name != "status"}
    return item


def _problems(items: list[object]) -> Iterator[Problem]:
    """What is wrong with each, until it is enough: fields that are wrong take far more memory than a body of them."""
    left = MAX_PROBLEMS
    for i, item in enumerate(items):
        try:
            _bounded(item)
            _ONE.validate_python(item)
        except ValidationError as error:
            for found in error.errors(include_url=False)[:left]:
                yield _problem(found, i, item)
                left -= 1
        except (_TooMuchError, RecursionError) as error:
            yield Problem(
                field=_name(i, item),
                value=short(item),
                allowed=str(error) if isinstance(error, _TooMuchError) else "less deeply nested values",
            )
            left -= 1
        if not left:
            return


class _TooMuchError(Exception):
    """Says what is allowed instead."""


def _bounded(item: object) -> None:
    for value in (item, item.get("spec")) if isinstance(item, dict) else ():
        if isinstance(value, dict) and len(value) > MAX_FIELDS:
            raise _TooMuchError(f"at most {MAX_FIELDS} fields")


def _name(index: int, item: object) -> str:
    if isinstance(item, dict) and all(isinstance(item.get(part), str) for part in ("kind", "name")):
        return "/".join(short(item[part])[1:-1] for part in ("kind", "name"))
    return f"resource {index + 1}"


def _problem(found: Mapping[str, Any], index: int, item: object) -> Problem:
    location: Sequence[int | str] = found["loc"]
    parts = location[1:] if location and location[0] in KINDS else location
    path = "".join(f"[{part}]" if isinstance(part, int) else "." + short(part)[1:-1] for part in parts)
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        message = f"no such field; {_fields(item, parts)} are allowed"
    return Problem(field=_name(index, item) + path, value=short(found["input"]), allowed=message)


def _fields(item: object, parts: Sequence[int | str]) -> str:
    """The names of a model's fields, by the place of one that it does not have."""
    kind = item.get("kind") if isinstance(item, dict) else None
    model: type[BaseModel] = PoolResource if kind == "Pool" else ServiceResource
    for part in parts[:-1]:
        if isinstance(part, str):
            model = _model_of(model.model_fields[part].annotation)
    return ", ".join(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel]:
    inside = getattr(annotation, "__args__", None)
    found: type[BaseModel] = inside[0] if inside else annotation
    return found


def dump(resource: Resource) -> dict[str, Any]:
    """A resource as plain values, with what its author wrote and no defaults."""
    return resource.model_dump(mode="json", exclude_unset=True)


def encode(resource: Resource) -> str:
    """The same as JSON."""
    return resource.model_dump_json(exclude_unset=True)
