"""prefetch: the thread that reads ahead, its bounds, its errors, and that it ends."""

from __future__ import annotations

import contextvars
import decimal
import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import probe
import pytest
from user_functions import square

import fastfeed
from fastfeed import Feed, Prefetch, PrefetchStats
from fastfeed.errors import ConfigError, FeedClosed
from fastfeed.functions.prefetch import PrefetchIterator, prefetch


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fastfeed-prefetch"]


def ended() -> None:
    """Wait for threads that were told to end without anybody waiting for them."""
    for thread in threads():
        thread.join()


@pytest.fixture(autouse=True)
def quiet_and_no_thread_left(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    gc.collect()
    ended()
    assert capfd.readouterr().err == ""


class Watched:
    """A generator that says what happens to it: the items pulled, the thread it was closed in."""

    def __init__(self, items: int, error: Exception | None = None) -> None:
        self.pulled = 0
        self.closed_in: threading.Thread | None = None
        self.closed = threading.Event()
        self._items = items
        self._error = error
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        try:
            for item in range(self._items):
                with self._changed:
                    self.pulled += 1
                    self._changed.notify_all()
                yield item
            if self._error is not None:
                raise self._error
        finally:
            self.closed_in = threading.current_thread()
            self.closed.set()

    def wait_until_pulled(self, count: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.pulled >= count)


@pytest.mark.parametrize("buffer_size", [1, 2, 100])
@pytest.mark.parametrize("items", [0, 1, 2, 3, 57])
def test_items_come_in_order_and_the_thread_ends(items: int, buffer_size: int) -> None:
    assert list(prefetch(iter(range(items)), buffer_size=buffer_size)) == list(range(items))
    assert threads() == []


@pytest.mark.parametrize("buffer_size", [1, 2, 5])
def test_no_more_than_the_buffer_is_pulled_ahead(buffer_size: int) -> None:
    source = Watched(100)
    items = iter(prefetch(source, buffer_size=buffer_size))
    for taken in range(20):
        # The thread sleeps on its next token once these are pulled; without one it cannot pull.
        source.wait_until_pulled(taken + buffer_size)
        assert source.pulled == taken + buffer_size
        assert next(items) == taken


def test_the_source_runs_in_another_thread_from_iter_to_close() -> None:
    seen = []

    class Source:
        def __iter__(self) -> Iterator[int]:
            seen.append(threading.current_thread())
            return self.run()

        def run(self) -> Iterator[int]:
            try:
                seen.append(threading.current_thread())
                yield 1
                yield 2
            finally:
                seen.append(threading.current_thread())

    with prefetch(Source()) as items:
        assert next(iter(items)) == 1
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0] is not threading.current_thread()


def failing() -> Iterator[int]:
    yield 0
    yield 1
    raise LookupError("no third")


def test_the_exception_comes_after_the_items_before_it() -> None:
    items = iter(prefetch(failing(), buffer_size=10))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(LookupError, match="no third"):
        next(items)
    assert next(items, "end") == "end"
    assert threads() == []


def test_the_exception_is_the_original_with_its_traceback() -> None:
    error = LookupError("mine")
    error.__cause__ = OSError("below")

    def source() -> Iterator[int]:
        raise error
        yield

    with pytest.raises(LookupError) as caught:
        list(prefetch(source()))
    assert caught.value is error
    assert isinstance(error.__cause__, OSError)
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["__next__", "source"]
    assert "_work" not in names


def test_an_exception_keeps_no_circle_alive() -> None:
    class Big:
        pass

    def source(big: Big) -> Iterator[int]:
        raise LookupError(repr(big))
        yield

    big = Big()
    alive = weakref.ref(big)
    gc.disable()
    try:
        with pytest.raises(LookupError):
            next(iter(prefetch(source(big))))
        del big
        assert threads() == []
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_exceptions_of_every_kind_are_passed_on(error: BaseException) -> None:
    def source() -> Iterator[int]:
        raise error
        yield

    with pytest.raises(type(error)) as caught:
        list(prefetch(source()))
    assert caught.value is error


