"""What a map does with functions and iterables that raise, workers that die, and values that cannot travel."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import probe
import psutil
import pytest
from doors import Counted, results
from user_functions import OwnError, abort, exit_with_7, fail_at_7, kill_self, square
from user_values import Cancelled, Picky, Unloadable

import fastfeed as ff

# ---- errors ----


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


def test_an_exception_that_takes_no_notes_is_told_all_the_same() -> None:
    class Stubborn(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError("frozen")

        add_note = None

    def raising(item: int) -> None:
        raise Stubborn(item)

    with pytest.raises(ff.WorkerError, match=r"raising raised RuntimeError: Stubborn: 0 \(item 0\)"):
        results(raising, range(3))


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
            with pytest.raises(ff.WorkerError, match=r"fail_at_7 raised OwnError: code 7 \(item 7\)") as caught:
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
    with pytest.raises(ff.WorkerError, match=r"SystemExit: enough \(item 2\)"):
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
            with pytest.raises(ff.WorkerError, match=r"lock.*lock cannot be sent between processes.*item 2\)"):
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


@pytest.mark.parametrize(
    ("end", "word", "chunk_size"), [(kill_self, "SIGKILL", 5), (exit_with_7, "code 7", 1), (abort, "SIGABRT", 5)]
)
def test_an_item_that_ends_its_worker_twice_is_named(end: Callable[[int], None], word: str, chunk_size: int) -> None:
    def poisoned(number: int) -> int:
        if number == 8:
            end(number)
        return number

    options = {"num_workers": 2, "chunk_size": chunk_size}
    seen: list[int] = []
    with ff.map(poisoned, range(12), **options) as feed:
        with pytest.raises(ff.WorkerDied, match=rf"item 8 has cost two workers of .*poisoned; .*{word}") as caught:
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
        pytest.raises(ff.WorkerDied, match=r"item 3 has cost two workers of .*hang.*took longer than timeout"),
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
