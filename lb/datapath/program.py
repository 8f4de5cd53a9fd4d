"""Bringing the maps to a policy: new before old, old only when nothing new needs it."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from struct import Struct, pack
from typing import TypeGuard

from lb.bpf import BpfError, Layout, Map, MapType, create_map
from lb.datapath.objects import Datapath, ticks
from lb.datapath.records import (
    Records,
    endpoint_name,
    member_key,
    name_hash,
    pool_number,
    service_name,
    source_key,
    vip_entries,
)
from lb.datapath.vips import VipTable
from lb.model import Address, Admin, Endpoint, Pick, Policy, Pool, Service
from lb.ring import Entry, ring_of

NUMBER = Struct("=I").pack
ONE = NUMBER(1)
INNER_MAP = 1 << 12  # BPF_F_INNER_MAP: rings of one outer map differ in length

Health = Callable[[str, Address], bool]  # pool, address
Facing = Callable[[Address], Address | None]


@dataclass(slots=True)
class Numbers:
    """Numbers given to names; a number is free again when its record is."""

    limit: int
    what: str
    taken: dict[int, int] = field(default_factory=dict)  # name → number
    used: set[int] = field(default_factory=set)
    _next: int = 0

    def of(self, name: int) -> int:
        """The number of a name, a new one if it has none. Raises BpfError when all are taken."""
        if name not in self.taken:
            if len(self.used) >= self.limit:
                raise BpfError(f"more than {self.limit} {self.what}: raise the limit and restart")
            while self._next in self.used:
                self._next = (self._next + 1) % self.limit
            self.taken[name] = self._next
            self.used.add(self._next)
        return self.taken[name]

    def take(self, name: int, number: int) -> None:
        """Give a name the number that it had before, if nobody else has it."""
        if number not in self.used:
            self.taken[name] = number
            self.used.add(number)

    def free(self, name: int) -> None:
        """Forget a name."""
        self.used.discard(self.taken.pop(name))

    def keep(self, names: set[int]) -> None:
        """Forget all but these."""
        for name in self.taken.keys() - names:
            self.free(name)


class Programmer:
    """Writes policies into one datapath, remembering what is there so that only differences are written."""

    def __init__(self, datapath: Datapath) -> None:
        self.datapath = datapath
        self.records = Records(datapath.btf, ticks())
        self.services = Numbers(datapath.sizes.services, "services")
        self.endpoints = Numbers(datapath.sizes.endpoints, "endpoints")
        self._rings = Numbers(datapath.maps["rings"].info.max_entries, "rings")
        self._vips = VipTable(datapath)
        self._targets: dict[str, Map | VipTable] = {
            "vips": self._vips,
            **{name: datapath.maps[name] for name in ("services", "endpoints", "members", "sources")},
        }
        self._written: dict[str, dict[bytes, bytes]] = {name: {} for name in self._targets}
        self._names: dict[str, int] = {}  # of services
        self.service_names: dict[int, str] = {}  # by number, those of earlier policies too
        self._picks: dict[str, list[Pick]] = {}  # by pool
        self._ring_content: dict[int, Sequence[int]] = {}
        self._new_rings: dict[int, Map] = {}
        if datapath.adopted:
            self._recall()

    def _recall(self) -> None:
        """Read back what an earlier process wrote."""
        for name, numbers, layout in (
            ("services", self.services, self.records.service_layout),
            ("endpoints", self.endpoints, self.records.endpoint_layout),
        ):
            step = (layout.size + 7) // 8 * 8
            for first, piece in self.datapath.maps[name].stretches():
                names = memoryview(piece).cast("Q")[layout.fields["name"].offset // 8 :: step // 8]
                for at, known in enumerate(names):
                    if known:
                        numbers.taken[known] = first + at
                        numbers.used.add(first + at)
                        self._written[name][NUMBER(first + at)] = piece[at * step : at * step + layout.size]
        for name in ("vips", "members", "sources"):
            self._written[name] = self._targets[name].items()

    def apply(
        self, policy: Policy, health: Health = lambda *_: True, facing: Facing = lambda _: None
    ) -> None:
        """Bring the maps to this policy."""
        services = self._numbered(policy)
        wanted = {
            "endpoints": self._endpoints(policy, health, facing),
            "members": {
                member_key(address, pool.name): ONE
                for pool in policy.pools.values()
                for endpoint in pool.endpoints
                for address in endpoint.addresses
            },
            "services": self._services(services, policy, health),
            "sources": {
                source_key(network, number): ONE
                for number, service in services
                for network in service.allowed_sources
            },
            "vips": vip_entries(services),
        }
        self._make_room(wanted["vips"])
        for name, records in wanted.items():  # in this order, so that nothing names what is not there
            if name == "services":
                self._swap_rings()
            self._write(name, records)
        for name in ("vips", "members", "sources"):
            self._erase(name, self._written[name].keys() - wanted[name].keys())
        self._retire(policy)

    def _make_room(self, vips: dict[bytes, bytes]) -> None:
        """Have old and new VIPs fit in their table together. Raises BpfError where the new ones alone do not."""
        written = self._written["vips"]
        if len(vips) > self._vips.limit:
            raise self._vips.full()
        if len(vips) + len(written) > self._vips.limit < len(vips.keys() | written.keys()):
            self._erase("vips", written.keys() - vips.keys())

    def _numbered(self, policy: Policy) -> list[tuple[int, Service]]:
        """Each service with its number; its name is hashed once in its life."""
        known = self._names
        self._names = {
            service.name: known.get(service.name) or service_name(service)
            for service in policy.services.values()
        }
        numbered = [
            (self.services.of(self._names[service.name]), service) for service in policy.services.values()
        ]
        self.service_names |= {number: service.name for number, service in numbered}
        return numbered

    def _endpoints(self, policy: Policy, health: Health, facing: Facing) -> dict[bytes, bytes]:
        wanted: dict[bytes, bytes] = {}
        for pool in policy.pools.values():
            wanted |= self._pool(pool, health, facing)
        return wanted

    def _pool(self, pool: Pool, health: Health, facing: Facing) -> dict[bytes, bytes]:
        wanted: dict[bytes, bytes] = {}
        for endpoint in pool.endpoints:
            live = sum(1 << i for i, address in enumerate(endpoint.addresses) if health(pool.name, address))
            sources = [facing(address) for address in endpoint.addresses]
            number = self.endpoints.of(endpoint_name(pool.name, endpoint))
            wanted[NUMBER(number)] = self.records.endpoint(pool, endpoint, live, sources)
        return wanted

    def _services(
        self, services: list[tuple[int, Service]], policy: Policy, health: Health
    ) -> dict[bytes, bytes]:
        rings: dict[tuple[str, Pick], int] = {}
        pools = {name: (pool.paths, pool_number(name)) for name, pool in policy.pools.items()}
        wanted: dict[bytes, bytes] = {}
        for number, service in services:
            key = (service.pool, service.pick)
            if key not in rings:
                rings[key] = self._ring_number(*key, NUMBER(number))
                self._ring(rings[key], policy.pools[service.pool], service.pick, health)
            paths, pool = pools[service.pool]
            name = self._names[service.name]
            wanted[NUMBER(number)] = self.records.service(service, name, paths, rings[key], pool)
        self._picks = {}
        for pool_name, pick in rings:
            self._picks.setdefault(pool_name, []).append(pick)
        self._rings.keep({name_hash("ring", *key) for key in rings})
        return wanted

    def reassess(self, pool: Pool, health: Health, facing: Facing) -> None:
        """Write what the health of a pool's addresses decides: live bits first, then rings."""
        self._write("endpoints", self._pool(pool, health, facing))
        for pick in self._picks.get(pool.name, ()):
            self._ring(self._rings.of(name_hash("ring", pool.name, pick)), pool, pick, health)
        self._swap_rings()

    def live(self, pool: Pool, endpoint: Endpoint) -> int:
        """The live bits that the datapath has for an endpoint; all, where it has none."""
        number = self.endpoints.taken.get(endpoint_name(pool.name, endpoint))
        record = self._written["endpoints"].get(NUMBER(number)) if number is not None else None
        return self.records.endpoint_layout.number(record, "live") if record else 0xFF

    def _ring_number(self, pool: str, pick: Pick, service: bytes) -> int:
        """The ring of a pool and pick; a service that an earlier process wrote tells which it has."""
        name = name_hash("ring", pool, pick)
        before = self._written["services"].get(service)
        if before is not None and name not in self._rings.taken:
            self._rings.take(name, self.records.service_layout.number(before, "ring"))
        return self._rings.of(name)

    def _ring(self, number: int, pool: Pool, pick: Pick, health: Health) -> None:
        """Have ring `number` hold the pool's live endpoints: replaced whole where it changed."""
        entries = [
            Entry(name=e.name, number=self.endpoints.of(endpoint_name(pool.name, e)), weight=e.weight)
            for e in pool.endpoints
            if e.admin is Admin.UP and any(health(pool.name, address) for address in e.addresses)
        ]
        ring = ring_of(pick, entries)
        if self._ring_content.get(number) != ring:
            inner = create_map(
                MapType.ARRAY,
                key_size=4,
                value_size=4,
                max_entries=len(ring) + 1,
                flags=INNER_MAP,
                name="ring",
            )
            keys = [pack("=I", i) for i in range(len(ring) + 1)]
            inner.update_batch(keys, [pack("=I", len(ring)), *(pack("=I", slot) for slot in ring)])
            self._new_rings[number] = inner
            self._ring_content[number] = ring

    def _swap_rings(self) -> None:
        """Put new rings in place together: the kernel waits for running programs after each call."""
        if self._new_rings:
            keys, values = (
                map(NUMBER, self._new_rings),
                (NUMBER(ring.fd) for ring in self._new_rings.values()),
            )
            self.datapath.maps["rings"].update_batch(list(keys), list(values))
        for ring in self._new_rings.values():
            ring.close()
        self._new_rings.clear()

    def _write(self, name: str, wanted: dict[bytes, bytes]) -> None:
        written = self._written[name]
        changed = [key for key, value in wanted.items() if written.get(key) != value]
        target = self._targets[name]
        values = [wanted[key] for key in changed]
        try:
            if _one_by_one(target):
                for key, value in zip(changed, values, strict=True):
                    target.update(key, value)
            elif changed:
                target.update_batch(changed, values)
        except BpfError:
            with suppress(BpfError):  # the first error tells more
                self._written[name] = self._there(name, changed)
            raise
        written.update(zip(changed, values, strict=True))

    def _there(self, name: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """What a map holds after a write that stopped halfway, so that the next one puts it right."""
        target = self._targets[name]
        if not isinstance(target, VipTable) and target.info.type == MapType.ARRAY:
            return self._written[name] | {key: target[int.from_bytes(key, "little")] for key in keys}
        return target.items()

    def _erase(self, name: str, keys: Iterable[bytes]) -> None:
        gone, target, written = list(keys), self._targets[name], self._written[name]
        if _one_by_one(target):
            for key in gone:
                target.delete(key)
        elif gone:
            target.delete_batch(gone)
        for key in gone:
            del written[key]

    def _retire(self, policy: Policy) -> None:
        """Services that are gone stop; endpoints that are gone take no more. Numbers stay while conversations do."""
        services = set(self._names.values())
        endpoints = {endpoint_name(p.name, e) for p in policy.pools.values() for e in p.endpoints}
        self._stop("services", self.services, services, "active", self.records.service_layout)
        self._stop("endpoints", self.endpoints, endpoints, "admin", self.records.endpoint_layout)

    def _stop(self, name: str, numbers: Numbers, keep: set[int], flag: str, layout: Layout) -> None:
        absent = numbers.taken.keys() - keep
        if not absent:
            return
        totals, stopped = self.datapath.btf.layout("totals"), {}
        counted = self.datapath.maps[name[:-1] + "_totals"].memory()
        for gone in absent:
            number = numbers.taken[gone]
            record = bytearray(layout.size)
            if totals.number(counted, "conversations", number * totals.size):
                record[:] = self._written[name][NUMBER(number)]
                layout.set(record, flag, 0)
            else:
                numbers.free(gone)
            stopped[NUMBER(number)] = bytes(record)
        self._write(name, stopped)


def _one_by_one(target: Map | VipTable) -> TypeGuard[Map]:
    """Whether the kernel has no batches for this kind of map."""
    return isinstance(target, Map) and target.info.type == MapType.LPM_TRIE


def endpoints_by_number(programmer: Programmer, policy: Policy) -> dict[int, tuple[Pool, Endpoint]]:
    """Who is who, for reports."""
    return {
        programmer.endpoints.of(endpoint_name(pool.name, endpoint)): (pool, endpoint)
        for pool in policy.pools.values()
        for endpoint in pool.endpoints
    }