def test_an_iter_that_raises_is_passed_on() -> None:
    class Source:
        def __iter__(self) -> Iterator[int]:
            raise OSError("no such table")

    with pytest.raises(OSError, match="no such table"):
        next(iter(prefetch(Source())))


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


def test_a_list_starts_over_and_a_generator_does_not() -> None:
    items = prefetch([1, 2, 3])
    assert [list(items), list(items)] == [[1, 2, 3]] * 2
    assert len(items) == 3
    once = prefetch(iter([1, 2, 3]))
    assert [list(once), list(once)] == [[1, 2, 3], []]
    with pytest.raises(TypeError):
        len(once)


def test_two_loops_over_one_prefetch_are_independent() -> None:
    items = prefetch([1, 2, 3])
    assert [(a, b) for a in items for b in items] == [(a, b) for a in (1, 2, 3) for b in (1, 2, 3)]


def test_a_prefetch_of_a_prefetch() -> None:
    source = Watched(10**9)
    nested = prefetch(prefetch(source, buffer_size=3), buffer_size=2)
    for item in nested:
        if item == 10:
            break
    source.closed.wait()
    ended()
    assert source.pulled <= 10 + 1 + 2 + 3
    assert list(prefetch(prefetch(range(9)))) == list(range(9))
    with pytest.raises(LookupError, match="no third"):
        list(prefetch(prefetch(failing())))


@pytest.mark.parametrize(
    "make",
    [
        lambda: range(5),
        lambda: iter("01234"),
        lambda: {"a": 1},
        lambda: zip(range(3), "abc", strict=True),
        lambda: map(str, range(4)),
        lambda: np.arange(4),
    ],
)
def test_any_iterable_will_do(make: Callable[[], Any]) -> None:
    assert list(prefetch(make())) == list(make())


def test_old_style_sequences_will_do() -> None:
    class Sequence:
        def __getitem__(self, index: int) -> int:
            if index > 2:
                raise IndexError
            return index

    assert list(prefetch(Sequence())) == [0, 1, 2]  # type: ignore[call-overload]


def test_a_file_stays_open_when_the_loop_is_left() -> None:
    with open(__file__, encoding="utf-8") as file:
        with prefetch(file) as lines:
            next(iter(lines))
        assert not file.closed


def test_delivered_items_are_let_go() -> None:
    class Item:
        pass

    alive: list[weakref.ref[Item]] = []
    go = threading.Event()

    def source() -> Iterator[Item]:
        for _ in range(3):
            item = Item()
            alive.append(weakref.ref(item))
            yield item
            del item
        go.wait()

    items = iter(prefetch(source(), buffer_size=4))
    for expected in range(3):
        item = next(items)
        assert alive[expected]() is item
        del item
    # The thread is in the source for a fourth time: it has let go of the third item before.
    assert all(reference() is None for reference in alive[:2])
    go.set()
    assert next(items, None) is None
    assert alive[2]() is None


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


def test_several_threads_may_share_an_iterator() -> None:
    items = iter(prefetch(range(500)))
    taken: list[int] = []

    def take() -> None:
        taken.extend(items)

    takers = [threading.Thread(target=take) for _ in range(4)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert sorted(taken) == list(range(500))


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


@pytest.mark.parametrize("buffer_size", [0, -1, 1.5, "2", None, True])
def test_a_bad_buffer_size_is_refused(buffer_size: Any) -> None:
    with pytest.raises(ConfigError, match="buffer_size"):
        prefetch([], buffer_size=buffer_size)


def test_what_cannot_be_iterated_is_refused() -> None:
    with pytest.raises(ConfigError, match="iterable=5: pass a generator or another iterable"):
        prefetch(5)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError,
        match=r"iterable=<function failing.*: pass what .*prefetch\(failing\(\.\.\.\)\).*parallel\(failing\)",
    ):
        prefetch(failing)  # type: ignore[arg-type]


