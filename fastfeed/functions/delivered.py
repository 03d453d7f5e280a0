"""Which items of a sequence the loop has had the results of: what a saved state of map says."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from fastfeed.engine.feed import TOGETHER
from fastfeed.schedule.progress import Position
from fastfeed.schedule.rest import Rest

# Results that are handed over later lie in the last so many chunks, and those without any result wait for nobody.
_NOTED = 2 * TOGETHER
# Of a chunk: the epoch, index of the first item, items, results, and the offsets of items without one.
_Note = tuple[int, int, int, int, Collection[int]]


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
        # The last chunks, joined where one follows the other, nothing is missing and results are of as many items.
        self._noted: deque[_Note] = deque()
        self._joined = (-1, 0)  # epoch and first item of those that are being joined
        self._each = 1  # items of one of their results
        self._next = -1  # the item that would join them
        self._items = 0  # of an epoch

    def move(self, position: Position) -> None:
        """Let the next iteration begin here."""
        self.start, self.moved = position, True

    def begin(self, items: int) -> Position:
        """Begin an iteration over epochs of so many items: where."""
        self._items = items
        self._at, self.moved = self.start, False
        self._noted.clear()
        self._joined, self._next = (-1, 0), -1
        self.start = self._at.after(self._at.epoch)
        return self._at.copy()

    def note(self, epoch: int, first: int, items: int, results: int, missing: Collection[int]) -> None:
        """Note the results of a chunk, or of as many of its items as are done for good."""
        each = items if self._batched else 1
        if first == self._next and epoch == self._joined[0] and each == self._each and not missing:
            self._next = first + items
            return
        self._end_joined()
        if epoch >= self.start.epoch:
            self.start = self._at.after(epoch)
        if missing:
            self._noted.append((epoch, first, items, results, missing))
        else:
            self._joined, self._each, self._next = (epoch, first), each, first + items
        if len(self._noted) > _NOTED:
            epoch, first, items, _, _ = self._noted.popleft()
            self._count(self._at, epoch, first, items)
            self._at.forget_complete(self._left)  # or a loop over many epochs would keep one after the other

    def _end_joined(self) -> None:
        self._noted.extend(self._being_joined())
        self._next = -1

    def _being_joined(self) -> list[_Note]:
        """The chunks that are being joined, as one; nothing where there are none."""
        (epoch, first), items = self._joined, self._next - self._joined[1]
        return [(epoch, first, items, items // self._each, ())] if self._next >= 0 else []

    def position(self, waiting: int) -> Position:
        """Where the loop stands, which has not had the last so many results."""
        if self.moved:
            return self.start
        at = self._at.copy()
        noted = [*self._noted, *self._being_joined()]
        while waiting:
            epoch, first, items, results, missing = noted.pop()
            had = results - waiting
            if had > 0:  # up to the first result that the loop has not had
                end = had * (items // results) if not missing else [at for at in range(items) if at not in missing][had]
                noted.append((epoch, first, end, had, ()))
            waiting = max(0, -had)
        for epoch, first, items, _, _ in noted:
            self._count(at, epoch, first, items)
        at.forget_complete(self._left)
        return at

    def _left(self, rest: Rest) -> int:
        return rest.count(self._items)

    @staticmethod
    def _count(at: Position, epoch: int, first: int, items: int) -> None:
        progress = at.of(epoch)
        number = progress.rest.number(first)
        progress.rest = progress.rest.without([(number, number + items)])
