"""Whose turn it is: a feed that is closed, or iterated anew, while another thread or a handler is in its next()."""

from __future__ import annotations

import collections
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator

import numpy as np
import probe
import pytest
from user_functions import square

import fastfeed as ff


class Loop(threading.Thread):
    """A loop over batches in a thread: what it got, and how it ended."""

    def __init__(self, batches: Iterator[int], then: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.got: list[int] = []
        self.ended: Exception | None = None
        self._batches = batches
        self._then = then
        self.start()

    def run(self) -> None:
        try:
            self.got.extend(self._batches)
        except Exception as error:
            self.ended = error.with_traceback(None)
        self._batches = iter(())
        self._then()


@pytest.fixture
def stuck() -> Iterator[tuple[ff.Feed, Loop]]:
    """A feed whose only worker is stopped, and a loop that waits for it; the worker goes on when the loop has ended."""
    feed = ff.map(square, range(5), chunk_size=1, num_workers=1, prefetch=1)
    batches = iter(feed)
    next(batches)
    probe.wait_for_sleepers(feed, 1)
    worker = probe.workers(feed)[0]
    os.kill(worker, signal.SIGSTOP)
    loop = Loop(batches, then=lambda: os.kill(worker, signal.SIGCONT))
    del batches
    probe.wait_until_waiting(feed)
    yield feed, loop
    feed.close()
    loop.join()


def test_a_loop_that_waits_is_told_when_another_thread_closes_the_feed(stuck: tuple[ff.Feed, Loop]) -> None:
    feed, loop = stuck
    feed.close()
    loop.join()
    assert isinstance(loop.ended, ff.FeedClosed)
    assert "closed" in str(loop.ended)
    assert feed.stats().deaths == 0


def test_a_loop_that_waits_is_told_when_another_thread_begins_a_newer_one(stuck: tuple[ff.Feed, Loop]) -> None:
    feed, loop = stuck
    assert list(feed) == [0, 1, 4, 9, 16]
    loop.join()
    assert loop.got == []
    assert isinstance(loop.ended, ff.FeedClosed)
    assert "newer iteration" in str(loop.ended)


def test_close_may_be_called_by_many_threads_at_once(stuck: tuple[ff.Feed, Loop]) -> None:
    feed, loop = stuck
    threads = [threading.Thread(target=feed.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loop.join()
    assert isinstance(loop.ended, ff.FeedClosed)


def test_close_does_not_wait_for_a_source_that_gives_nothing() -> None:
    items: queue.Queue[int | None] = queue.Queue()
    asked = threading.Event()

    def source() -> Iterator[int]:
        asked.set()
        yield from iter(items.get, None)

    feed = ff.map(square, source(), chunk_size=1, num_workers=1)
    loop = Loop(iter(feed))
    asked.wait()
    feed.close()
    assert loop.is_alive()
    items.put(3)
    loop.join()
    assert loop.got == []
    assert isinstance(loop.ended, ff.FeedClosed)


@pytest.mark.parametrize("close", [True, False], ids=["close", "newer"])
def test_without_workers_the_item_in_hand_is_finished_first(close: bool) -> None:
    begun, go_on = threading.Event(), threading.Event()
    calls = []

    def slow(item: int) -> int:
        calls.append(("begin", item))
        if len(calls) == 1:
            begun.set()
            go_on.wait()
        calls.append(("end", item))
        return item

    feed = ff.map(slow, [7, 8], chunk_size=1, num_workers=0)
    loop = Loop(iter(feed))
    begun.wait()
    other = threading.Thread(target=feed.close) if close else Loop(iter(feed))
    if close:
        other.start()
    go_on.set()
    other.join()
    loop.join()
    assert calls[:2] == [("begin", 7), ("end", 7)]
    assert isinstance(loop.ended, ff.FeedClosed)
    assert close or other.got == [7, 8]


def test_a_handler_that_begins_an_iteration_inside_next_is_refused() -> None:
    with ff.map(square, range(3), chunk_size=1, num_workers=1, prefetch=1) as feed:
        batches = iter(feed)
        next(batches)
        before = signal.signal(signal.SIGUSR1, lambda *_: next(iter(feed)))
        try:
            probe.wait_for_sleepers(feed, 1)
            os.kill(probe.workers(feed)[0], signal.SIGSTOP)
            tell = threading.Thread(
                target=lambda: (probe.wait_until_waiting(feed), os.kill(os.getpid(), signal.SIGUSR1))
            )
            tell.start()
            with pytest.raises(ff.FeedClosed, match="in this very thread"):
                next(batches)
            tell.join()
        finally:
            signal.signal(signal.SIGUSR1, before)
            os.kill(probe.workers(feed)[0], signal.SIGCONT)
        assert list(feed) == [0, 1, 4]


def test_a_prefetch_over_a_feed_may_be_left_in_any_order() -> None:
    for _ in range(3):
        with ff.map(square, range(100), chunk_size=1, num_workers=1) as feed:
            for number, result in enumerate(ff.prefetch(feed)):
                assert result == square(number)
                if number == 5:
                    break


def test_what_an_older_iteration_still_has_is_not_handed_over() -> None:
    with ff.map(square, range(40), chunk_size=20, num_workers=1) as feed:
        older = iter(feed)
        assert next(older) == 0  # and nineteen more are in hand
        newer = iter(feed)
        first = next(newer)
        with pytest.raises(ff.FeedClosed, match="newer iteration"):
            next(older)
        assert [first, *newer] == [square(item) for item in range(40)]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_iterator_that_is_never_stepped_changes_nothing(workers: int) -> None:
    with ff.arrays(range(20), batch_size=5, shuffle=True, num_workers=workers) as feed:
        before = feed.state_dict()
        unused = [iter(feed) for _ in range(10)]
        del unused[:5]
        assert feed.state_dict() == before
        batches = iter(feed)
        got = [next(batches).tolist()]
        unused.append(iter(feed))  # as frameworks look into a loader while it is in use
        got += [batch.tolist() for batch in batches]
        with ff.arrays(range(20), batch_size=5, shuffle=True, num_workers=0) as same:
            assert got == [batch.tolist() for batch in same]


def test_what_was_set_before_the_first_step_counts() -> None:
    with ff.arrays(range(20), batch_size=5, shuffle=True, num_workers=0) as feed:
        epochs = [[batch.tolist() for batch in feed] for _ in range(3)]
        made_before = iter(feed)
        feed.set_epoch(1)
        assert [batch.tolist() for batch in made_before] == epochs[1]


def test_an_iterator_that_was_made_before_the_feed_was_closed_starts_nothing() -> None:
    feed = ff.map(square, range(3), num_workers=1)
    batches = iter(feed)
    feed.close()
    with pytest.raises(ff.FeedClosed, match="closed"):
        next(batches)
    with pytest.raises(ff.FeedClosed, match="closed"):
        iter(feed)


# ---- a loop that holds several batches -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [None, 2])
def test_reserved_slots_let_a_loop_hold_batches_without_copies(prefetch: int | None) -> None:
    data = np.arange(4000).reshape(1000, 4)
    with ff.arrays(data, batch_size=10, num_workers=1, prefetch=prefetch) as feed:
        feed.reserve(8)
        held: collections.deque[np.ndarray] = collections.deque(maxlen=8)
        for batch in feed:
            held.append(batch)
        assert feed.stats().copies == 0
        assert [batch[0, 0] for batch in held] == [4 * row for row in range(920, 1000, 10)]
        for batch in list(feed):  # all at once is more than was reserved
            del batch
        assert feed.stats().copies > 0


def test_slots_that_are_reserved_later_are_there_from_the_next_iteration_on() -> None:
    with ff.arrays(np.arange(1000), batch_size=10, num_workers=1, prefetch=2) as feed:
        kept = next(iter(feed))
        before = probe.workers(feed)
        feed.reserve(20)
        feed.reserve(4)
        held = collections.deque(feed, maxlen=20)
        assert feed.stats().copies == 0
        assert probe.workers(feed) != before
        assert kept.tolist() == list(range(10))
        assert held[-1].tolist() == list(range(990, 1000))


def test_what_cannot_be_reserved_is_refused() -> None:
    with ff.arrays(range(10), num_workers=0) as feed, pytest.raises(ff.ConfigError, match="batches=0: pass"):
        feed.reserve(0)