def test_stats_say_which_side_is_slow() -> None:
    items = prefetch(range(5))
    assert list(items) == [0, 1, 2, 3, 4]
    stats: PrefetchStats = items.stats()
    assert stats.items == items.metrics()["fastfeed_items_total"] == 5
    assert (stats.iterations, stats.waits.batches) == (1, 4)
    assert stats.wait_s > stats.first_waits_s == stats.first_batch_s > 0
    assert stats.source_s > 0
    slow_source = type(stats)(items=5, wait_s=9.0, consumer_s=1.0, source_s=10.0)
    assert slow_source.verdict == "source"
    assert "parallel" in slow_source.sentence
    slow_consumer = type(stats)(items=5, wait_s=0.1, consumer_s=9.9, source_s=1.0)
    assert slow_consumer.verdict == "consumer"
    assert "consumer" in slow_consumer.sentence
    slow_start = type(stats)(
        items=5, wait_s=9.0, first_waits_s=8.9, iterations=1, consumer_s=9.9, source_s=1.0, waits=stats.waits
    )
    assert "waited 0.10 s of 10.00 s (8.90 s more for the first item)" in slow_start.sentence


def test_stats_say_how_many_items_were_ready_when_the_loop_asked() -> None:
    items = iter(source := prefetch(range(5), buffer_size=3))
    for left in (3, 3, 2, 1):
        next(items)
        while items._run.ready.qsize() < left:
            pass
    assert list(items) == [4]
    assert source.stats().ready_share == 1
    assert source.stats().ready_slots == 9 / 4


def test_the_iterator_is_its_own_iterator() -> None:
    items = iter(prefetch(range(3)))
    assert isinstance(items, PrefetchIterator)
    assert iter(items) is items
    assert list(items) == [0, 1, 2]


def test_a_loop_for_any_feed_takes_a_prefetch_too() -> None:
    def gone_through(feed: Prefetch[int] | Feed) -> tuple[list[int], int, list[object], str]:
        with feed:
            return list(feed), len(feed), list(feed.errors), feed.stats().verdict

    prefetched = gone_through(prefetch([1, 2, 3]))
    assert prefetched[:3] == gone_through(fastfeed.map(abs, [1, 2, 3], num_workers=0))[:3] == ([1, 2, 3], 3, [])


# ---- items as they were, in the loop's own surroundings ----


def refilled() -> Iterator[Any]:
    """One array and one list, filled again for each item; all that is made before the loop asks is made at once."""
    array, names = np.zeros(3), []
    for item in range(6):
        array[:] = item
        names[:] = [str(item)]
        yield {"array": array, "both": (names, array[1:])}


def test_items_are_as_they_were_when_the_source_handed_them_over() -> None:
    source = prefetch(refilled(), buffer_size=6)
    items = iter(source)
    first = next(items)
    for thread in threads():
        thread.join()  # the source has filled its array for the last time
    for number, item in enumerate([first, *items]):
        assert item["array"].tolist() == [number] * 3
        assert item["both"][0] == [str(number)]
        assert item["both"][1].tolist() == [number] * 2


def test_the_batches_of_a_feed_are_not_copied() -> None:
    with fastfeed.arrays(np.arange(12).reshape(6, 2), batch_size=2, num_workers=1) as feed:
        assert [batch.flags.owndata for batch in prefetch(feed)] == [False] * 3


def test_the_source_runs_in_the_context_in_which_the_loop_began() -> None:
    setting = contextvars.ContextVar("setting", default="none")

    def source() -> Iterator[Any]:
        for _ in range(2):
            yield setting.get(), decimal.Decimal(1) / 3, np.geterr()["divide"]
            setting.set("changed by the source")

    items = prefetch(source())
    setting.set("the loop's")
    with decimal.localcontext() as context, np.errstate(divide="raise"):
        context.prec = 4
        seen = list(items)
    assert seen[0] == ("the loop's", decimal.Decimal("0.3333"), "raise")
    assert seen[1][0] == "changed by the source"
    assert setting.get() == "the loop's"


def test_the_source_runs_in_the_loops_gradient_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = threading.local()
    torch = types.SimpleNamespace(
        is_grad_enabled=lambda: getattr(mode, "on", True), set_grad_enabled=lambda on: setattr(mode, "on", on)
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    torch.set_grad_enabled(False)
    assert list(prefetch(torch.is_grad_enabled() for _ in range(2))) == [False, False]


# ---- interrupts, and feeds ----


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
