"""Which items of a sequence the loop has had the results of: what a saved state of map says."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

from fastfeed.engine.feed import TOGETHER
from fastfeed.schedule.cursor import Position

# Results that are handed over later lie in the last so many chunks, and those without any result wait for nobody.
_NOTED = 2 * TOGETHER


class Delivered:
    """Where a feed of results stands; an epoch's position is the index of an item.

    Results of a chunk are delivered together and handed over one by one, so the last chunks are noted with how many
    results they gave, and counted as far as the loop has had them.

    Parameters
    ----------
    batched : bool
        Whether a chunk is one result.
    """

    def __init__(self, batched: bool) -> None:
        self.start = Position()  # of the next iteration
        self.moved = False  # whether that is not simply after this one
        self._batched = batched
        self._at = Position()
        # Epoch, index of the first item, items, results, and the offsets of items without one.
        self._last: deque[list[Any]] = deque()

    def move(self, position: Position) -> None:
        """Let the next iteration begin here."""
        self.start, self.moved = position, True

    def begin(self) -> Position:
        """Begin an iteration: where."""
        self._at, self.moved = self.start, False
        self._last.clear()
        self.start = Position(self._at.epoch + 1, [progress.copy() for progress in self._at.progress[1:]])
        return self._at.copy()

    def note(self, epoch: int, first: int, items: int, results: int, missing: Collection[int]) -> None:
        """Note the results of a chunk, or of as many of its items as are done for good."""
        if epoch >= self.start.epoch:
            self.start = Position(epoch + 1)
        noted = self._last
        if noted and not self._batched and not missing:
            last = noted[-1]
            if last[1] + last[2] == first and last[0] == epoch and not last[4]:
                last[2] += items
                last[3] += results
                return
        noted.append([epoch, first, items, results, missing])
        if len(noted) > _NOTED:
            epoch, first, items, _, _ = noted.popleft()
            self._count(self._at, epoch, first, items)

    def position(self, waiting: int, count: int) -> Position:
        """Where the loop stands, which has not had the last so many results, of an epoch of so many items."""
        if self.moved:
            return self.start
        at = self._at.copy()
        noted = [tuple(one) for one in self._last]
        while waiting:
            epoch, first, items, results, missing = noted.pop()
            had = results - waiting
            if had > 0:  # up to the first result that the loop has not had
                end = had if not missing else [at for at in range(items) if at not in missing][had]
                noted.append((epoch, first, end, had, ()))
            waiting = max(0, -had)
        for epoch, first, items, _, _ in noted:
            self._count(at, epoch, first, items)
        while at.progress and not at.progress[0].rest.count(count):
            at.epoch += 1
            del at.progress[0]
        return at

    @staticmethod
    def _count(at: Position, epoch: int, first: int, items: int) -> None:
        progress = at.of(epoch)
        number = progress.rest.number(first)
        progress.rest = progress.rest.without([(number, number + items)])
