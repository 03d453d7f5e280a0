"""The epochs of a feed for frameworks that look at a batch or two first, to learn the shapes, and then begin anew.

An iteration that is left within its first `LOOK` batches counts as not begun: the next one gives those batches again
and goes on behind them, so that a look costs no epoch, no batch of an iterable that can be gone through once, and no
work twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastfeed.engine.feed import Feed

LOOK = 2  # as many as Keras looks at
# What a loop may hold when it asks for the next: the batch in hand, the one before, of which a framework lets go late,
# and one that was moved ahead.
_HELD = 3


class Epochs:
    """The epochs of a feed, one for each ``iter``.

    What was set or begun on the feed itself since a look, such as ``feed.set_epoch(3)``, counts, and the look is
    dropped.

    Parameters
    ----------
    feed : Feed
        What to iterate.
    """

    def __init__(self, feed: Feed) -> None:
        feed.reserve(_HELD)
        self._feed = feed
        self._left: _Look | None = None

    def __iter__(self) -> Iterator[Any]:
        # A generator: nothing begins before the first step.
        look = self._look()
        given = 0
        try:
            while given < LOOK and look.reaches(given):
                given += 1
                yield look.batches[given - 1]
        except GeneratorExit:
            length = length_of(self._feed)
            if length is None or given < length:  # a loop that knows the length asks for no more
                self._left = look
            raise
        look.batches.clear()
        yield from look.iterator

    def first(self) -> list[Any]:
        """Return the next iteration's first batches, which it will give again: `LOOK`, or as many as there are."""
        look = self._look()
        while len(look.batches) < LOOK and look.reaches(len(look.batches)):
            pass
        self._left = look
        return list(look.batches)

    def _look(self) -> _Look:
        """What was left at its beginning, or a new iteration."""
        look, self._left = self._left, None
        return look if look is not None and look.moves == self._feed.moves else _Look(self._feed)


class _Look:
    """An iteration of which only the first batches have been given, and these batches."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.iterator = iter(feed)
        self.batches: list[Any] = []
        self.moves = feed.moves

    def reaches(self, number: int) -> bool:
        """Whether there is a batch of this number; fetched if need be."""
        if number == len(self.batches):
            with suppress(StopIteration):
                self.batches.append(next(self.iterator))
            if number == 0:
                self.moves = self._feed.moves  # now that it has begun
        return number < len(self.batches)


def length_of(feed: Feed) -> int | None:
    """Batches in an epoch; None where nobody knows."""
    try:
        return len(feed)
    except TypeError:
        return None
