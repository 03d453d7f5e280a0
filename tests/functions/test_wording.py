"""What messages of map and parallel say: once each, with what to do, and nothing that has been done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from user_functions import each_squared, fail_at_7

import fastfeed as ff
from fastfeed.functions import stream_caller
from fastfeed.functions.stream_caller import RunCaller
from fastfeed.wire.arena import Arena

WORKERS = pytest.mark.parametrize("workers", [0, 1])


def ragged(number: int) -> np.ndarray:
    return np.zeros(3 + number)


@WORKERS
def test_items_that_are_not_alike_are_told_once(workers: int) -> None:
    with (
        ff.map(ragged, range(2), batch_size=2, num_workers=workers) as feed,
        pytest.raises(ff.WorkerError) as caught,
    ):
        list(feed)
    assert str(caught.value).startswith(
        "collating a batch, for ragged: collate: in this batch item 1 has shape (4,), it"
    )
    assert str(caught.value).endswith("or pass collate= a function of your own (items 0 to 1)")
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value, "__notes__")


@WORKERS
@pytest.mark.parametrize(("items", "what"), [(range(8), "(item 7)"), (range(7, 8), "(item 0: 7)")])
def test_an_item_is_named_by_what_it_is_where_that_says_more(workers: int, items: range, what: str) -> None:
    with ff.map(fail_at_7, items, num_workers=workers) as feed, pytest.raises(ff.WorkerError) as caught:
        list(feed)
    assert str(caught.value).endswith(what)


@WORKERS
def test_what_was_skipped_is_not_told_to_be_skipped(workers: int) -> None:
    with ff.map(fail_at_7, range(9), on_error="skip", num_workers=workers) as feed:
        assert len(list(feed)) == 8
        assert str(feed.errors[0]).endswith("fail_at_7 raised OwnError: code 7; mend or remove it")
    with ff.images([b"no image"] * 2, 8, on_error="replace", num_workers=workers) as feed:
        list(feed)
        assert str(feed.errors[1]).endswith("; mend or remove it")
    with (
        ff.images([b"no image"], 8, num_workers=workers) as feed,
        pytest.raises(ff.SampleError, match=r'or pass on_error="skip" or on_error="replace"$'),
    ):
        list(feed)


class Holder:
    @ff.parallel(num_workers=1)
    def numbers(self, count: int) -> Iterator[int]:
        yield from range(count)


def test_what_parallel_returns_is_to_be_called() -> None:
    fast = ff.parallel(each_squared, num_workers=1)
    with pytest.raises(
        TypeError, match=r"parallel\(each_squared\) is to be called as each_squared is, .* iterate each_s"
    ):
        iter(fast)
    assert fast.__name__ == "each_squared"
    assert fast.__wrapped__ is each_squared
    with Holder().numbers(3) as feed:
        assert list(feed) == [0, 1, 2]
    with ff.map(lambda items: list(fast(items)), [[1, 2], [3]], num_workers=1) as feed:
        assert list(feed) == [[1, 4], [9]]


def test_a_run_that_may_be_without_an_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_caller, "_MANY", 5)
    caller = RunCaller(each_squared, (([],), {}), [("args", 0)], 0)
    caller.arena = Arena(lambda size: memoryview(bytearray(size)), 0)
    unit: Any = 0, 3, [range(7)]
    with pytest.warns(RuntimeWarning, match=r"run 3 of each_squared has yielded 5 items and goes on; .*split_size out"):
        items, failed, _ = caller(unit, None)
    assert failed is None
    assert len(items) == 7
