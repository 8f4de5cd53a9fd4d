"""Prometheus metrics, made when they are asked for. No label per association."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lb.datapath.read import Totals
from telco.api.hub import Hub
from telco.api.views import Observed
from telco.keeper import Keeper

LABELS = {"service": ("service",), "endpoint": ("pool", "endpoint")}


class _Datapath(Collector):
    def __init__(self, engine: Observed, keeper: Keeper, hub: Hub) -> None:
        self._engine, self._keeper, self._hub = engine, keeper, hub

    def collect(self) -> Iterable[Metric]:
        """One pass over the counters."""
        for kind, found in zip(LABELS, self._engine.totals(), strict=True):
            yield from _totals(kind, found)
        drops = CounterMetricFamily("telco_drops", "packets dropped, by reason", labels=["reason"])
        for reason, count in self._engine.drops().items():
            drops.add_metric([reason], count)
        yield drops
        yield self._health()
        yield from self._product()

    def _health(self) -> Metric:
        health = GaugeMetricFamily(
            "telco_endpoint_address_up", "1: used", labels=["pool", "endpoint", "address"]
        )
        for pool in self._engine.policy.pools.values():
            for endpoint in pool.endpoints:
                for address in endpoint.addresses:
                    up = self._engine.healthy(pool.name, address)
                    health.add_metric([pool.name, endpoint.name, str(address)], up)
        return health

    def _product(self) -> Iterable[Metric]:
        keeper = self._keeper
        yield GaugeMetricFamily("telco_policy_revision", "raised by every change", keeper.revision)
        yield GaugeMetricFamily("telco_policy_applied", "1: it is in the datapath", keeper.applied)
        yield GaugeMetricFamily("telco_policy_warnings", "what is odd about it", len(keeper.warnings))
        resources = GaugeMetricFamily("telco_policy_resources", "of each kind", labels=["kind"])
        for kind, count in (("Pool", len(keeper.policy.pools)), ("Service", len(keeper.policy.services))):
            resources.add_metric([kind], count)
        yield resources
        yield GaugeMetricFamily("telco_datapath_adopted", "1: taken over at the start", self._engine.adopted)
        yield CounterMetricFamily("telco_events_lost", "by listeners that were too slow", self._hub.lost)


def _totals(kind: str, found: dict[str, Totals]) -> Iterable[Metric]:
    """Of each service or endpoint."""
    names = LABELS[kind]
    both = [*names, "direction"]
    live = GaugeMetricFamily(f"telco_{kind}_associations", f"associations of a {kind}", labels=names)
    born = CounterMetricFamily(f"telco_{kind}_associations_created", "associations so far", labels=names)
    packets = CounterMetricFamily(f"telco_{kind}_packets", "packets", labels=both)
    size = CounterMetricFamily(f"telco_{kind}_bytes", "IP bytes", labels=both)
    for name, totals in found.items():
        labels = name.split("/", len(names) - 1)
        live.add_metric(labels, totals.conversations)
        born.add_metric(labels, totals.created)
        for i, direction in enumerate(("to_endpoint", "to_client")):
            packets.add_metric([*labels, direction], totals.packets[i])
            size.add_metric([*labels, direction], totals.bytes[i])
    yield from (live, born, packets, size)


def exposition(engine: Observed, keeper: Keeper, hub: Hub) -> tuple[bytes, str]:
    """The metrics page and its media type."""
    registry = CollectorRegistry()
    registry.register(_Datapath(engine, keeper, hub))
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
