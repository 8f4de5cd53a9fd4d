"""From checked resources to the model's policy: what only shows when all of them are seen together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import pairwise

from lb.datapath.records import prefixes
from lb.model import (
    Address,
    Endpoint,
    Mode,
    Network,
    Paths,
    Policy,
    Pool,
    Probe,
    ProbeType,
    Protocol,
    Service,
    Timeouts,
)
from telco.document import short
from telco.errors import PolicyError, Problem
from telco.resources import MAX_PROBLEMS, PoolResource, Resource, ServiceResource, TimeoutsSpec

DEFAULT_TIMEOUTS = Timeouts()
BENCHMARK = ip_network("198.18.0.0/15")
NOBODY = (
    ip_network("0.0.0.0/8"),
    ip_network("240.0.0.0/4"),
)  # RFC 1122 §3.2.1.3, RFC 1112 §4: no host has these


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one datapath holds; told before anything is applied, instead of by a map that is full."""

    services: int = 131_072
    endpoints: int = 8_192
    vip_ports: int = 262_144  # a VIP with a port, or with each part of a range that is a power of two
    allowed_sources: int = 131_072
    rings: int = 4_096  # of a pool and a pick


@dataclass(frozen=True, slots=True)
class _Checked:
    """A good address and what is asked of it often; asking once a text is what makes large policies quick."""

    address: Address
    private: bool
    benchmark: bool


class _Checker:
    """Collects problems and warnings instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._good: dict[str, _Checked] = {}

    def bad(self, field: str, value: object, allowed: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            shown = value if isinstance(value, str) else short(value)
            self.problems.append(Problem(field=field, value=shown, allowed=allowed))

    def at_most(self, field: str, count: int, limit: int) -> None:
        if count > limit:
            self.bad(field, count, f"at most {limit} in all")

    def addresses(self, texts: list[str], field: str) -> list[_Checked]:
        """The good ones among them; the others are problems."""
        good = self._good
        found = [good[text] for text in texts if text in good]
        if len(found) == len(texts):
            return found
        checked = [self._address(text, f"{field}[{i}]") for i, text in enumerate(texts)]
        return [one for one in checked if one is not None]

    def _address(self, text: str, field: str) -> _Checked | None:
        try:
            found = ip_address(text)
        except ValueError:
            self.bad(field, short(text), "an IPv4 or IPv6 address is allowed")
            return None
        if isinstance(found, IPv6Address) and (found.ipv4_mapped or found.scope_id):
            self.bad(field, text, "an IPv4 address as such, or an IPv6 address without a zone, is allowed")
            return None
        if (
            found.is_multicast
            or found.is_unspecified
            or found.is_loopback
            or found.is_link_local
            or any(found in network for network in NOBODY)
        ):
            self.bad(field, text, "a unicast address that others can reach is allowed")
            return None
        benchmark = isinstance(found, IPv4Address) and found in BENCHMARK
        checked = _Checked(found, found.is_private, benchmark)
        return self._good.setdefault(text, checked)

    def network(self, text: str, field: str) -> Network | None:
        try:
            return ip_network(text, strict=False)
        except ValueError:
            self.bad(field, short(text), "a prefix such as 10.0.0.0/8 is allowed")
            return None


def build(resources: Iterable[Resource], limits: Limits | None = None) -> tuple[Policy, list[str]]:
    """The policy and its warnings. Raises PolicyError with what is wrong, a hundred problems of it."""
    checker = _Checker()
    pools: dict[str, Pool] = {}
    services: dict[str, Service] = {}
    for resource in resources:
        made: Mapping[str, object] = pools if isinstance(resource, PoolResource) else services
        if resource.name in made:
            checker.bad(f"{resource.kind}/{resource.name}.name", resource.name, "each name once a kind")
        elif isinstance(resource, PoolResource):
            pools[resource.name] = _pool(resource, checker)
        elif (service := _service(resource, checker)) is not None:
            services[resource.name] = service
    families: dict[str, list[set[int]]] = {
        name: [{address.version for address in endpoint.addresses} for endpoint in pool.endpoints]
        for name, pool in pools.items()
    }
    for service in services.values():
        _fits(service, pools, families, checker)
    _ports_apart(services.values(), checker)
    _within(pools, services, limits or Limits(), checker)
    if checker.problems:
        raise PolicyError(checker.problems)
    return Policy(pools=pools, services=services), checker.warnings


def _within(
    pools: Mapping[str, Pool], services: Mapping[str, Service], limits: Limits, checker: _Checker
) -> None:
    """What is wanted has room in the datapath's maps."""
    found = services.values()
    parts = (
        len(s.vips) * (1 if s.port == s.last_port else sum(1 for _ in prefixes(s.port, s.last_port)))
        for s in found
    )
    checker.at_most("services", len(found), limits.services)
    checker.at_most("endpoints", sum(len(pool.endpoints) for pool in pools.values()), limits.endpoints)
    checker.at_most("VIPs and ports", sum(parts), limits.vip_ports)
    checker.at_most("allowed_sources", sum(len(s.allowed_sources) for s in found), limits.allowed_sources)
    checker.at_most("pools and picks", len({(s.pool, s.pick) for s in found}), limits.rings)


def _apart(endpoints: Iterable[Endpoint], where: str, checker: _Checker) -> None:
    """No two endpoints of a pool are one server: its tags and ports would be counted and freed twice."""
    taken: dict[tuple[Address, int], str] = {}
    for endpoint in endpoints:
        for address in endpoint.addresses:
            other = taken.setdefault((address, endpoint.port), endpoint.name)
            if other != endpoint.name:
                field = f"{where}.endpoints[{endpoint.name}].addresses"
                checker.bad(field, str(address), f"an address and port that {other!r} does not have")


