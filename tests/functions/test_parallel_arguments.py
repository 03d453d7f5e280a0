"""Arguments and functions of parallel: how they travel, and how an argument is cut."""

from __future__ import annotations

import functools
import itertools
import os
import platform
from collections import UserDict, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from doors import lists, serial, wrapped
from user_decorated import Loader, decorated_batches, decorator_with_options, plain_decorator
from user_functions import arrays_of_100_kb, batches, each_squared, signature_of_all_kinds

import fastfeed as ff

# ---- arguments and callables ----


@pytest.mark.parametrize("workers", [0, 1])
def test_arguments_go_by_position_keyword_and_default(workers: int) -> None:
    fast = wrapped(signature_of_all_kinds, num_workers=workers)
    for args, kwargs in (((1,), {"d": 4}), ((1, 20), {"c": 30, "d": 4, "e": 50}), ((1, 2, 3, 4), {"d": 0, "f": 6})):
        with fast(*args, **kwargs) as feed:
            assert list(feed) == list(signature_of_all_kinds(*args, **kwargs))
    with pytest.raises(TypeError, match="missing a required argument: 'd'"):
        fast(1)


@pytest.mark.parametrize("name", ["a", "c", "d", "e", "f"])
def test_any_named_argument_can_be_cut(name: str) -> None:
    given = {"a": [0], "c": [0], "d": [0], "e": [0], "f": [0], name: [1, 2, 3]}
    with wrapped(signature_of_all_kinds, split=name, split_size=2)(
        given["a"], c=given["c"], d=given["d"], e=given["e"], f=given["f"]
    ) as feed:
        places = {"a": 0, "c": 2, "d": 4, "e": 5}
        got = [item[places[name]] if name in places else item[6]["f"] for item in feed]
    assert got == [[1, 2], [3]]


def test_methods_lambdas_decorated_functions_partials_and_objects_will_do() -> None:
    loader = Loader([1, 2, 3])
    expected = serial([1, 2, 3])
    feeds = [
        wrapped(loader.train)(2),
        loader.decorated(2),
        wrapped(decorated_batches, split="items", split_size=2)([1, 2, 3]),
        wrapped(functools.partial(batches, size=2))([1, 2, 3]),
        wrapped(lambda items: batches(items, 2), split="items", split_size=2)([1, 2, 3]),
    ]
    for feed in feeds:
        with feed:
            assert lists(feed) == expected
    for feed in (wrapped(loader)([1, 2]), plain_decorator([1, 2]), decorator_with_options([1, 2])):
        with feed:
            assert list(feed) == [1, 2]
    assert plain_decorator.__doc__ == "Give the items back."
    assert plain_decorator.__name__ == "plain_decorator"


DECORATED = """
import threading
import fastfeed as ff

lock = threading.Lock()

@ff.parallel(split="items", split_size=2, num_workers=2)
def doubled(items):
    with lock:
        yield from (item * 2 for item in items)
"""


def test_a_decorated_function_of_a_module_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with_a_lock.py").write_text(DECORATED)
    monkeypatch.syspath_prepend(tmp_path)
    import with_a_lock

    with with_a_lock.doubled(range(5)) as feed:  # a lock cannot be pickled
        assert list(feed) == [0, 2, 4, 6, 8]


def test_a_function_may_be_called_twice_and_two_feeds_run_at_once() -> None:
    fast = wrapped(split="items", split_size=2)
    with fast(range(5)) as one, fast(range(10, 15)) as two:
        both = [(a.tolist(), b.tolist()) for a, b in zip(one, two, strict=True)]
    assert both == list(zip(serial(range(5)), serial(range(10, 15)), strict=True))


# ---- large arguments ----


@pytest.mark.pages
def test_a_large_array_is_shared_by_the_workers_and_private_where_it_is_written() -> None:
    def touch(x: np.ndarray, write: bool) -> Iterator[tuple[int, int]]:
        while True:
            total = int(x[::512].sum())
            if write:
                x[:512] = 9
            yield os.getpid(), total

    large = np.ones(5_000_000)
    expected = len(large[::512])
    with wrapped(touch, copies=True)(large, False) as feed:
        seen = list(itertools.islice(feed, 8))
        assert {total for _, total in seen} == {expected}
        workers = {pid for pid, _ in seen}
        assert len(workers) == 2
        for pid in workers:
            assert psutil.Process(pid).memory_full_info().uss < large.nbytes
    with wrapped(touch, copies=True)(large, True) as feed:
        for _ in range(2):  # and each call sees the array as it was
            totals = [total for _, total in itertools.islice(feed, 4)]
            assert totals == [expected, expected, expected + 8, expected + 8]
    assert large.sum() == len(large)


