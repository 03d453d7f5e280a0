"""map over real workers: order, chunks, back-pressure, functions of all kinds, random numbers, options."""

from __future__ import annotations

import functools
import itertools
import operator
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import probe
import pytest
from doors import Counted, results
from user_functions import Adder, draw, draws_late, square

import fastfeed as ff

# ---- order and chunks ----


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("chunk_size", [None, 1, 64])
@pytest.mark.parametrize("ordered", [True, False])
def test_results_are_those_of_the_builtin(workers: int, chunk_size: int | None, ordered: bool) -> None:
    numbers: list[int] = []
    with ff.map(square, numbers, num_workers=workers, chunk_size=chunk_size, ordered=ordered) as feed:
        for count in (0, 1, 63, 64, 500):
            numbers[:] = range(count)
            got = list(feed)
            assert (got if ordered else sorted(got)) == [square(number) for number in numbers]


@pytest.mark.parametrize("batch_size", [1, 7, 20])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_collated(workers: int, batch_size: int) -> None:
    def both(number: int) -> dict[str, object]:
        return {"x": np.full((2, 3), number, np.float32), "n": number, "name": str(number)}

    with ff.map(both, range(20), batch_size=batch_size, num_workers=workers) as feed:
        batches = list(feed)
        assert len(batches) == len(feed) == -(-20 // batch_size)
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in batches])[:, 1, 2], np.arange(20))
    assert batches[0]["x"].dtype == np.float32
    assert np.concatenate([batch["n"] for batch in batches]).tolist() == list(range(20))
    assert list(itertools.chain(*(batch["name"] for batch in batches))) == [str(number) for number in range(20)]


def test_a_collate_function_of_ones_own_is_called_in_the_worker() -> None:
    batches = results(square, range(5), batch_size=2, collate=lambda batch: (os.getpid(), batch))
    assert [batch for _, batch in batches] == [[0, 1], [4, 9], [16]]
    assert os.getpid() not in {pid for pid, _ in batches}


def test_a_feed_is_an_iterable_as_any_other() -> None:
    with (
        ff.arrays(np.arange(6), batch_size=2, num_workers=0) as batches,
        ff.map(np.sum, batches, num_workers=1) as feed,
    ):
        assert [int(total) for total in feed] == [1, 5, 9]


@pytest.mark.parametrize("workers", [0, 2])
def test_each_iteration_goes_through_the_iterable_again(workers: int) -> None:
    with ff.map(square, [1, 2, 3], num_workers=workers) as feed:
        assert len(feed) == 3
        assert list(feed) == list(feed) == [1, 4, 9]
        assert list(feed.repeat(2)) == [1, 4, 9] * 2
        assert list(itertools.islice(feed.repeat(), 7)) == [1, 4, 9, 1, 4, 9, 1]
        for result in feed:
            assert result == 1
            break
        assert list(feed) == [1, 4, 9]
    with ff.map(square, [], num_workers=workers) as feed:
        assert list(feed.repeat()) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterator_is_gone_through_once_and_the_second_time_refused(workers: int) -> None:
    with ff.map(square, (number for number in range(3)), num_workers=workers) as feed:
        with pytest.raises(TypeError, match=r"no len\(\)"):
            len(feed)
        assert list(feed) == [0, 1, 4]
        with pytest.raises(ff.ConfigError, match=r"this generator can be gone through only once.*pass a list"):
            list(feed)


def test_len_counts_results_or_batches() -> None:
    for options, length in (({}, 10), ({"chunk_size": 3}, 10), ({"batch_size": 3}, 4)):
        with ff.map(square, range(10), num_workers=0, **options) as feed:
            assert len(feed) == length


# ---- back-pressure ----


