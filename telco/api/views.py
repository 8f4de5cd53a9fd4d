"""What is observed, as the API shows it: one shape for REST, CLI and page."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Protocol

from lb.datapath.engine import Association, Event
from lb.datapath.read import Totals
from lb.model import Address, Policy


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


def association(one: Association) -> dict[str, Any]:
    """One association."""
    row = one.row
    return {
        "service": one.service,
        "endpoint": one.endpoint,
        "state": row.state,
        "client_tag": tag(row.client_tag),
        "server_tag": tag(row.server_tag),
        "protocol": row.protocol,
        "client_port": row.client_port,
        "service_port": row.service_port,
        "our_port": row.our_port,
        "server_port": row.server_port,
        "clients": [str(address) for address in row.clients],
        "paths": [
            {
                "client": str(path.client),
                "vip": str(path.vip),
                "source": str(path.source),
                "server": str(path.server),
                "state": "up" if path.live else "down",
                "packets": {"to_endpoint": path.packets[0], "to_client": path.packets[1]},
            }
            for path in row.paths
        ],
        "packets": {"to_endpoint": row.packets[0], "to_client": row.packets[1]},
        "bytes": {"to_endpoint": row.bytes[0], "to_client": row.bytes[1]},
        "age_s": round(row.age, 3),
        "idle_s": round(row.idle, 3),
        **({"note": "one direction seen"} if row.one_direction else {}),
    }


def totals(one: Totals) -> dict[str, Any]:
    """Counters of a service or endpoint."""
    return {
        "associations": one.conversations,
        "created": one.created,
        "packets": {"to_endpoint": one.packets[0], "to_client": one.packets[1]},
        "bytes": {"to_endpoint": one.bytes[0], "to_client": one.bytes[1]},
    }


def stats(engine: Observed) -> dict[str, Any]:
    """Per service, endpoint and drop reason."""
    services, endpoints = engine.totals()
    return {
        "services": {name: totals(one) for name, one in sorted(services.items())},
        "endpoints": {name: totals(one) for name, one in sorted(endpoints.items())},
        "drops": engine.drops(),
    }


def status(engine: Observed, revision: int, warnings: Iterable[str]) -> dict[str, Any]:
    """Interfaces, pools with the health of each address, warnings."""
    return {
        "revision": revision,
        "adopted": engine.adopted,
        "interfaces": engine.hooks,
        "pools": {
            pool.name: [
                {
                    "name": endpoint.name,
                    "admin": endpoint.admin.value,
                    "addresses": {
                        str(address): "up" if engine.healthy(pool.name, address) else "down"
                        for address in endpoint.addresses
                    },
                    "trouble": {
                        str(address): {"reason": found[0], "for_s": round(found[1], 3)}
                        for address in endpoint.addresses
                        if (found := engine.trouble(pool.name, address))
                    },
                }
                for endpoint in pool.endpoints
            ]
            for pool in engine.policy.pools.values()
        },
        "warnings": list(warnings),
    }


def event(one: Event) -> dict[str, Any]:
    """One event."""
    values = asdict(one)
    return values | {
        "client_tag": tag(one.client_tag),
        "server_tag": tag(one.server_tag),
        "source": str(one.source),
        "destination": str(one.destination),
    }