def _pool(resource: PoolResource, checker: _Checker) -> Pool:
    spec, where = resource.spec, f"Pool/{resource.name}.spec"
    if spec.probe.type is not ProbeType.NONE and spec.probe.timeout >= spec.probe.interval:
        allowed = f"less than the interval, {spec.probe.interval:g} s"
        checker.bad(f"{where}.probe.timeout", f"{spec.probe.timeout:g} s", allowed)
    endpoints: dict[str, Endpoint] = {}
    for i, one in enumerate(spec.endpoints):
        field = f"{where}.endpoints[{i}]"
        addresses = tuple([found.address for found in checker.addresses(one.addresses, f"{field}.addresses")])
        if one.name in endpoints:
            checker.bad(f"{field}.name", one.name, "each name once a pool")
        if len(set(addresses)) < len(addresses):
            checker.bad(f"{field}.addresses", ", ".join(one.addresses), "each address once")
        endpoints[one.name] = Endpoint(
            name=one.name, addresses=addresses, port=one.port, weight=one.weight, admin=one.admin
        )
    _apart(endpoints.values(), where, checker)
    several = any(len(endpoint.addresses) > 1 for endpoint in endpoints.values())
    return Pool(
        name=resource.name,
        endpoints=tuple(endpoints.values()),
        probe=Probe(**spec.probe.model_dump()),
        paths=spec.paths or (Paths.MIRROR if several else Paths.SINGLE),
    )


def _service(resource: ServiceResource, checker: _Checker) -> Service | None:
    spec, where = resource.spec, f"Service/{resource.name}.spec"
    checked = checker.addresses(spec.vips, f"{where}.vips")
    vips = tuple([found.address for found in checked])
    sources = [
        checker.network(text, f"{where}.allowed_sources[{i}]") for i, text in enumerate(spec.allowed_sources)
    ]
    first, last = spec.port
    if len(set(vips)) < len(vips):
        checker.bad(f"{where}.vips", ", ".join(spec.vips), "each VIP once")
    _scopes(checked, where, checker)
    if len(vips) < len(spec.vips):
        return None
    return Service(
        name=resource.name,
        vips=vips,
        protocol=spec.protocol,
        port=first,
        last_port=last,
        mode=spec.mode,
        pick=spec.pick,
        pool=spec.pool,
        timeouts=_timeouts(spec.timeouts),
        allowed_sources=tuple(source for source in sources if source),
        ootb=spec.ootb,
        no_endpoint=spec.no_endpoint,
        idle_expiry=spec.idle_expiry,
        assign=spec.assign,
    )


def _timeouts(spec: TimeoutsSpec) -> Timeouts:
    if not spec.model_fields_set:
        return DEFAULT_TIMEOUTS
    return Timeouts(established=spec.established, shutdown=spec.shutdown)


def _scopes(vips: list[_Checked], where: str, checker: _Checker) -> None:
    """Linux ignores listed addresses of narrower scope than the packet's source, and refuses 198.18.0.0/15."""
    if len({vip.private for vip in vips}) > 1:
        checker.warnings.append(
            f"{where}.vips: private and global addresses are mixed; Linux peers ignore the private"
        )
    checker.warnings += [
        f"{where}.vips: {vip.address} is in {BENCHMARK}, which Linux refuses as an SCTP peer address"
        for vip in vips
        if vip.benchmark
    ]


def _fits(
    service: Service, pools: dict[str, Pool], families: dict[str, list[set[int]]], checker: _Checker
) -> None:
    """The pool exists and can do what the service asks; ``families``: IP versions of each pool's endpoints."""
    if service.pool not in pools:
        known = ", ".join(sorted(pools)[:10]) or "none is defined"
        checker.bad(f"Service/{service.name}.spec.pool", service.pool, f"a pool of this policy: {known}")
        return
    if service.protocol is not Protocol.SCTP and service.mode not in {Mode.DNAT, Mode.FULLNAT}:
        checker.bad(
            f"Service/{service.name}.spec.mode", service.mode, f"dnat or fullnat for {service.protocol}"
        )
    own = set(service.vips)
    for endpoint in pools[service.pool].endpoints:
        if not own.isdisjoint(endpoint.addresses):
            both = ", ".join(str(address) for address in endpoint.addresses if address in own)
            field = f"Pool/{service.pool}.spec.endpoints[{endpoint.name}].addresses"
            checker.bad(field, both, f"an address that is no VIP of {service.name}, which would call itself")
    if service.mode is Mode.DSR:
        return
    versions = {vip.version for vip in service.vips}
    for endpoint, found in zip(pools[service.pool].endpoints, families[service.pool], strict=True):
        if versions.isdisjoint(found):
            needed = "IPv4" if versions == {4} else "IPv6"
            listed = ", ".join(map(str, endpoint.addresses))
            allowed = f"an {needed} address, which the VIPs of {service.name} need"
            checker.bad(f"Pool/{service.pool}.spec.endpoints[{endpoint.name}].addresses", listed, allowed)


def _ports_apart(services: Iterable[Service], checker: _Checker) -> None:
    """No two services may share a VIP, a protocol and a port."""
    spans: dict[tuple[IPv4Address | IPv6Address, Protocol], list[tuple[int, int, str]]] = {}
    for service in services:
        for vip in service.vips:
            spans.setdefault((vip, service.protocol), []).append(
                (service.port, service.last_port, service.name)
            )
    for (vip, protocol), listed in spans.items():
        if len(listed) == 1:
            continue
        listed.sort()
        for (_, last, one), (port, _, other) in pairwise(listed):
            if port <= last:
                field = f"Service/{other}.spec.vips"
                value, allowed = f"{vip} {protocol} port {port}", f"a VIP and port that {one!r} does not have"
                checker.bad(field, value, allowed)
