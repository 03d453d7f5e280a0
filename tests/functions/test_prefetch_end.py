"""The end of a prefetch, by a loop that is left, close, interrupts, forks and exits: no thread is left."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import probe
import pytest
from user_functions import square
from watched import Watched, ended, threads

import fastfeed
from fastfeed import Prefetch
from fastfeed.errors import FeedClosed
from fastfeed.functions.prefetch import prefetch

pytestmark = pytest.mark.usefixtures("quiet_and_no_thread_left")


def test_break_ends_the_thread_and_closes_the_source_there() -> None:
    source = Watched(10**9)
    for item in prefetch(source):
        if item == 3:
            break
    source.closed.wait()
    ended()
    assert threads() == []
    assert source.closed_in is not threading.current_thread()
    assert source.pulled <= 3 + 1 + 2


def test_close_wakes_a_thread_that_waits_for_room() -> None:
    source = Watched(10**9)
    items = prefetch(source, buffer_size=2)
    iterator = iter(items)
    source.wait_until_pulled(2)
    items.close()
    assert threads() == []
    assert source.closed.is_set()
    items.close()
    with pytest.raises(FeedClosed):
        next(iterator)
    with pytest.raises(FeedClosed):
        iter(items)


def test_close_wakes_a_consumer_that_waits_for_an_item() -> None:
    go = threading.Event()
    asked = threading.Event()
    outcome: list[object] = []

    def source() -> Iterator[int]:
        asked.set()
        go.wait()
        yield 1

    items = prefetch(source())
    iterator = iter(items)

    def consume() -> None:
        try:
            outcome.append(next(iterator))
        except FeedClosed as error:
            outcome.append(error)

    consumer = threading.Thread(target=consume)
    closer = threading.Thread(target=items.close)
    asked.wait()
    consumer.start()
    closer.start()
    go.set()
    consumer.join()
    closer.join()
    # It may have got the item a moment before the close.
    assert len(outcome) == 1
    assert outcome[0] == 1 or isinstance(outcome[0], FeedClosed)
    assert threads() == []


def test_a_dropped_iterator_ends_its_thread() -> None:
    source = Watched(10**9)
    items = prefetch(source)
    iterator = iter(items)
    next(iterator)
    del iterator
    source.closed.wait()
    ended()
    assert threads() == []


def test_an_iterator_in_a_circle_ends_its_thread_at_the_next_collection() -> None:
    source = Watched(10**9)
    circle: list[Any] = [iter(prefetch(source))]
    circle.append(circle)
    next(circle[0])  # a generator that was never begun has nothing to close
    del circle
    gc.collect()
    source.closed.wait()
    ended()


def test_the_collection_may_happen_in_the_thread_itself() -> None:
    dropped = threading.Event()
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield 1
            dropped.wait()
            gc.collect()
            yield from range(10**9)
        finally:
            closed.set()

    gc.disable()
    try:
        circle: list[Any] = [iter(prefetch(source(), buffer_size=1))]
        circle.append(circle)
        next(circle[0])
        del circle
        dropped.set()
        closed.wait()
    finally:
        gc.enable()
    ended()


def test_closing_the_iterator_ends_it_like_a_generator() -> None:
    source = Watched(10**9)
    iterator = iter(prefetch(source))
    next(iterator)
    iterator.close()
    iterator.close()
    assert source.closed.is_set()
    assert threads() == []
    assert list(iterator) == []


def test_an_iteration_waits_for_the_one_that_was_left() -> None:
    """A generator cannot be entered by two threads, and a data set seldom bears it."""
    go = threading.Event()
    inside = 0

    def source() -> Iterator[int]:
        nonlocal inside
        for item in range(10**9):
            assert inside == 0
            inside += 1
            if item == 1:
                go.wait()
            inside -= 1
            yield item

    class Source:
        def __iter__(self) -> Iterator[int]:
            return source()

    items = prefetch(Source(), buffer_size=1)
    for _ in items:
        break
    waker = threading.Timer(0, go.set)
    waker.start()
    assert next(iter(items)) == 0
    waker.join()
    items.close()


def test_items_in_the_buffer_are_let_go_by_close() -> None:
    class Item:
        pass

    alive: list[weakref.ref[Item]] = []
    full = threading.Event()

    def source() -> Iterator[Item]:
        for number in range(10**9):
            item = Item()
            alive.append(weakref.ref(item))
            if number == 2:
                full.set()
            yield item

    items = prefetch(source(), buffer_size=3)
    iterator = iter(items)
    full.wait()
    items.close()
    assert len(alive) == 3
    assert all(reference() is None for reference in alive)
    del iterator


def test_an_interrupt_in_the_consumer_leaves_nothing_behind() -> None:
    begun = threading.Event()
    sent = threading.Event()

    def source() -> Iterator[int]:
        begun.set()
        sent.wait()
        # Python handles a signal that comes just before a lock is waited for when the wait is over: so go on.
        yield from range(10**9)

    def interrupt() -> None:
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        sent.set()

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in prefetch(source()):
            pass
    sender.join()
    ended()
    assert threads() == []


def stubborn() -> Iterator[int]:
    try:
        yield 1
        yield 2
        yield 3
    finally:
        raise OSError("cannot let go")


def test_close_raises_what_closing_the_source_raised() -> None:
    items = prefetch(stubborn())
    iterator = iter(items)
    next(iterator)
    with pytest.raises(OSError, match="cannot let go"):
        items.close()
    assert threads() == []
    items.close()
    iterator = iter(prefetch(stubborn(), buffer_size=1))
    with pytest.raises(OSError, match="cannot let go"):
        iterator.close()


def test_without_a_close_it_is_reported_as_python_does_for_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_value))
    for _ in prefetch(stubborn(), buffer_size=1):
        break
    ended()
    assert [str(error) for error in told] == ["cannot let go"]


def test_a_source_may_close_its_own_prefetch() -> None:
    def source() -> Iterator[int]:
        yield 1
        items.close()
        yield 2

    items: Prefetch[int] = prefetch(source(), buffer_size=1)
    iterator = iter(items)
    with pytest.raises(FeedClosed):
        list(iterator)
    ended()


def test_a_forked_child_is_told_instead_of_waiting_for_ever() -> None:
    items = iter(prefetch(range(10), buffer_size=1))
    next(items)
    pid = os.fork()
    if pid == 0:
        try:
            next(items)
        except FeedClosed:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    "script",
    [
        # Kept to the end, with a thread that waits for room; dropped just before; left by an exception.
        "items = iter(prefetch(source())); next(items)",
        "for item in prefetch(source()): break",
        "items = iter(prefetch(source())); next(items); raise SystemExit(0)",
    ],
)
def test_the_interpreter_ends_and_the_source_is_closed_first(script: str) -> None:
    code = (
        "from fastfeed.functions.prefetch import prefetch\n"
        "def source():\n"
        "    try:\n"
        "        yield from range(10**9)\n"
        "    finally:\n"
        "        print('closed')\n" + script
    )
    env = {**os.environ, "PYTHONPATH": _home()}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert (done.stdout, done.stderr) == ("closed\n", "")


def _home() -> str:
    import fastfeed

    return os.path.dirname(os.path.dirname(fastfeed.__file__))


def test_an_interrupt_just_when_an_item_comes_loses_no_room() -> None:
    class StopError(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise StopError

    asked, in_hand, go_on = threading.Event(), threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        asked.wait()
        signal.raise_signal(signal.SIGUSR1)  # handled in the loop's thread, which sleeps until the item comes
        yield 0
        in_hand.set()
        go_on.wait()
        yield from (1, 2, 3)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        items = iter(prefetch(source(), buffer_size=3))

        def ask() -> None:
            asked.set()
            next(items)

        with pytest.raises(StopError):
            ask()
        in_hand.wait()
        ready = 3 - 1 - probe.room(items)  # one is in hand
        assert ready in (0, 1)
        go_on.set()
        assert list(items) == ([0] if ready else []) + [1, 2, 3]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_feed_is_closed_with_the_prefetch_over_it() -> None:
    feed = fastfeed.map(square, range(40), chunk_size=1, num_workers=1)
    with prefetch(prefetch(feed)) as items:
        assert next(iter(items)) == 0
    with pytest.raises(FeedClosed):
        iter(feed)
