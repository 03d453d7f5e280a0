"""OpenTelemetry: feeds and their metrics as observable instruments, read whenever they are exported."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

from fastfeed.adapters.watched import SHOWN, Watched
from fastfeed.engine.metrics import Metric

try:
    from opentelemetry.metrics import Observation, get_meter
except ImportError as error:
    raise ImportError(
        "fastfeed.opentelemetry needs OpenTelemetry, which cannot be imported here: pip install opentelemetry-api"
    ) from error

_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}


def register(meter: Any = None, /, **feeds: object) -> None:
    """Show feeds to OpenTelemetry: ``fastfeed.opentelemetry.register(train=feed)``.

    Each number of `Feed.metrics` is an observable counter or gauge with the attributes ``feed`` (the name that is
    passed here) and ``rank``.  Its unit is no part of its name: ``fastfeed_wait_p99_seconds`` is ``fastfeed.wait_p99``
    in ``s``, and ``fastfeed_batches_total`` is ``fastfeed.batches``.

    Nothing is recorded for this: a feed is read when metrics are exported.  A feed that is dropped is no longer shown.
    A name that was registered before goes to the new feed.

    Parameters
    ----------
    meter : opentelemetry.metrics.Meter, optional
        One named fastfeed, of the global provider, where it is left out; the provider may be set later.
    **feeds : Feed or Prefetch
        By the names to show them by.

    Raises
    ------
    ConfigError
        No feeds, or something that is none.
    """
    # The same one each time: a provider ignores instruments that it has seen, and what they observe.
    meter = _own if meter is None else meter
    watched = _shown.get(meter)
    if watched is not None:
        watched.add(feeds)
        return
    watched = Watched()
    watched.add(feeds)
    for metric in SHOWN:
        make = meter.create_observable_counter if metric.is_counter else meter.create_observable_gauge
        name, unit = _named(metric)
        make(name, [_observer(watched, metric.name)], unit, metric.says)
    _shown[meter] = watched


_own: Any = get_meter("fastfeed", version("fastfeed"))
_shown: WeakKeyDictionary[Any, Watched] = WeakKeyDictionary()


def _named(metric: Metric) -> tuple[str, str]:
    """Return the name without the unit, and the unit."""
    package, *words = metric.name.removesuffix("_total").split("_")
    unit = _UNITS.get(words[-1], "")
    return f"{package}.{'_'.join(words[:-1] if unit else words)}", unit


def _observer(watched: Watched, name: str) -> Callable[[Any], list[Any]]:
    """Return what an instrument calls when it is exported."""

    def observe(options: Any) -> list[Any]:
        return [
            Observation(reading.metrics[name], reading.labels) for reading in watched.read() if name in reading.metrics
        ]

    return observe


__all__ = ["register"]
