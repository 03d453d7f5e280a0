"""prefetch: a generator that is already running, read ahead by one background thread.

    source --next--> thread --ready--> the user's loop
                       ^------room--------'

Both arrows are `queue.SimpleQueue`: a `get` sleeps until there is something, and a `put` may come from anywhere, a
garbage collection in the middle of another `put` included.  ``room`` holds one token for each item that may be pulled;
the thread takes a token before it pulls, so no item is made that the buffer has no room for.  The loop takes an item
and gives its token back in one call of C, so that an interrupt cannot lose the token.

Shutdown note.  The thread knows the two queues and the source, never the iterator in the user's hands.  When the
iterator goes (`break`, an exception, garbage collection), its finaliser calls `stop`, which sets a flag and adds one
more token.  A finaliser must not wait, since it may run in any thread under any lock.  `close()` does wait, the next
iteration waits for earlier ones that were stopped, and the interpreter's exit waits for all.  The last thing that the
thread puts into its queue is an `_End`, whatever happened, so a consumer is always woken.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any, Generic, Literal, Self, TypeVar, cast

from fastfeed import options
from fastfeed._native import Clock, taken
from fastfeed.engine.feed import Feed
from fastfeed.engine.stats import LoopStats, waiting
from fastfeed.errors import FeedClosed, SampleError
from fastfeed.rank import rank_here
from fastfeed.wire.snapshot import snapshot

T = TypeVar("T")


def prefetch(iterable: Iterable[T], *, buffer_size: int = 2) -> Prefetch[T]:
    """Read an iterable ahead in one background thread.

    Right for a source that waits, for a disk, a network, a database, or that computes in code which releases the GIL
    (NumPy on large arrays, Pillow, OpenCV): the waiting overlaps with what the loop does.  A generator that computes
    in Python gains nothing from a thread, since only one thread runs Python at a time.  For that one use
    `fastfeed.parallel`: it takes the generator function instead of a running generator, and runs it in other
    processes.

    Parameters
    ----------
    iterable : iterable
        A generator that is already running, or anything else that can be iterated.
    buffer_size : int
        Items that may be made ahead of the one in the loop, at least 1; never more than these are pulled.

    Returns
    -------
    Prefetch
        Iterable.  Each ``iter`` calls ``iter(iterable)`` again, in a thread of its own: a list or a data set starts
        over, while a generator can be run only once, so a second iteration of it yields nothing, as always.

    Raises
    ------
    ConfigError
        Something that cannot be iterated, or a `buffer_size` below 1.

    Notes
    -----
    Items are as they were when the source handed them over, whatever it does with them afterwards: arrays, tensors,
    lists, tuples, dicts, sets, bytearrays and dataclasses are copied as they come, with all that they hold of these.
    Other objects are not, nor are the batches of a feed, which nobody writes to.

    The source runs in a copy of the context (`contextvars`) in which ``iter`` was called, so that it has the loop's
    decimal context and NumPy's error handling, and in torch's gradient mode of there.

    An exception of the source arrives in the loop after the items that came before it: the exception itself, with the
    traceback of where it was raised.  When a loop is left early, the thread ends and closes the source, if that is a
    generator, as soon as the item in hand is made; ``close()`` and ``with`` wait for that.  They close the source, too,
    if that is a feed or another prefetch.
    """
    if callable(iterable) and not hasattr(type(iterable), "__iter__"):
        name = getattr(iterable, "__name__", "f")
        remedy = f"pass what the function returns, prefetch({name}(...)), or let other processes run it"
        raise options.wrong("iterable", iterable, f"{remedy}: fastfeed.parallel({name})")
    if not hasattr(type(iterable), "__iter__") and not hasattr(type(iterable), "__getitem__"):
        raise options.wrong("iterable", iterable, "pass a generator or another iterable")
    return Prefetch(iterable, options.whole("buffer_size", buffer_size, 1))


@dataclass(frozen=True, kw_only=True)
class PrefetchStats(LoopStats):
    """A frozen record of one `Prefetch` since it was made, or between two readings; times in seconds.

    Beside these it has what `Stats` has of the same name: `first_waits_s`, `first_batch_s` (the first item's),
    `iterations`, `wait_mean_s`, `wait_p50_s`, `wait_p95_s`, `wait_p99_s`, `ready_share`, `rank`.

    Attributes
    ----------
    items : int
        Delivered to the consumer.
    wait_s : float
        The consumer waited in ``next`` for an item.
    ready_slots : float
        How many items were ready in the buffer when the loop asked: the mean.
    consumer_s : float
        The consumer was busy with the items it had got.
    source_s : float
        The source was busy making items.
    """

    items: int
    source_s: float

    words = ("item", "items")

    @property
    def verdict(self) -> Literal["consumer", "source"]:
        """Which side is the slow one, first items aside."""
        return "consumer" if self._keeps_up else "source"

    @property
    def sentence(self) -> str:
        """The verdict in words, with what to change."""
        what = self._waited
        if self.verdict == "consumer":
            return f"The consumer is the slow side: {what}; a faster source would change nothing."
        return (
            f"The source is the slow side: {what}; a thread cannot make it faster: pass the generator function to "
            f"fastfeed.parallel, which runs it in other processes."
        )


class Prefetch(Generic[T]):
    """Items of an iterable, made ahead by a background thread; made by `prefetch`.

    It has what a `Feed` has that makes sense for any iterable: ``iter``, ``len``, ``errors``, ``stats()``, ``close()``
    and ``with``.  It is no `Feed`, because a generator that is already running has no epochs to repeat or to set, and
    no state that could be saved.
    """

    def __init__(self, iterable: Iterable[T], buffer_size: int) -> None:
        self._iterable = iterable
        self._buffer_size = buffer_size
        self._runs: list[_Run] = []
        self._clock = Clock()
        self._rank = rank_here()
        self._closed = False

    def __repr__(self) -> str:
        of = self._iterable
        what = of.summary() if isinstance(of, Feed) else options.shown(of)
        return f"<fastfeed.Prefetch: {'closed; ' if self._closed else ''}{self._buffer_size} items ahead; {what}>"

    def __iter__(self) -> PrefetchIterator[T]:
        if self._closed:
            raise FeedClosed("this prefetch is closed: make a new one")
        for run in self._runs:
            # Never let a second thread into the source while the abandoned one is still inside.
            if run.stopped:
                run.join()
        self._runs = [run for run in self._runs if run.thread.is_alive()]
        run = _Run(self._iterable, self._buffer_size, self._clock)
        self._runs.append(run)
        # The iterator first: an interrupt during the start finds its finaliser in place.
        iterator: PrefetchIterator[T] = PrefetchIterator(run)
        run.start()
        return iterator

    def __len__(self) -> int:
        return len(cast("Any", self._iterable))

    @property
    def errors(self) -> list[SampleError]:
        """Bad samples that were set aside: none, since whatever the source raises arrives in the loop."""
        return []

    def stats(self) -> PrefetchStats:
        """What happened so far, with a verdict on which side is slow; ``since(earlier)`` says what happened lately."""
        clock = self._clock
        return PrefetchStats(**waiting(clock, self._rank), items=clock.batches, source_s=clock.pull_ns / 1e9)

    def metrics(self) -> dict[str, float]:
        """What happened so far as plain numbers by stable names; see `Feed.metrics`."""
        return self.stats().metrics()

    def close(self) -> None:
        """End the threads of all iterations, and wait until the item in hand is made.  May be called again.

        A source that is a feed or another prefetch is closed, too.

        Raises
        ------
        Exception
            What a source raised while it was closed, if anything.
        """
        self._closed = True
        runs, self._runs = self._runs, []
        for run in runs:
            run.shut()
            run.stop()
        if isinstance(self._iterable, Feed | Prefetch):
            self._iterable.close()  # first, for a thread may wait in it
        failures = [failure for run in runs if (failure := run.finish()) is not None]
        if failures:
            raise failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class PrefetchIterator(Iterator[T]):
    """One iteration of a `Prefetch`; the thread behind it ends with it."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._ended = False
        self._handed_ns = 0
        # At exit `_end_all` stops the threads, and waits for them.
        weakref.finalize(self, run.stop).atexit = False

    def __next__(self) -> T:
        run, clock = self._run, self._run.clock
        run.check()
        if self._ended:
            raise StopIteration
        asked_ns = clock.ask(self._handed_ns)
        clock.look(run.ready.qsize())
        item = taken(run.ready.get, run.room.put)
        if type(item) is not _End:
            self._handed_ns = clock.hand(asked_ns, 1, self._handed_ns == 0)
            return cast("T", item)
        self._ended = True
        run.ready.put(_End())  # for another thread that waits in this iterator
        run.join()
        run.check()
        try:
            if item.error is not None:
                raise item.error
            raise StopIteration
        finally:
            del item  # the traceback keeps this frame: break the circle

    def close(self) -> None:
        """End the thread, and wait until the item in hand is made.  May be called again."""
        self._ended = True
        self._run.stop(awaited=True)
        failure = self._run.finish()
        if failure is not None:
            raise failure


class _End:
    """The last thing in a ready queue: the source is exhausted, or has raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Run:
    """A thread and its two queues: all that the thread and the iterator share."""

    def __init__(self, iterable: Iterable[Any], buffer_size: int, clock: Clock) -> None:
        self.room: SimpleQueue[None] = SimpleQueue()
        self.ready: SimpleQueue[Any] = SimpleQueue()
        self.clock = clock  # of all iterations; each figure is written by one thread only while there is one loop
        self.stopped = False
        self._awaited = False
        self._shut = False
        self._failure: BaseException | None = None
        self._pid = os.getpid()
        for _ in range(buffer_size):
            self.room.put(None)
        work = partial(contextvars.copy_context().run, self._work, iterable, _modes())
        self.thread = threading.Thread(target=work, name="fastfeed-prefetch", daemon=True)

    def start(self) -> None:
        _running.add(self)
        try:
            self.thread.start()
        except BaseException:
            self.stop()
            if not self.thread.is_alive():
                _running.discard(self)
            raise

    def stop(self, awaited: bool = False) -> None:
        """Let the thread end, and wake whatever waits for it; this neither waits nor takes a lock."""
        self._awaited = self._awaited or awaited
        self.stopped = True
        self.room.put(None)
        self.ready.put(_End())

    def shut(self) -> None:
        """From now on, let the iterator raise FeedClosed."""
        self._shut = self._awaited = True

    def check(self) -> None:
        if self._shut:
            raise FeedClosed("this prefetch was closed: make a new one")
        if os.getpid() != self._pid:
            raise FeedClosed(
                f"this prefetch runs in process {self._pid}, which forked: iterate it in one process, or again here"
            )

    def join(self) -> None:
        """Wait for the end of a thread that was stopped, or has put its `_End`."""
        if self.thread is not threading.current_thread() and self.thread.ident is not None:
            self.thread.join()

    def finish(self) -> BaseException | None:
        """Wait for the end, drop what is in the buffer, and return what closing the source raised."""
        self.join()
        try:
            while True:
                self.ready.get_nowait()
        except Empty:
            self.ready.put(_End())
        failure, self._failure = self._failure, None
        return failure

    def _work(self, iterable: Iterable[Any], modes: list[Callable[[], object]]) -> None:
        """The thread: pull while there is room."""
        end = _End()
        source: Iterator[Any] | None = None
        kept: Callable[[Any], Any] = _same
        if not isinstance(iterable, Feed | Prefetch | PrefetchIterator):
            kept = partial(snapshot, objects=False)
        try:
            for set_mode in modes:
                set_mode()
            source = iter(iterable)
            while self.room.get() is None and not self.stopped:
                begun = time.perf_counter_ns()
                # Straight into the queue: a name would keep the last item alive.
                try:
                    self.ready.put(kept(next(source)))
                except StopIteration:
                    break
                finally:
                    self.clock.pull_ns += time.perf_counter_ns() - begun
            else:
                self._close(source)
        except BaseException as error:
            # Without this frame, which means nothing to the user.
            end.error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        finally:
            self.ready.put(end)
            # The traceback keeps the source's frames, which may keep this one: break the circle.
            del end, source, iterable
            _running.discard(self)

    def _close(self, source: Iterator[Any]) -> None:
        """Close a source that was left early, in its own thread; iterators of other kinds belong to the user."""
        if not isinstance(source, Generator | PrefetchIterator):
            return
        try:
            source.close()
        except BaseException as error:
            if self._awaited:
                self._failure = error
            else:
                # Nobody is left to catch it: do as the language does for a generator that is dropped.
                unraisable = SimpleNamespace(
                    exc_type=type(error),
                    exc_value=error,
                    exc_traceback=error.__traceback__,
                    err_msg="Exception ignored while closing the source of a prefetch",
                    object=source,
                )
                sys.unraisablehook(cast("Any", unraisable))


def _same(item: Any) -> Any:
    return item


def _modes() -> list[Callable[[], object]]:
    """What a thread has of its own beside its context, as calls that give it to another: from here, if it is in use."""
    modes: list[Callable[[], object]] = []
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        modes.append(partial(numpy.seterr, **numpy.geterr()))  # part of the context from NumPy 2.0 on
    if torch is not None:
        modes.append(partial(torch.set_grad_enabled, torch.is_grad_enabled()))
    return modes


# Threads that have not ended.  They are kept here because some have lost their iterator.
_running: set[_Run] = set()


@atexit.register
def _end_all() -> None:
    """End every thread before the interpreter ends: a daemon thread would be cut off inside the user's code."""
    runs = list(_running)
    for run in runs:
        run.stop()
    for run in runs:
        run.join()
