"""map over real workers: order, errors, poison, values of any kind, back-pressure, random numbers, children."""

from __future__ import annotations

import asyncio
import copy
import ctypes
import dataclasses
import functools
import gc
import itertools
import multiprocessing
import operator
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import probe
import psutil
import pytest
from user_functions import OwnError, draw, draws_late, fail_at_7, square

import fastfeed as ff
from fastfeed.collate.collate import collate


def results(*args, **options) -> list[object]:
    with ff.map(*args, **{"num_workers": 2, **options}) as feed:
        return list(feed)


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
        with pytest.raises(ff.ConfigError, match=r"generator can be gone through only once.*pass map"):
            list(feed)


def test_len_counts_results_or_batches() -> None:
    for options, length in (({}, 10), ({"chunk_size": 3}, 10), ({"batch_size": 3}, 4)):
        with ff.map(square, range(10), num_workers=0, **options) as feed:
            assert len(feed) == length


# ---- back-pressure ----


class Counted:
    """Whole numbers for ever, counted as they are pulled."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.pulled = 0
        self.fail_at = fail_at

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count():
            if number == self.fail_at:
                raise OSError(5, "the iterable's own")
            self.pulled += 1
            yield number


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


@pytest.mark.parametrize("chunk_size", [1, 2, 5])
def test_a_module_of_random_numbers_that_is_loaded_late_is_seeded_too(chunk_size: int) -> None:
    once = results(draws_late, range(5), num_workers=0)
    for workers in (1, 2):
        assert results(draws_late, range(5), num_workers=workers, chunk_size=chunk_size) == once


def test_a_failure_keeps_nothing_of_the_function_alive() -> None:
    def fails(item: int) -> None:
        block = np.ones(30_000_000, np.uint8)
        raise OwnError(int(block[item]))

    with ff.map(fails, range(30), num_workers=1, chunk_size=3, on_error="skip") as feed:
        assert list(feed) == []
        (worker,) = psutil.Process().children()
        peak = Path(f"/proc/{worker.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    assert len(feed.errors) == 30
    assert int(peak) * 1024 < 200_000_000


def test_a_named_tuple_of_a_class_that_cannot_be_imported_travels() -> None:
    class Local(NamedTuple):
        x: int
        y: str = "y"

    assert results(lambda item: Local(item.x + 1), [Local(1), Local(2)]) == [Local(2), Local(3)]


def test_an_exception_that_takes_no_notes_is_told_all_the_same() -> None:
    class Stubborn(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError("frozen")

        add_note = None

    def raising(item: int) -> None:
        raise Stubborn(item)

    with pytest.raises(ff.WorkerError, match=r"raising raised RuntimeError: Stubborn: 0 \(item 0, 0\)"):
        results(raising, range(3))


class Point(NamedTuple):
    x: int
    y: object = None


@dataclasses.dataclass
class Reused:
    pixels: object
    number: int


def reusing() -> dict[str, Callable[[int], object]]:
    """Functions that fill what they have returned before."""
    array, small, ints, box = np.zeros((30, 40)), np.zeros(3), [0], {"in": {"image": np.zeros(400)}}
    record, scratch, text = Reused(np.zeros(300), 0), np.zeros((50, 60)), np.array(["", ""], "U9")

    def fill(target: np.ndarray, item: int) -> np.ndarray:
        target[:] = item
        return target

    def listed(item: int) -> list[int]:
        ints[0] = item
        return ints

    def nested(item: int) -> dict[str, object]:
        fill(box["in"]["image"], item)
        return box

    def recorded(item: int) -> Reused:
        fill(record.pixels, item)
        record.number = item
        return record

    return {
        "array": lambda item: fill(array, item),
        "small array": lambda item: fill(small, item),
        "turned": lambda item: fill(array, item).T,
        "tuple": lambda item: (item, fill(array, item), "text"),
        "named tuple": lambda item: Point(item, fill(small, item)),
        "list": listed,
        "nested": nested,
        "dataclass": recorded,
        "windows": lambda item: fill(scratch, item)[item % 9 : item % 9 + 30, 5:40],
        "text": lambda item: fill(text, f"{item}"),
        "after None": lambda item: None if item % 4 == 0 else fill(array, item),
    }


def plain(value: object) -> object:
    """The same with lists in place of arrays."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [plain(member) for member in value]
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    return plain(vars(value)) if isinstance(value, Reused) else value


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", reusing())
def test_a_function_may_fill_what_it_has_returned_before(kind: str, workers: int) -> None:
    expected = [plain(reusing()[kind](item)) for item in range(11)]
    for options in ({}, {"chunk_size": 1}, {"chunk_size": 4}):
        assert plain(results(reusing()[kind], range(11), num_workers=workers, **options)) == expected
    if kind == "after None":
        return
    collated = [collate([copy.deepcopy(function(item)) for item in part]) for function, part in parts(kind)]
    batches = results(reusing()[kind], range(11), num_workers=workers, batch_size=4)
    assert [plain(batch) for batch in batches] == [plain(batch) for batch in collated]


