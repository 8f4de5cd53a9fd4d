"""Prometheus metrics, made when they are asked for. No label per association."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from telco.api.views import Observed


class _Datapath(Collector):
    def __init__(self, engine: Observed) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """One pass over the counters."""
        for kind, found in zip(("service", "endpoint"), self._engine.totals(), strict=True):
            live = GaugeMetricFamily(f"telco_{kind}_associations", f"associations of a {kind}", labels=[kind])
            born = CounterMetricFamily(
                f"telco_{kind}_associations_created", "associations so far", labels=[kind]
            )
            packets = CounterMetricFamily(f"telco_{kind}_packets", "packets", labels=[kind, "direction"])
            size = CounterMetricFamily(f"telco_{kind}_bytes", "IP bytes", labels=[kind, "direction"])
            for name, totals in found.items():
                live.add_metric([name], totals.conversations)
                born.add_metric([name], totals.created)
                for i, direction in enumerate(("to_endpoint", "to_client")):
                    packets.add_metric([name, direction], totals.packets[i])
                    size.add_metric([name, direction], totals.bytes[i])
            yield from (live, born, packets, size)
        drops = CounterMetricFamily("telco_drops", "packets dropped, by reason", labels=["reason"])
        for reason, count in self._engine.drops().items():
            drops.add_metric([reason], count)
        yield drops
        health = GaugeMetricFamily(
            "telco_endpoint_address_up", "1: used", labels=["pool", "endpoint", "address"]
        )
        for pool in self._engine.policy.pools.values():
            for endpoint in pool.endpoints:
                for address in endpoint.addresses:
                    health.add_metric(
                        [pool.name, endpoint.name, str(address)], self._engine.healthy(pool.name, address)
                    )
        yield health


def exposition(engine: Observed) -> tuple[bytes, str]:
    """The metrics page and its media type."""
    registry = CollectorRegistry()
    registry.register(_Datapath(engine))
    return generate_latest(registry), CONTENT_TYPE_LATEST
