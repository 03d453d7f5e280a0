"""Turns: which iteration of a feed may use its workers, and who waits for whom.

    iter(feed)    nothing yet: loops make iterators that they never step
    first next()  the turn before is over: it ends when its loop asks again, or at once where a thread waits in it;
                  waits until that one has left its next()
    close()       waits for the same, and nobody has a turn any more

A turn computes without a lock.  It notes the thread that is inside ``next()`` and then looks whether it is over;
whoever ends a turn marks it as over and then looks whether a thread is inside.  One of the two always sees the other.
While the user's source is asked nobody counts as inside, because that may take for ever.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from threading import get_ident
from types import GeneratorType
from typing import Any

from fastfeed.errors import FeedClosed

# What the finaliser of an iterator needs at most: it takes slots back.
_FINALISER_S = 1.0


class Turn:
    """One iteration of a feed.

    Attributes
    ----------
    number : int
        Which one of the feed's.
    batches : deque
        What is delivered and not yet handed over.
    dropped : int
        How many of them there were when the loop was left.
    failure : Exception or None
        What is to be raised after them.
    over : bool
        Whether it may not go on.
    thread : int
        The thread that is inside ``next()``, or 0.
    closes : bool
        Whether the feed is to be closed as soon as the thread has left.
    """

    __slots__ = ("_iterator", "_left", "batches", "closes", "dropped", "failure", "number", "over", "thread")

    def __init__(self, number: int) -> None:
        self.number = number
        self.batches: deque[Any] = deque()
        self.failure: Exception | None = None
        self.over = self.closes = False
        self.thread = self.dropped = 0
        self._left = threading.Event()
        self._iterator: Callable[[], GeneratorType[Any, None, None] | None] = lambda: None

    def belongs_to(self, iterator: GeneratorType[Any, None, None]) -> None:
        """Note whose turn it is."""
        self._iterator = weakref.ref(iterator)

    def is_mine(self) -> bool:
        """Whether this very thread is inside: a signal's handler asks, or what the garbage collector calls."""
        iterator = self._iterator()
        return self.thread == get_ident() and iterator is not None and iterator.gi_running

    def await_leaving(self, wake: Callable[[], None], timeout_s: float | None = None) -> None:
        """Return when no other thread is inside; the turn is over."""
        iterator = self._iterator()
        if iterator is None:
            timeout_s = _FINALISER_S
        # An interrupt in the wrong place leaves a thread noted that has left: its iterator knows better.
        if self.thread not in (0, get_ident()) and (iterator is None or iterator.gi_running):
            wake()
            self._left.wait(timeout_s)

    def drop(self) -> None:
        """Let go of what is not handed over."""
        self.dropped = len(self.batches)
        self.batches.clear()

    def leave(self) -> None:
        """Nobody is inside any more."""
        self.thread = 0
        if self.over:
            self._left.set()

    def raise_failure(self) -> None:
        """Raise the failure, if there is one; once."""
        failure, self.failure = self.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback keeps this frame: no circle


class Turns:
    """The turns of one feed.

    Attributes
    ----------
    closed : bool
        Whether there will be no more.
    wake : callable
        Wakes a thread that waits for the workers.
    """

    def __init__(self) -> None:
        self.closed = False
        self.wake: Callable[[], None] = lambda: None
        self._gate = threading.RLock()
        self._current = self._last = Turn(0)
        self._numbers = itertools.count(1)
        self._forked_from = 0

    def make(self) -> Turn:
        """Make a turn, which costs nothing until it begins; it never begins after one that was made later."""
        self.check_open()
        return Turn(next(self._numbers))

    def begin(self, turn: Turn) -> None:
        """Let a turn go in for the first time: the one before is over, and has left when this returns."""
        turn.over = True  # until it has begun: what is not there yet must not be cleared away
        if self._last.is_mine():
            raise FeedClosed("this feed waits for a batch in this very thread: iterate it elsewhere than in a handler")
        with self._gate:
            self.check_open()
            if turn.number < self._current.number:
                raise self.ended()
            self._current.over, turn.over = True, False
            self._current = turn
            self._last.await_leaving(self.wake)
            self._last.batches.clear()
            self._last = turn
        if turn.over:
            raise self.ended()

    def waiting(self) -> int:
        """How many batches the last turn has been delivered and has not handed over, nor ever will if it is left."""
        return self._last.dropped or len(self._last.batches)

    def close(self, then: Callable[[], None], timeout_s: float | None = None) -> None:
        """End all turns, and call what is to be done when nobody is inside."""
        self.closed = True
        last = self._last
        if last.is_mine():
            last.closes = last.over = True
            self.wake()
            return
        with self._gate:
            self._current.over = self._last.over = True
            self._last.await_leaving(self.wake, timeout_s)
            self._last.batches.clear()
            then()

    def forked(self, parent: int) -> None:
        """In a forked child: no turn goes on, and no thread is inside."""
        self._forked_from = parent
        self._gate = threading.RLock()
        self._current.over = self._last.over = True
        self._last.thread = 0

    def check_open(self) -> None:
        """Raise `FeedClosed` unless turns may begin."""
        if self.closed or self._forked_from:
            raise self.ended()

    def ended(self) -> FeedClosed:
        """Why a turn that is over is over."""
        if self._forked_from:
            return FeedClosed(
                f"this feed belongs to process {self._forked_from}, which forked: make a feed in the process that "
                f"iterates it"
            )
        if self.closed:
            return FeedClosed("this feed is closed: make a new one")
        return FeedClosed("a newer iteration of this feed has begun: use one feed for each loop")
