"""The units of one iteration, and what the time went on meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

from fastfeed._native import Clock
from fastfeed.engine.turn import Turn, Turns

# A source that takes longer than this for a unit is one to wait for, like a socket: what is complete goes first, and
# what is about to be: for this part of the time that the last unit took.
_SLOW_SOURCE_NS = 10_000_000
_PART_TO_HOLD_OFF = 32
# How often a source is looked at that is not to be asked: nobody says when it has something.
_LOOK_AT_SOURCE_S = 0.01


class Units:
    """The units of one iteration, pulled one by one.

    Attributes
    ----------
    over : bool
        Nothing more is to be pulled.
    failure : Exception or None
        Why there is nothing more, where that is not simply the end.
    took_ns, came_ns : int
        How long the last unit took to come, and when it came.
    are_slow : bool
        Whether it took long.
    """

    def __init__(self, units: Iterator[Any], clock: Clock, turns: Turns, turn: Turn) -> None:
        self._units = units
        self._clock = clock
        self._turns = turns
        self._turn = turn
        self.over = False
        self.failure: Exception | None = None
        self.took_ns = self.came_ns = 0
        self.are_slow = False

    def any(self) -> bool:
        """Whether there is a first unit; it is pulled, and comes next."""
        first = self.pull()
        if first is not None:
            self._units = itertools.chain((first,), self._units)
        return first is not None

    def pull(self) -> Any:
        """The next unit, or None.  Whoever ends the turn meanwhile does not wait for the user's source."""
        turn = self._turn
        thread, turn.thread = turn.thread, 0
        asked = time.perf_counter_ns()
        try:
            unit = None if turn.over else next(self._units, None)
        finally:
            turn.thread = thread
        self.came_ns = came_ns = time.perf_counter_ns()
        self.took_ns = took_ns = came_ns - asked
        self.are_slow = took_ns > _SLOW_SOURCE_NS
        self._clock.pull_ns += took_ns
        if turn.over:
            raise self._turns.ended()
        return unit

    def hold_off_s(self, at_hand: bool, complete: bool) -> float:
        """How long to see to what is pending before the next is pulled, for which the source may wait; or 0.

        Parameters
        ----------
        at_hand : bool
            Whether the source has something, as far as its job knows.
        complete : bool
            Whether something can be delivered.
        """
        if complete or not at_hand:
            return _LOOK_AT_SOURCE_S
        return max(0, self.came_ns + self.took_ns // _PART_TO_HOLD_OFF - time.perf_counter_ns()) / 1e9

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pull, None)
