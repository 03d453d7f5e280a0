"""The units of one iteration, and what the time went on meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastfeed.engine.turn import Turn, Turns

# A source that takes longer than this for a unit is one to wait for, like a queue: what is complete goes first.
_SLOW_NS = 10_000_000


@dataclass(slots=True)
class Clock:
    """Where the consumer's time went, in nanoseconds: waiting (of that, pulling units), and the user's loop."""

    wait_ns: int = 0
    pull_ns: int = 0
    consumer_ns: int = 0
    resumed_ns: int = 0  # when next() was called last


class Units:
    """The units of one iteration, pulled one by one.

    Attributes
    ----------
    over : bool
        Nothing more is to be pulled.
    failure : Exception or None
        Why there is nothing more, where that is not simply the end.
    took_ns : int
        How long the last unit took to come.
    ready : callable
        Whether a unit is there now.  A source that is told of its units one by one has a method `ready`, so that
        nobody waits for it while batches are being made, and has ``Feed.wake`` called when there is another.
    """

    def __init__(self, units: Iterator[Any], clock: Clock, turns: Turns, turn: Turn) -> None:
        self._units = units
        self._clock = clock
        self._turns = turns
        self._turn = turn
        self.ready: Callable[[], bool] = getattr(units, "ready", _always)
        self.over = False
        self.failure: Exception | None = None
        self.took_ns = 0

    def any(self) -> bool:
        """Whether there is a first unit; it is pulled, and comes next."""
        first = self.pull()
        if first is not None:
            self._units = itertools.chain((first,), self._units)
        return first is not None

    def is_slow(self) -> bool:
        """Whether the last unit was long in coming."""
        return self.took_ns > _SLOW_NS

    def pull(self) -> Any:
        """The next unit, or None.  Whoever ends the turn meanwhile does not wait for the user's source."""
        turn = self._turn
        thread, turn.thread = turn.thread, 0
        asked = time.perf_counter_ns()
        try:
            unit = None if turn.over else next(self._units, None)
        finally:
            turn.thread = thread
        self.took_ns = took_ns = time.perf_counter_ns() - asked
        self._clock.pull_ns += took_ns
        if turn.over:
            raise self._turns.ended()
        return unit

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pull, None)


def _always() -> bool:
    return True
