"""How long a loop has waited for its batches lately: what the callbacks of frameworks log."""

from __future__ import annotations

from typing import Any

NAME = "data_wait_ms"


class Waits:
    """The waits of a feed, or of what an adapter has made of one, between one reading and the next."""

    def __init__(self, feed: Any) -> None:
        while hasattr(feed, "feed"):  # an adapter may stand on another
            feed = feed.feed
        self._feed = feed
        self._read = self._feed.stats()

    def lately_ms(self) -> float:
        """The mean wait for a batch since the last reading, in milliseconds; 0.0 where nothing was waited for."""
        before, self._read = self._read, self._feed.stats()
        return float(self._read.since(before).wait_mean_s) * 1e3