@pytest.mark.parametrize(("options", "unit"), [({"chunk_size": 3}, 3), ({"batch_size": 5}, 5), ({"chunk_size": 1}, 1)])
@pytest.mark.parametrize("prefetch", [1, 2, 4])
def test_no_more_is_pulled_of_an_endless_iterable_than_prefetch_says(
    options: dict[str, int], unit: int, prefetch: int
) -> None:
    numbers = Counted()
    with ff.map(square, numbers, num_workers=2, prefetch=prefetch, **options) as feed:
        got = 0
        for _ in itertools.islice(feed, 3 * unit + 1):
            got += unit if "batch_size" in options else 1
            assert numbers.pulled <= -(-got // unit) * unit + prefetch * unit


def test_what_is_done_is_not_kept_back_until_a_slow_source_has_filled_every_slot(tmp_path: Path) -> None:
    pulled = 0

    def touch(number: int) -> int:
        (tmp_path / str(number)).touch()
        return number

    def slow() -> Iterator[int]:
        nonlocal pulled
        for number in range(20):
            while number and not (tmp_path / str(number - 1)).exists():
                time.sleep(0.001)
            time.sleep(0.012)
            pulled += 1
            yield number

    with ff.map(touch, slow(), num_workers=2, prefetch=10, chunk_size=1) as feed:
        for number, result in enumerate(feed):
            assert result == number
            assert pulled < number + 6


def test_automatic_chunks_grow_for_quick_functions_and_not_for_slow_or_large_ones() -> None:
    with ff.map(square, itertools.count(), num_workers=1) as feed:
        for _ in itertools.islice(feed, 20_000):
            pass
        assert probe.chunk_size(feed) > 50

    def slow(number: int) -> int:
        end = time.perf_counter() + 0.004
        while time.perf_counter() < end:
            pass
        return number

    large = np.zeros(1 << 19)
    for function, iterable in (
        (slow, itertools.count()),
        (lambda number: large, itertools.count()),
        (lambda array: array.size, itertools.repeat(large)),
        (square, (slow(number) for number in itertools.count())),
    ):
        with ff.map(function, iterable, num_workers=1, prefetch=2) as feed:
            for _ in itertools.islice(feed, 20):
                pass
            assert probe.chunk_size(feed) == 1


# ---- functions of all kinds ----


CALLABLES: dict[str, tuple[Callable[[int], object], list[object]]] = {
    "lambda": (lambda number: number + 1, [2, 3]),
    "partial": (functools.partial(pow, 2), [2, 4]),
    "partial of an operator": (functools.partial(operator.mul, 3), [3, 6]),
    "object": (Adder(5), [6, 7]),
    "method": (Adder(5).method, [-4, -3]),
    "class method": (Adder.of_class, ["Adder 1", "Adder 2"]),
    "static method": (Adder.static, [-1, -2]),
    "class": (str, ["1", "2"]),
    "bounded cache": (functools.lru_cache(maxsize=3)(lambda number: number + 4), [5, 6]),
    "cache": (functools.cache(square), [1, 4]),
    "range": (range, [range(1), range(2)]),
}


@pytest.mark.parametrize(("function", "expected"), CALLABLES.values(), ids=CALLABLES)
def test_any_callable_will_do(function: Callable[[int], object], expected: list[object]) -> None:
    assert results(function, [1, 2], num_workers=1) == expected


# ---- random numbers ----


def test_random_numbers_are_the_same_for_any_chunks_and_workers_and_differ_between_items() -> None:
    expected = results(draw, range(40), num_workers=0)
    assert len({number for pair in expected for number in pair}) == 80
    for workers, chunk_size in ((1, 1), (2, 7), (3, None), (0, 5)):
        assert results(draw, range(40), num_workers=workers, chunk_size=chunk_size) == expected
    assert results(draw, range(40), seed=1) != expected
    assert results(draw, range(3), seed=None) != results(draw, range(3), seed=None)


def test_epochs_draw_anew_and_set_epoch_repeats_one() -> None:
    with ff.map(draw, range(5), num_workers=2) as feed:
        first, second = list(feed), list(feed)
        assert first != second
        feed.set_epoch(0)
        assert list(feed) == first
        feed.set_epoch(0)
        assert list(feed.repeat(2)) == first + second


def test_the_consumers_own_random_numbers_are_not_disturbed() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = [(random.random(), np.random.rand()) for _ in range(5)]
    random.seed(3)
    np.random.seed(3)
    with ff.map(draw, range(5), num_workers=0) as feed:
        assert [(random.random(), np.random.rand()) for _ in feed] == expected


def test_sets_of_strings_have_one_order_in_all_workers() -> None:
    def order(number: int) -> tuple[int, list[str]]:
        return os.getpid(), list({f"name {k}" for k in range(30)})

    seen: dict[int, list[str]] = {}
    for _ in range(3):
        seen.update(results(order, range(60), chunk_size=1))
    assert len(seen) >= 3
    assert len({tuple(names) for names in seen.values()}) == 1


@pytest.mark.parametrize("chunk_size", [1, 2, 5])
def test_a_module_of_random_numbers_that_is_loaded_late_is_seeded_too(chunk_size: int) -> None:
    once = results(draws_late, range(5), num_workers=0)
    for workers in (1, 2):
        assert results(draws_late, range(5), num_workers=workers, chunk_size=chunk_size) == once


# ---- options ----


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((3, [1]), {}, "fn=3: pass a function, which is called with each item"),
        ((len, 3), {}, "iterable=3: pass a list, a generator or another iterable"),
        ((len, []), {"batch_size": 0}, "batch_size=0"),
        ((len, []), {"chunk_size": 1.5}, "chunk_size=1.5"),
        (
            (len, []),
            {"chunk_size": 2, "batch_size": 2},
            "batch_size=2, chunk_size=2: pass one of the two: a batch is a chunk",
        ),
        ((len, []), {"collate": list}, "collate=.*pass batch_size with it"),
        ((len, []), {"collate": 3, "batch_size": 2}, "collate=3: pass a callable"),
        ((len, []), {"collate": ff.pad, "batch_size": 2}, r"collate=<function pad.*: pass fastfeed.pad\(\.\.\.\)"),
        ((len, []), {"collate": 3, "batch_size": 1}, "collate=3"),
        ((len, []), {"on_error": "ignore"}, "on_error='ignore'"),
        ((len, []), {"seed": -1}, "seed=-1"),
        ((len, []), {"num_workers": -1}, "num_workers=-1"),
        ((len, []), {"prefetch": 0}, "prefetch=0"),
        ((len, []), {"timeout": -1}, "timeout=-1"),
    ],
)
def test_an_option_that_cannot_work_is_named(args: tuple, options: dict[str, object], message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        ff.map(*args, **options)


def test_a_data_frame_is_not_mapped_column_by_column() -> None:
    class Frame(list[str]):
        columns = ("path", "label")

        def iterrows(self) -> None: ...

    with pytest.raises(ff.ConfigError, match=r"iterable=.*: pass its rows, or list\(iterable\) for what a Frame"):
        ff.map(len, Frame(["path", "label"]))


def test_a_feed_over_what_has_no_length_or_index_has_no_state() -> None:
    for iterable in (iter([1]), {"a": 1}, {1}):
        with ff.map(len, iterable, num_workers=0) as feed:
            with pytest.raises(ff.ConfigError, match=r"images.*arrays.*map\(\) over a sequence"):
                feed.state_dict()
            with pytest.raises(ff.ConfigError, match=r"images.*arrays.*map\(\) over a sequence"):
                feed.load_state_dict({})