def parts(kind: str) -> list[tuple[Callable[[int], object], range]]:
    function = reusing()[kind]
    return [(function, range(start, min(start + 4, 11))) for start in (0, 4, 8)]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_may_fill_what_it_has_yielded_before(workers: int) -> None:
    def frames() -> Iterator[tuple[int, np.ndarray]]:
        frame = np.zeros(5)
        for number in range(200):
            frame[:] = number
            yield number, frame

    for options in ({}, {"chunk_size": 7}, {"batch_size": 7, "collate": list}):
        with ff.map(lambda pair: (pair[0], float(pair[1].sum())), frames(), num_workers=workers, **options) as feed:
            got = list(feed)
        if "batch_size" in options:
            got = [pair for batch in got for pair in batch]
        assert got == [(number, 5.0 * number) for number in range(200)]


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


# ---- errors ----


class Cancelled(BaseException):
    pass


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("raised", [asyncio.CancelledError, Cancelled, GeneratorExit, SystemExit])
def test_what_is_no_exception_in_name_is_the_failure_of_its_item(raised: type[BaseException], workers: int) -> None:
    def some(number: int) -> int:
        if number == 2:
            raise raised("two")
        return number

    def walk(numbers: list[int]) -> Iterator[int]:
        yield from map(some, numbers)

    with ff.map(some, range(5), on_error="skip", num_workers=workers, chunk_size=5) as feed:
        assert list(feed) == [0, 1, 3, 4]
        assert [(error.index, type(error)) for error in feed.errors] == [(2, ff.SampleError)]
        assert f"some raised {raised.__name__}: two" in feed.errors[0].reason
    for feed in (
        ff.map(some, range(5), num_workers=workers, chunk_size=5),
        ff.parallel(walk, num_workers=workers)(list(range(5))),
        ff.parallel(walk, split="numbers", split_size=5, num_workers=workers)(list(range(5))),
    ):
        got = []
        with feed, pytest.raises(ff.WorkerError, match=rf"raised {raised.__name__}: two") as caught:
            got.extend(feed)
        assert got == [0, 1]
        assert isinstance(caught.value.__cause__, raised)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("chunk_size", [1, 4, 64])
