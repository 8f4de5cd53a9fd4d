"""What is observed, as the API shows it: one shape for REST, CLI and page."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from lb.datapath.engine import Association, Event
from lb.datapath.read import PathRow, Totals
from lb.model import Address, Endpoint, Policy
from telco import shapes
from telco.resources import Resource, dump

DEATHS = {
    "0": "ended",
    "1": "restart",
    "6": "abort",
    "8": "shutdown",
    "14": "shutdown_complete",
    "255": "idle",
}


class Observed(Protocol):
    """What the API needs of the engine."""

    hooks: dict[str, list[str]]
    policy: Policy

    @property
    def adopted(self) -> bool: ...
    def associations(self) -> Iterable[Association]: ...
    def totals(self) -> tuple[dict[str, Totals], dict[str, Totals]]: ...
    def drops(self) -> dict[str, int]: ...
    def events(self) -> list[Event]: ...
    def healthy(self, pool: str, address: Address) -> bool: ...
    def trouble(self, pool: str, address: Address) -> tuple[str, float] | None: ...


def tag(value: int) -> str:
    """A verification tag as people write it."""
    return f"0x{value:08x}"


def _both(counted: Sequence[int]) -> shapes.Directions:
    return {"to_endpoint": counted[0], "to_client": counted[1]}


def _path(path: PathRow) -> shapes.Path:
    return {
        "client": str(path.client),
        "vip": str(path.vip),
        "source": str(path.source),
        "server": str(path.server),
        "state": "up" if path.live else "down",
        "packets": _both(path.packets),
    }


def association(one: Association) -> shapes.Association:
    """One association."""
    row = one.row
    shown: shapes.Association = {
        "service": one.service,
        "endpoint": one.endpoint,
        "state": row.state,
        "client_tag": tag(row.client_tag),
        "server_tag": tag(row.server_tag),
        "protocol": row.protocol.value,
        "client_port": row.client_port,
        "service_port": row.service_port,
        "our_port": row.our_port,
        "server_port": row.server_port,
        "clients": [str(address) for address in row.clients],
        "paths": [_path(path) for path in row.paths],
        "packets": _both(row.packets),
        "bytes": _both(row.bytes),
        "age_s": round(row.age, 3),
        "idle_s": round(row.idle, 3),
    }
    if row.one_direction:
        shown["note"] = "one direction seen"
    return shown


def totals(one: Totals) -> shapes.Totals:
    """Counters of a service or endpoint."""
    return {
        "associations": one.conversations,
        "created": one.created,
        "packets": _both(one.packets),
        "bytes": _both(one.bytes),
    }


def paths(rows: Iterable[Association]) -> list[shapes.PathTotals]:
    """Live associations summed by path."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for one in rows:
        for path in one.row.paths:
            key = (one.service, one.endpoint, str(path.vip), str(path.server))
            summed = found.setdefault(key, [0, 0, 0])
            for i, counted in enumerate((1, *path.packets)):
                summed[i] += counted
    return [
        {
            "service": service,
            "endpoint": endpoint,
            "vip": vip,
            "server": server,
            "associations": count,
            "packets": _both(packets),
        }
        for (service, endpoint, vip, server), (count, *packets) in sorted(found.items())
    ]


def stats(engine: Observed) -> shapes.Stats:
    """Per service, endpoint, path and drop reason."""
    services, endpoints = engine.totals()
    return {
        "services": {name: totals(one) for name, one in sorted(services.items())},
        "endpoints": {name: totals(one) for name, one in sorted(endpoints.items())},
        "paths": paths(engine.associations()),
        "drops": engine.drops(),
    }


def _health(engine: Observed, pool: str, endpoint: Endpoint) -> shapes.EndpointHealth:
    return {
        "name": endpoint.name,
        "admin": endpoint.admin.value,
        "addresses": {
            str(address): "up" if engine.healthy(pool, address) else "down" for address in endpoint.addresses
        },
        "trouble": {
            str(address): {"reason": found[0], "for_s": round(found[1], 3)}
            for address in endpoint.addresses
            if (found := engine.trouble(pool, address))
        },
    }


def status(engine: Observed, revision: int, warnings: Iterable[str]) -> shapes.Status:
    """Interfaces, pools with the health of each address, warnings."""
    return {
        "revision": revision,
        "adopted": engine.adopted,
        "interfaces": engine.hooks,
        "pools": {
            pool.name: [_health(engine, pool.name, endpoint) for endpoint in pool.endpoints]
            for pool in engine.policy.pools.values()
        },
        "warnings": list(warnings),
    }


def observed(engine: Observed, wanted: Iterable[Resource], warnings: Sequence[str]) -> list[shapes.Resource]:
    """Resources with what is observed of each."""
    listed = list(wanted)
    counted = engine.totals()[0] if any(resource.kind == "Service" for resource in listed) else {}
    shown: list[shapes.Resource] = []
    for resource in listed:
        found: dict[str, Any] = {}
        pool = engine.policy.pools.get(resource.name) if resource.kind == "Pool" else None
        if pool:
            found["endpoints"] = [_health(engine, pool.name, endpoint) for endpoint in pool.endpoints]
        elif resource.kind == "Service" and resource.name in counted:
            found |= totals(counted[resource.name])
        about = [text for text in warnings if text.startswith(f"{resource.kind}/{resource.name}.")]
        if about:
            found["warnings"] = about
        shown.append({**_resource(resource), "status": found})
    return shown


def _resource(resource: Resource) -> shapes.Resource:
    values: shapes.Resource = {"kind": resource.kind, "name": resource.name, "spec": dump(resource)["spec"]}
    return values


def event(one: Event) -> shapes.Event:
    """One event; deaths are named for the chunk that ended the association, or for silence."""
    values = asdict(one)
    reason = {"death": DEATHS.get(one.reason, f"chunk_{one.reason}"), "birth": "created", "path": "moved"}
    shown: shapes.Event = {
        **values,  # type: ignore[typeddict-item]  # its other fields follow
        "reason": reason.get(one.kind, one.reason),
        "client_tag": tag(one.client_tag),
        "server_tag": tag(one.server_tag),
        "source": str(one.source),
        "destination": str(one.destination),
    }
    return shown


def lost(count: int) -> shapes.Event:
    """What a listener that was too slow is told."""
    nowhere: shapes.Event = {
        "kind": "lost",
        "reason": f"{count} events: the listener was too slow",
        "service": "",
        "endpoint": "",
        "client_tag": tag(0),
        "server_tag": tag(0),
        "source": "::",
        "destination": "::",
        "sport": 0,
        "dport": 0,
        "conversation": 0,
    }
    return nowhere
