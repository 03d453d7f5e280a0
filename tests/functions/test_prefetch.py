"""prefetch: the thread that reads ahead, its bounds, what it hands over and the errors of its source."""

from __future__ import annotations

import contextvars
import decimal
import gc
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from watched import Watched, ended, failing, threads

import fastfeed
from fastfeed import Feed, Prefetch, PrefetchStats
from fastfeed.errors import ConfigError
from fastfeed.functions.prefetch import PrefetchIterator, prefetch

pytestmark = pytest.mark.usefixtures("quiet_and_no_thread_left")


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