@pytest.mark.pages
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such limits to raise")
def test_arrays_that_a_worker_makes_again_and_again_cost_no_page_faults() -> None:
    def page_faults() -> int:
        (worker,) = psutil.Process().children()
        return int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[7])

    with ff.parallel(arrays_of_100_kb, split="items", split_size=4, num_workers=1)(range(100)) as feed:
        for _ in range(2):  # every slot has been used then
            list(feed)
        before = page_faults()
        list(feed)
        assert page_faults() - before < 200  # 25 pages an array, where they go back to the system each time


# ---- what cannot be cut ----


def test_arguments_of_other_lengths_and_dicts_cannot_be_cut() -> None:
    def two(a: object, b: object) -> Iterator[int]:
        yield 1

    with pytest.raises(ff.ConfigError, match=r"split=\('a', 'b'\): pass arguments of one length.*'a': 2, 'b': 3"):
        ff.parallel(two, split=("a", "b"))([1, 2], [1, 2, 3])
    for uncut in ({1: 2}, {1, 2}, iter([1]), None):
        with pytest.raises(ff.ConfigError, match=f"split='a': pass a list.*: {type(uncut).__name__} cannot be cut"):
            ff.parallel(two, split="a")(uncut, 1)


class Columns:
    """Rows whose slice is what `made` makes of the columns of as many."""

    def __init__(self, made: Callable[[list[int], list[int]], object]) -> None:
        self.made = made

    def __len__(self) -> int:
        return 10

    def __getitem__(self, where: slice) -> object:
        rows = list(range(10))[where]
        return self.made(rows, [-row for row in rows])


class Clamped(list[int]):
    """A list that gives no more than four elements at once."""

    def __getitem__(self, where: slice) -> list[int]:
        return super().__getitem__(where)[:4]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda x, y: {"x": x, "y": y}, "its slice of 1 elements is a dict, which has columns for members"),
        (lambda x, y: {"x": x}, "is a dict, which has columns"),
        (lambda x, y: (x, y), "is a tuple, which has columns"),
        (lambda x, y: [x, y], "its slice of 1 elements is a list of length 2"),
        (lambda x, y: [x], "its slice of 2 elements is a list of length 1"),
        (lambda x, y: x[0], "Columns cannot be cut"),
        (lambda x, y: x / y, "Columns cannot be cut"),
    ],
)
@pytest.mark.parametrize("split_size", [None, 2])
def test_slices_that_are_not_of_the_elements_are_refused(made: Any, why: str, split_size: int | None) -> None:
    with pytest.raises(ff.ConfigError, match=f"split='items': pass a list.*{why}"):
        ff.parallel(each_squared, split="items", split_size=split_size)(Columns(made))


def test_slices_of_the_elements_in_another_type_are_taken() -> None:
    with ff.parallel(each_squared, split="items", split_size=3, num_workers=0)(Columns(lambda x, y: x)) as feed:
        assert list(feed) == [row * row for row in range(10)]
    whole = UserDict(zip("abcd", range(4), strict=True))
    with pytest.raises(ff.ConfigError, match="UserDict cannot be cut"):
        ff.parallel(each_squared, split="items")(whole)
    known = defaultdict(int, a=1)
    with pytest.raises(ff.ConfigError, match="defaultdict cannot be cut: it has keys"):
        ff.parallel(each_squared, split="items")(known)
    assert dict(known) == {"a": 1}


def test_a_slice_that_falls_short_later_is_refused_when_it_is_cut() -> None:
    feed = ff.parallel(each_squared, split="items", split_size=6, num_workers=0)(Clamped(range(12)))
    with feed, pytest.raises(ff.ConfigError, match="Clamped cannot be cut: its slice of 6 elements is a list of leng"):
        list(feed)
    feed = ff.parallel(each_squared, split="items", num_workers=0)(Clamped(range(12)))
    with feed, pytest.raises(ff.WorkerError, match="its slice of 12 elements is a list of length 4"):
        list(feed)
