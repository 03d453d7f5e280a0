"""Feeds that a monitoring program is shown, by name; to watch a feed does not keep it, or its workers, alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from weakref import WeakValueDictionary

from fastfeed import options
from fastfeed.engine.feed import Feed
from fastfeed.engine.metrics import METRICS, RANK, Metric
from fastfeed.engine.stats import LoopStats
from fastfeed.errors import ConfigError
from fastfeed.functions.prefetch import Prefetch

# What is shown: the rank is a label of all the others.
SHOWN: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric is not RANK)


class Reading(NamedTuple):
    """What one feed has done until now.

    Attributes
    ----------
    labels : dict of str to str
        ``feed``, by which name it is watched, and ``rank``.
    stats : LoopStats
        The record.
    metrics : dict of str to float
        Its numbers by their names.
    """

    labels: dict[str, str]
    stats: LoopStats
    metrics: dict[str, float]


class Watched:
    """Feeds by name."""

    def __init__(self) -> None:
        self._feeds: WeakValueDictionary[str, Feed | Prefetch[object]] = WeakValueDictionary()

    def add(self, feeds: Mapping[str, object]) -> None:
        """Watch these, too; a name that is taken goes to the new one.

        Raises
        ------
        ConfigError
            If there are none, or one is neither a feed nor a prefetch.
        """
        if not feeds:
            raise ConfigError("register() was given no feed: pass each by the name to show it by, register(train=feed)")
        for name, feed in feeds.items():
            if not isinstance(feed, Feed | Prefetch):
                raise options.wrong(name, feed, "pass a feed (of what to_torch() returns, its .feed) or a prefetch")
            self._feeds[name] = feed

    def read(self) -> list[Reading]:
        """What each of those that are still there has done until now."""
        read = [(name, feed.stats()) for name, feed in self._feeds.items()]
        return [Reading({"feed": name, "rank": str(stats.rank)}, stats, stats.metrics()) for name, stats in read]
