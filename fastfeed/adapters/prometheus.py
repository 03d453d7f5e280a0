"""Prometheus: feeds and their metrics in a registry of prometheus_client, read whenever it is scraped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

from fastfeed.adapters.watched import SHOWN, Reading, Watched
from fastfeed.engine.metrics import Metric

try:
    from prometheus_client import REGISTRY
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
except ImportError as error:
    raise ImportError(
        "fastfeed.prometheus needs prometheus_client, which cannot be imported here: pip install prometheus_client"
    ) from error

_LABELS = ("feed", "rank")
_WAITS = "fastfeed_batch_wait_seconds"
_BOUNDS_S = (1e-5, 1e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def register(registry: Any = REGISTRY, /, **feeds: object) -> None:
    """Show feeds in a registry of prometheus_client: ``fastfeed.prometheus.register(train=feed)``.

    Each number of `Feed.metrics` is a counter or a gauge with the labels ``feed`` (the name that is passed here) and
    ``rank``.  ``fastfeed_batch_wait_seconds`` is a histogram besides: percentiles over any stretch of time and over all
    ranks are for Prometheus to compute, while the gauges are about one rank since its feed was made.

    Nothing is recorded for this: a feed is read when the registry is.  A feed that is dropped is no longer shown.  A
    name that was registered before goes to the new feed.

    Parameters
    ----------
    registry : prometheus_client.CollectorRegistry, optional
        The default one of prometheus_client where it is left out.
    **feeds : Feed or Prefetch
        By the names to show them by.

    Raises
    ------
    ConfigError
        No feeds, or something that is none.
    """
    collector = _shown.get(registry)
    if collector is not None:
        collector.watched.add(feeds)
        return
    collector = _Collector()
    collector.watched.add(feeds)
    registry.register(collector)
    _shown[registry] = collector


class _Collector:
    """What a registry asks for metrics."""

    def __init__(self) -> None:
        self.watched = Watched()

    def describe(self) -> Iterator[Any]:
        """Yield the metrics without numbers: the registry asks for their names."""
        yield from map(_family, SHOWN)
        yield _waits([])

    def collect(self) -> Iterator[Any]:
        """Yield the metrics as they are now."""
        readings = self.watched.read()
        for metric in SHOWN:
            family = _family(metric)
            for labels, _, metrics in readings:
                if metric.name in metrics:
                    family.add_metric([labels[label] for label in _LABELS], metrics[metric.name])
            if family.samples:
                yield family
        if readings:
            yield _waits(readings)


_shown: WeakKeyDictionary[Any, _Collector] = WeakKeyDictionary()


def _family(metric: Metric) -> Any:
    kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
    return kind(metric.name, metric.says, labels=_LABELS)


def _waits(readings: list[Reading]) -> Any:
    """The waits one by one, first batches left out, with what they come to."""
    family = HistogramMetricFamily(_WAITS, "The wait for a batch after the first of an iteration.", labels=_LABELS)
    for labels, stats, _ in readings:
        counts = [0] * (len(_BOUNDS_S) + 1)
        for length_ns, count in stats.waits.lengths.items():
            counts[sum(length_ns > bound * 1e9 for bound in _BOUNDS_S)] += count
        names = [*map(str, _BOUNDS_S), "+Inf"]
        buckets = list(zip(names, accumulate(counts), strict=True))
        family.add_metric([labels[label] for label in _LABELS], buckets, stats.wait_s - stats.first_waits_s)
    return family


__all__ = ["register"]
