"""Whose turn it is: a feed that is closed, or iterated anew, while another thread or a handler is in its next()."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator

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
        before = signal.signal(signal.SIGUSR1, lambda *_: iter(feed))
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
        with pytest.raises(ff.FeedClosed, match="newer iteration"):
            next(older)
        assert list(newer) == [square(item) for item in range(40)]