def test_an_exception_comes_after_the_results_before_it_with_item_and_remote_traceback(
    workers: int, chunk_size: int
) -> None:
    with ff.map(fail_at_7, range(20), num_workers=workers, chunk_size=chunk_size) as feed:
        for _ in range(2):
            seen = []
            with pytest.raises(ff.WorkerError, match=r"fail_at_7 raised OwnError: code 7 \(item 7, 7\)") as caught:
                seen.extend(feed)
            assert seen == list(range(7))
            assert isinstance(caught.value.__cause__, OwnError)
            assert caught.value.__cause__.code == 7
            assert "in fail_at_7" in caught.value.__cause__.__notes__[0]
            assert [error.index for error in feed.errors] == [7]


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_batch_zeros_stand_for_a_failure(workers: int) -> None:
    def sample(item: int) -> tuple[object, ...]:
        if item in (1, 4, 5):
            raise OwnError(item)
        return np.full((20, 30), item, np.float32), item, float(item), f"name {item}", {"ids": [item] * 3}

    options = {"batch_size": 2, "on_error": "replace", "num_workers": workers}
    with ff.map(sample, range(8), **options) as feed:
        batches = [(images[:, 3, 4].tolist(), *rest) for images, *rest in feed]
        assert [error.index for error in feed.errors] == [1, 4, 5]
    expected = [([0, 0], "name 0", None), ([2, 3], "name 2", "name 3"), ([6, 7], "name 6", "name 7")]
    for (pixels, numbers, floats, names, ids), (values, *texts) in zip(batches, expected, strict=True):
        assert (pixels, numbers.tolist(), floats.tolist(), names) == (values, values, values, texts)
        assert (numbers.dtype, floats.dtype) == (np.int64, np.float64)
        assert ids == {
            "ids": [None if text is None else [value] * 3 for text, value in zip(texts, values, strict=True)]
        }
    with ff.map(sample, range(2), collate=ff.pad(4), **options) as feed:
        ((_, _, _, _, ids),) = feed
        assert ids["ids"].tolist() == [[0] * 4] * 2
    with ff.map(lambda item: [item // item] * item, range(3), collate=ff.pad(3, value=-1), **options) as feed:
        assert [batch.tolist() for batch in feed] == [[[-1, -1, -1], [1, -1, -1]], [[1, 1, -1]]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("options", "of"), [({"chunk_size": 4}, list), ({"batch_size": 4}, itertools.chain)])
def test_failures_are_skipped_or_replaced(workers: int, options: dict[str, int], of: object) -> None:
    def flat(got: list[object]) -> list[object]:
        return got if of is list else [item for batch in got for item in batch]

    def some(number: int) -> int:
        if number % 5 == 2:
            raise ValueError(number)
        return number

    with ff.map(some, range(12), on_error="skip", num_workers=workers, **options) as feed:
        assert flat(list(feed)) == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]
        assert [error.index for error in feed.errors] == [2, 7]
        assert "some raised ValueError: 7" in feed.errors[1].reason
        assert feed.stats().samples == 10
        assert feed.stats().failed == 2
    if of is list:
        with ff.map(some, range(12), on_error="replace", num_workers=workers, **options) as feed:
            assert list(feed) == [None if number % 5 == 2 else number for number in range(12)]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exit_of_the_function_is_an_error_of_its_item(workers: int) -> None:
    def leave(number: int) -> int:
        if number == 2:
            sys.exit("enough")
        return number

    assert results(leave, range(4), on_error="skip", num_workers=workers) == [0, 1, 3]
    with pytest.raises(ff.WorkerError, match=r"SystemExit: enough \(item 2, 2\)"):
        results(leave, range(4), num_workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("chunk_size", [1, 4, None])
def test_the_iterables_own_exception_comes_unchanged_after_all_results(workers: int, chunk_size: int | None) -> None:
    numbers = Counted(fail_at=11)
    seen = []
    with ff.map(square, numbers, num_workers=workers, chunk_size=chunk_size) as feed:
        with pytest.raises(OSError, match="the iterable's own") as caught:
            seen.extend(feed)
        assert type(caught.value) is OSError
        assert caught.value.__cause__ is None
    if workers:
        assert seen == [square(number) for number in range(11)]


def test_a_collate_function_that_raises_names_the_batch() -> None:
    def odd(batch: list[int]) -> object:
        raise RuntimeError("no")

    with pytest.raises(ff.WorkerError, match=r"collating a batch, for square, raised RuntimeError: no \(items 0 to 1"):
        results(square, range(4), batch_size=2, collate=odd)


class Picky(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Unloadable:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return int, ("no number",)


def test_what_cannot_be_loaded_here_is_told_and_the_feed_lives_on() -> None:
    def awkward(number: int) -> object:
        if number == 1:
            raise Picky(1, 2)
        return Unloadable() if number == 3 else number

    with ff.map(awkward, [0, 1], num_workers=1) as feed, pytest.raises(ff.WorkerError, match="Picky: 1 and 2"):
        list(feed)
    for chunk_size in (1, 2):
        with ff.map(awkward, [2, 0, 3, 4], num_workers=1, chunk_size=chunk_size) as feed:
            for _ in range(2):
                seen = []
                with pytest.raises(ff.WorkerError, match=r"awkward returned for item.*cannot be loaded.*ValueError"):
                    seen.extend(feed)
                assert seen == [2, 0]


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_items_and_results_that_cannot_be_pickled_are_named(chunk_size: int) -> None:
    def lock(number: int) -> object:
        return threading.Lock() if number == 2 else number

    seen: list[object] = []
    with ff.map(square, [3, 4, threading.Lock(), 5], num_workers=1, chunk_size=chunk_size) as feed:
        with pytest.raises(ff.ConfigError, match=r"item 2 for square \(lock\) cannot be sent.*cannot pickle"):
            seen.extend(feed)
        assert seen == ([9, 16] if chunk_size == 1 else [])
    with ff.map(lock, range(4), num_workers=1, chunk_size=chunk_size) as feed:
        for _ in range(2):
            seen = []
            with pytest.raises(ff.WorkerError, match=r"lock.*lock cannot be sent between processes.*item 2, 2"):
                seen.extend(feed)
            assert seen == [0, 1]
    assert results(lock, range(4), num_workers=1, chunk_size=chunk_size, on_error="skip") == [0, 1, 3]
    assert results(lock, range(4), num_workers=1, chunk_size=chunk_size, on_error="replace") == [0, 1, None, 3]


def test_a_function_that_cannot_be_sent_is_named_and_works_in_this_process(tmp_path: Path) -> None:
    lock = threading.Lock()

    def holding(number: int) -> int:
        with lock:
            return number

    with ff.map(holding, [1], num_workers=1) as feed:
        for _ in range(2):
            with pytest.raises(ff.ConfigError, match=r"holding cannot be sent to the workers.*lock"):
                list(feed)
    assert results(holding, [1], num_workers=0) == [1]


def test_a_function_that_cannot_be_loaded_in_a_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fleeting.py").write_text("def function(item): return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import fleeting

    with ff.map(fleeting.function, [1], num_workers=1) as feed:
        (tmp_path / "fleeting.py").unlink()
        with pytest.raises(ff.WorkerError, match=r"loading the function in a worker.*No module named 'fleeting'"):
            list(feed)


# ---- deaths ----


def kill(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(number: int) -> None:
    os._exit(7)


def crash(number: int) -> None:
    ctypes.CDLL(None).abort()


@pytest.mark.parametrize(
    ("end", "word", "chunk_size"), [(kill, "SIGKILL", 5), (leave, "code 7", 1), (crash, "SIGABRT", 5)]
)
def test_an_item_that_ends_its_worker_twice_is_named(end: Callable[[int], None], word: str, chunk_size: int) -> None:
    def poisoned(number: int) -> int:
        if number == 8:
            end(number)
        return number

    options = {"num_workers": 2, "chunk_size": chunk_size}
    seen: list[int] = []
    with ff.map(poisoned, range(12), **options) as feed:
        with pytest.raises(ff.WorkerDied, match=rf"item 8, 8, of .*poisoned has cost two workers.*{word}") as caught:
            seen.extend(feed)
        assert caught.value.sample == "item 8"
        assert caught.value.signal == {"SIGKILL": signal.SIGKILL, "SIGABRT": signal.SIGABRT}.get(word)
    assert seen == list(range(8))
    with ff.map(poisoned, range(12), on_error="skip", **options) as feed:
        assert list(feed) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
        assert [error.index for error in feed.errors] == [8]
        assert word in feed.errors[0].reason
        assert feed.stats().samples == 11
    with ff.map(poisoned, range(12), on_error="replace", **options) as feed:
        assert list(feed) == [*range(8), None, 9, 10, 11]


def test_a_batch_is_made_without_the_items_that_end_workers() -> None:
    def poisoned(number: int) -> int:
        if number in (1, 2):
            os._exit(3)
        return number

    with ff.map(poisoned, range(6), batch_size=3, on_error="skip", num_workers=1) as feed:
        assert [batch.tolist() for batch in feed] == [[0], [3, 4, 5]]
        assert [error.index for error in feed.errors] == [1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_takes_too_long_is_ended_and_named(workers: int) -> None:
    def hang(number: int) -> int:
        if number == 3:
            threading.Event().wait()
        return number

    with ff.map(hang, range(6), chunk_size=3, timeout=0.4, on_error="skip", num_workers=workers) as feed:
        assert list(feed) == [0, 1, 2, 4, 5]
        assert "timeout=0.4" in feed.errors[0].reason
    with (
        ff.map(hang, range(6), chunk_size=3, timeout=0.4, num_workers=workers) as feed,
        pytest.raises(ff.WorkerDied, match=r"item 3, 3, of .*hang.*took longer than timeout"),
    ):
        list(feed)


def test_workers_that_are_killed_from_outside_cost_nothing() -> None:
    expected = [square(number) for number in range(400)]
    for ordered in (True, False):
        with ff.map(square, range(400), chunk_size=4, num_workers=2, ordered=ordered) as feed:
            got = []
            for result in feed:
                got.append(result)
                if len(got) in (5, 100, 300):
                    probe.kill(feed)
            assert sorted(got) == expected
            assert not ordered or got == expected
            assert feed.errors == []


# ---- values ----


@dataclasses.dataclass
class Record:
    name: str
    values: np.ndarray


def test_arrays_are_writable_views_of_shared_memory_that_outlive_everything() -> None:
    def make(number: int) -> dict[str, object]:
        return {
            "a": np.full((200, 300), number),
            "deep": [Record(str(number), np.asfortranarray(np.eye(200) * number))],
        }

    kept = []
    for _ in range(2):
        feed = ff.map(make, range(6), num_workers=2, chunk_size=1, prefetch=8)
        for number, value in enumerate(feed):
            array = value["a"]
            assert not array.flags.owndata
            assert array.flags.writeable
            root = array
            while isinstance(root, np.ndarray):
                root = root.base
            assert isinstance(root, memoryview)
            array += 1
            if number % 2:
                kept.append((number, array[::7], value["deep"][0].values.T))
        feed.close()
        del feed, value, array, root
    gc.collect()
    for number, rows, diagonal in kept:
        assert (rows == number + 1).all()
        assert (diagonal == np.eye(200) * number).all()


def test_a_list_of_all_results_is_right_although_the_ring_is_small() -> None:
    with ff.map(lambda number: np.full(5000, number), range(30), num_workers=2, prefetch=2, chunk_size=1) as feed:
        arrays = list(feed)
        assert feed.stats().copies > 0
    for number, array in enumerate(arrays):
        assert (array == number).all()


def test_shapes_and_types_may_change_from_item_to_item() -> None:
    def make(number: int) -> object:
        return (
            np.arange(number * 1000.0).reshape(number, -1)[:, ::3] if number % 4 == 3 else np.zeros((0, number)),
            number % 2 and "text" * number,
            {number: None},
        )

    for chunk_size in (1, 4):
        got = results(make, [3, 7, 1, 2, 15, 0], chunk_size=chunk_size)
        for number, value in zip([3, 7, 1, 2, 15, 0], got, strict=True):
            expected = make(number)
            np.testing.assert_array_equal(value[0], expected[0])
            assert value[1:] == expected[1:]


def test_memory_comes_back_after_large_values() -> None:
    sizes = [10, 300, 20, 30_000_000, 5_000_000, *[10] * 40]
    with ff.map(lambda size: np.zeros(size, np.uint8), sizes, num_workers=2, prefetch=4, chunk_size=1) as feed:
        most = 0
        for size, array in zip(sizes, feed, strict=True):
            assert array.size == size
            most = max(most, probe.ring_bytes(feed))
            del array
        assert most > 30_000_000
        assert probe.ring_bytes(feed) < 5_000_000
    for value in (b"x", "x"):
        with ff.map(
            functools.partial(operator.mul, value), [30_000_000, *[1] * 20], num_workers=1, prefetch=2, chunk_size=1
        ) as feed:
            for _ in feed:
                pass
            assert probe.ring_bytes(feed) < 5_000_000


@pytest.mark.stress
def test_a_value_of_two_gigabytes_travels_and_300_megabytes_come_back() -> None:
    with ff.map(lambda size: np.ones(size, np.uint8), [2 << 30], num_workers=1, prefetch=1) as feed:
        (array,) = feed
        assert array.size == 2 << 30
        assert array[0] == array[-1] == array[1 << 30] == 1
        del array
    sizes = [8 * 6**power for power in range(10)] + [300_000_000] + [8] * 20
    with ff.map(bytes, sizes, num_workers=2, prefetch=3, chunk_size=1) as feed:
        assert [len(value) for value in feed] == sizes
        assert probe.ring_bytes(feed) < 20_000_000


@pytest.mark.pages
def test_memory_stays_flat_over_many_results_of_changing_shape() -> None:
    def make(number: int) -> np.ndarray:
        return np.zeros(1 + number * 7919 % 30_000)

    with ff.map(make, range(3000), num_workers=2, prefetch=4, chunk_size=1) as feed:
        process = psutil.Process()
        stream = iter(feed)
        for _ in itertools.islice(stream, 500):
            pass
        before, ring = process.memory_info().rss, probe.ring_bytes(feed)
        for _ in stream:
            pass
        assert process.memory_info().rss - before < 4_000_000
        assert probe.ring_bytes(feed) <= 2 * ring


# ---- functions of all kinds ----


class Adder:
    def __init__(self, offset: int) -> None:
        self.offset = offset

    def __call__(self, number: int) -> int:
        return number + self.offset

    def method(self, number: int) -> int:
        return number - self.offset

    @classmethod
    def of_class(cls, number: int) -> str:
        return f"{cls.__name__} {number}"

    @staticmethod
    def static(number: int) -> int:
        return -number


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda number: number + 1, [2, 3]),
        (functools.partial(pow, 2), [2, 4]),
        (functools.partial(operator.mul, 3), [3, 6]),
        (Adder(5), [6, 7]),
        (Adder(5).method, [-4, -3]),
        (Adder.of_class, ["Adder 1", "Adder 2"]),
        (Adder.static, [-1, -2]),
        (str, ["1", "2"]),
        (functools.lru_cache(maxsize=3)(lambda number: number + 4), [5, 6]),
        (functools.cache(square), [1, 4]),
        (range, [range(1), range(2)]),
    ],
    ids=str,
)
def test_any_callable_will_do(function: Callable[[int], object], expected: list[object]) -> None:
    assert results(function, [1, 2], num_workers=1) == expected


SCRIPT = """
import collections, dataclasses, enum, random, sys
import numpy as np
import fastfeed as ff
from fastfeed.collate.collate import collate
import neighbour

OFFSET = 10
Pair = collections.namedtuple("Pair", "a b")

@dataclasses.dataclass
class Point:
    x: int
    y: np.ndarray

class Colour(enum.Enum):
    RED = 1

calls = 0

class Tool:
    def use(self):
        global calls
        calls += 1

def with_tools(number):
    assert ff.__name__ == "fastfeed"
    return Tool()

with ff.map(with_tools, range(3), num_workers=1) as values:
    for tool in values:
        tool.use()
assert calls == 3, "the class came back as another one"

def function(number):
    print("working on", number)
    return Point(number + OFFSET, np.arange(3)), Pair(1, neighbour.triple(number)), Colour.RED

@ff.parallel(split="numbers", split_size=2, num_workers=2)
def stream(numbers):
    for number in numbers:
        yield function(number)

for values in (ff.map(function, range(5), num_workers=2), stream(list(range(5)))):
    with values:
        for number, (point, pair, colour) in enumerate(values):
            assert type(point) is Point and point.x == number + 10 and point.y.tolist() == [0, 1, 2]
            assert type(pair) is Pair and pair == (1, 3 * number)
            assert colour is Colour.RED
        assert number == 4
print("done")
"""


def run_script(tmp_path: Path, script: str, **options: object) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "neighbour.py").write_text("def triple(number): return 3 * number\n")
    root = str(Path(ff.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": ""}  # which would cut lines into pieces
    return subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        timeout=60,
        **options,
    )


def test_functions_and_classes_of_a_script_travel_and_what_workers_print_is_seen(tmp_path: Path) -> None:
    done = run_script(tmp_path, SCRIPT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(lines[:-1]) == sorted([f"working on {number}" for number in range(5)] * 2)
    assert lines[-1] == "done"


def test_a_module_of_the_users_hides_one_of_pythons_in_workers_too(tmp_path: Path) -> None:
    (tmp_path / "this.py").write_text("def who(number): return 'mine', number\n")
    script = "import fastfeed as ff, this\nwith ff.map(this.who, [1], num_workers=1) as feed: print(*feed)"
    done = run_script(tmp_path, script)
    assert done.stdout == "('mine', 1)\n", done.stderr


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


# ---- children of workers ----


def with_pool(number: int) -> int:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(square, range(number)))


def test_a_function_may_use_a_pool_of_its_own() -> None:
    assert results(with_pool, [3, 4], chunk_size=1) == [5, 14]


def test_children_of_workers_end_with_them() -> None:
    def child(number: int) -> int:
        process = multiprocessing.get_context("fork").Process(target=threading.Event().wait, daemon=True)
        process.start()
        return process.pid

    def gone(pids: list[int]) -> bool:
        alive = []
        for pid in pids:
            try:
                alive.append(psutil.Process(pid))
            except psutil.NoSuchProcess:
                continue
        return not psutil.wait_procs([p for p in alive if p.status() != psutil.STATUS_ZOMBIE], timeout=10)[1]

    with ff.map(child, range(2), num_workers=1, chunk_size=1) as feed:
        children = list(feed)
        assert all(map(psutil.pid_exists, children))
        probe.kill(feed)
        children += list(feed)
        assert gone(children[:2])
    assert gone(children)

    script = (
        "import multiprocessing, os, threading, fastfeed as ff\n"
        "def child(number):\n"
        "    process = multiprocessing.get_context('fork').Process(target=threading.Event().wait)\n"
        "    process.start()\n"
        "    return process.pid\n"
        "feed = ff.map(child, range(2), num_workers=2, chunk_size=1)\n"
        "print(*feed, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    children = [int(word) for word in done.stdout.split()]
    assert len(children) == 2
    assert gone(children)


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
