"""Writes all figures in Prometheus' text format: the only place that knows its library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from core.distributions import Distribution
from metrics.metric import Kind, Metric, Series, Source

__all__ = ["CONTENT_TYPE", "Metrics", "exposition"]

# Made anew at each look, rather than the library's own counters: those have a lock for each series, and a second series
# that tells when it was made.
_FAMILIES: Mapping[Kind, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class Metrics:
    """The figures of the sources, of the process and of Python. Usable from any thread."""

    def __init__(self, sources: Sequence[Source], registry: CollectorRegistry) -> None:
        self._registry = registry
        registry.register(_Sources(sources))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def exposition(self) -> bytes:
        """Return the figures as they are now, in the format of CONTENT_TYPE. Raises what a source raises."""
        return generate_latest(self._registry)


def exposition(sources: Sequence[Source]) -> bytes:
    """Return the figures of the sources alone, for whoever adds them to those of a process. Raises what one raises."""
    registry = CollectorRegistry()
    registry.register(_Sources(sources))
    return generate_latest(registry)


class _Sources(Collector):
    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Family]:
        for source in self._sources:
            for metric, series in source.series():
                yield _family(metric, series)


def _family(metric: Metric, series: Series) -> Any:
    family: Any = _FAMILIES[metric.kind](metric.name, metric.meaning.en, labels=[label.name for label in metric.labels])
    bounds = [*(f"{bound:g}" for bound in metric.bounds), "+Inf"]
    for labels, value in series.items():
        if isinstance(value, Distribution):
            family.add_metric(labels, list(zip(bounds, value.cumulated(), strict=True)), value.total)
        else:
            family.add_metric(labels, value)
    return family
