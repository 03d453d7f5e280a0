"""parallel over real workers: streams, parts, runs, copies; arguments, deaths, ends, and what cannot work."""

from __future__ import annotations

import functools
import itertools
import os
import platform
import random
import signal
import threading
from collections import UserDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import probe
import psutil
import pytest
from user_decorated import Loader, decorated_batches, decorator_with_options, plain_decorator
from user_functions import (
    ArrayHolder,
    OwnError,
    arrays_of_100_kb,
    batches,
    count_up,
    described,
    each_squared,
    endless,
    failing,
    signature_of_all_kinds,
)

import fastfeed as ff


def lists(feed: Iterable[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in feed]


def serial(*args, **kwargs) -> list[list[int]]:
    return lists(batches(*args, **kwargs))


def wrapped(function: Callable[..., object] = batches, **options) -> Callable[..., ff.Feed]:
    return ff.parallel(function, **{"num_workers": 2, **options})


MODES = {"one stream": {}, "parts": {"split": "items"}, "runs": {"split": "items", "split_size": 4}}


# ---- modes ----


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 4, 13])
@pytest.mark.parametrize("mode", ["one stream", "runs"])
def test_one_stream_and_runs_give_the_serial_stream(workers: int, count: int, mode: str) -> None:
    with wrapped(num_workers=workers, **MODES[mode])(range(count)) as feed:
        assert lists(feed) == lists(feed) == serial(range(count))
    with wrapped(num_workers=workers, ordered=False, **MODES[mode])(range(count)) as feed:
        assert sorted(lists(feed)) == serial(range(count))


def test_parts_are_interleaved_in_turn() -> None:
    with wrapped(split="items", num_workers=3)(list(range(11)), 2) as feed:
        parts = [serial(range(start, stop)) for start, stop in ((0, 3), (3, 7), (7, 11))]
        expected = [batch for turn in itertools.zip_longest(*parts) for batch in turn if batch is not None]
        assert lists(feed) == lists(feed) == expected
        assert lists(feed.repeat(3)) == expected * 3


def test_parts_are_no_more_than_elements() -> None:
    with wrapped(split="items", num_workers=8)([1, 2, 3]) as feed:
        assert lists(feed) == [[1], [2], [3]]
        assert feed.stats().workers == 3
    with wrapped(split="items", num_workers=8)([]) as feed:
        assert lists(feed) == []


def test_parts_without_workers_are_one_whole() -> None:
    with wrapped(split="items", num_workers=0)(list(range(5))) as feed:
        assert lists(feed) == serial(range(5))


def test_unordered_parts_come_as_they_are_ready(tmp_path: Path) -> None:
    def gated(items: list[tuple[int, str]]) -> Iterator[int]:
        for number, gate in items:
            if gate:
                Path(gate).read_bytes()  # a pipe: opens when the consumer opens it too
            yield number

    gate = tmp_path / "gate"
    os.mkfifo(gate)
    items = [(number, "" if number else str(gate)) for number in range(40)]
    with wrapped(gated, split="items", ordered=False)(items) as feed:
        stream = iter(feed)
        # The second stream goes on to its end while the first one is stuck.
        assert [next(stream) for _ in range(20)] == list(range(20, 40))
        gate.write_bytes(b"")
        assert list(stream) == list(range(20))


def test_several_arguments_are_cut_alike() -> None:
    def pairs(a: list[int], b: np.ndarray, *, c: str) -> Iterator[tuple[int, int, str]]:
        yield from zip(a, b.tolist(), c, strict=True)

    expected = list(zip(range(7), range(10, 17), "abcdefg", strict=True))
    for options in ({"split_size": 2}, {"split_size": 100}):
        with wrapped(pairs, split=("a", "b", "c"), **options)(range(7), np.arange(10, 17), c="abcdefg") as feed:
            assert list(feed) == expected
    with wrapped(pairs, split=("a", "b", "c"))(range(7), np.arange(10, 17), c="abcdefg") as feed:
        assert sorted(feed) == expected


def test_copies_differ_and_repeat_with_the_seed_and_epochs_go_on() -> None:
    def take(count: int, **options) -> list[list[tuple[float, float]]]:
        with wrapped(endless, copies=True, **options)() as feed:
            return [list(itertools.islice(feed, count)) for _ in range(2)]

    first, second = take(10)
    numbers = {number for pair in (*first, *second) for number in pair}
    assert len(numbers) == 40
    assert take(10) == [first, second]
    assert take(10, seed=1)[0] != first
    assert take(4, seed=None) != take(4, seed=None)
    with wrapped(endless, copies=True)() as feed:
        feed.set_epoch(1)
        assert list(itertools.islice(feed, 10)) == second


@pytest.mark.parametrize("mode", MODES)
def test_random_numbers_are_the_same_in_this_process_and_in_workers(mode: str) -> None:
    def noisy(items: list[int]) -> Iterator[tuple[float, float]]:
        for _ in items:
            yield random.random(), float(np.random.rand())

    def run(workers: int) -> list[tuple[float, float]]:
        random.seed(1)
        np.random.seed(1)
        before = random.getstate()
        got = []
        with wrapped(noisy, num_workers=workers, **MODES[mode])(list(range(9))) as feed:
            for pair in feed:
                got.append(pair)
                assert random.getstate() == before
                random.random()  # the consumer's own, in between
                before = random.getstate()
        return got

    assert run(0) == run(1)
    if mode == "runs":
        assert run(0) == run(3)


# ---- endless streams ----


@pytest.mark.parametrize("workers", [0, 1])
def test_an_endless_stream_may_be_left_at_any_time_and_begins_afresh(workers: int) -> None:
    with wrapped(count_up, num_workers=workers)(5) as feed:
        for steps in (1, 10, 0, 3):
            assert list(itertools.islice(feed, steps)) == list(range(5, 5 + steps))
        for item in feed:
            if item == 9:
                break
        assert next(iter(feed)) == 5
        with pytest.raises(TypeError, match="nobody knows how many"):
            len(feed)


def test_repeat_goes_on_across_epochs() -> None:
    with wrapped(num_workers=1)(range(5)) as feed:
        assert lists(feed.repeat(3)) == serial(range(5)) * 3
        assert lists(itertools.islice(feed.repeat(), 8)) == (serial(range(5)) * 3)[:8]
    for mode, options in MODES.items():
        with wrapped(**options)([]) as feed:
            assert lists(feed.repeat()) == [], mode


@pytest.mark.parametrize("prefetch", [1, 3])
def test_no_more_is_made_than_prefetch_says(tmp_path: Path, prefetch: int) -> None:
    made = tmp_path / "made"

    def counted() -> Iterator[int]:
        for number in itertools.count():
            with made.open("a") as file:
                file.write(".")
            yield number

    with wrapped(counted, prefetch=prefetch)() as feed:
        stream = iter(feed)
        assert next(stream) == 0
        probe.wait_for_sleepers(feed, 1)
        assert made.stat().st_size <= 1 + prefetch
        stream.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_finally_clauses_run_when_the_next_epoch_begins_and_at_the_end(tmp_path: Path, workers: int) -> None:
    log = tmp_path / "log"

    def noted() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            with log.open("a") as file:
                file.write("closed\n")

    with wrapped(noted, num_workers=workers)() as feed:
        for before in range(2):
            assert list(itertools.islice(feed, 3)) == [0, 1, 2]
            assert (log.read_text() if log.exists() else "") == "closed\n" * (before + (workers == 0))
    assert log.read_text() == "closed\n" * 2


def closing_after(event: Path, begun: Path) -> Callable[[], Iterator[int]]:
    """A generator function whose finally clause ends when a file is there."""

    def endless() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            begun.touch()
            while not event.exists():
                os.sched_yield()
            event.with_suffix(".over").touch()

    return endless


def test_a_finally_clause_may_take_longer_than_a_worker_has_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = tmp_path / "event"
    probe.call_after_the_grace(monkeypatch, event.touch)
    with ff.parallel(closing_after(event, tmp_path / "begun"), num_workers=1)() as feed:
        assert next(iter(feed)) == 0
    assert (tmp_path / "event.over").exists()


def test_a_finally_clause_that_is_cut_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.call_after_the_grace(monkeypatch, lambda: None, closing_s=0.0)
    feed = ff.parallel(closing_after(tmp_path / "never", tmp_path / "begun"), num_workers=1)()
    assert next(iter(feed)) == 0
    with pytest.warns(RuntimeWarning, match=r"ended in the midst of closing its generator, whose finally clauses have"):
        feed.close()
    assert (tmp_path / "begun").exists()


# ---- errors ----


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("at", [0, 5])
def test_an_exception_comes_after_the_items_before_it_with_the_remote_traceback(workers: int, at: int) -> None:
    with wrapped(failing, num_workers=workers)(list(range(9)), at) as feed:
        for _ in range(2):
            seen: list[int] = []
            with pytest.raises(
                ff.WorkerError, match=rf"failing raised OwnError: code {at} \(item {at} of stream 0\)"
            ) as caught:
                seen.extend(feed)
            assert seen == list(range(at))
            assert type(caught.value.__cause__) is OwnError
            assert "in failing" in caught.value.__cause__.__notes__[0]
            feed.set_epoch(0)


def test_an_exception_in_a_run_names_its_elements() -> None:
    seen: list[int] = []
    with wrapped(failing, split="items", split_size=3)(list(range(9)), 4) as feed:
        with pytest.raises(ff.WorkerError, match=r"failing raised OwnError: code 4 \(run 1, elements 3 to 5\)"):
            seen.extend(feed)
        assert seen == [0, 1, 2, 3]  # as the generator by itself would give them


@pytest.mark.parametrize("workers", [0, 2])
def test_a_generator_may_fill_one_buffer_again_and_again(workers: int) -> None:
    def filled(items: Iterable[int]) -> Iterator[tuple[np.ndarray, dict[str, list[int]]]]:
        buffer, numbers = np.zeros(1000), [0]
        for item in items:
            buffer[:] = numbers[0] = item
            yield buffer, {"numbers": numbers}

    for options in MODES.values():
        with wrapped(filled, num_workers=workers, **options)(range(11)) as feed:
            got = [(buffer[0], buffer[-1], *named["numbers"]) for buffer, named in feed]
            assert sorted(got) == [(n, n, n) for n in range(11)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("options", [*MODES.values(), {"copies": True}])
def test_none_is_an_item_like_any_other(options: dict[str, Any], workers: int) -> None:
    def some(items: Iterable[int]) -> Iterator[int | None]:
        for item in items:
            yield item if item % 3 else None

    with wrapped(some, num_workers=workers, **options)(range(8)) as feed:
        got = list(feed)
    expected = [None, 1, 2, None, 4, 5, None, 7] * (2 if "copies" in options and workers else 1)
    assert sorted(got, key=str) == sorted(expected, key=str)


def test_what_is_yielded_and_cannot_be_pickled_is_named() -> None:
    def locks() -> Iterator[object]:
        yield 1
        yield threading.Lock()

    with wrapped(locks)() as feed:
        for _ in range(2):
            seen = []
            with pytest.raises(
                ff.WorkerError, match=r"locks.*lock cannot be sent between processes.*item 1 of stream 0"
            ):
                seen.extend(feed)
            assert seen == [1]


@pytest.mark.parametrize("mode", MODES)
def test_an_argument_that_cannot_be_pickled_is_named(mode: str) -> None:
    def with_lock(items: list[int], lock: object, *, other: object = None) -> Iterator[int]:
        yield from items

    with wrapped(with_lock, **MODES[mode])([1, 2], threading.Lock()) as feed:
        for _ in range(2):
            with pytest.raises(
                ff.ConfigError, match=r"lock=, an argument of .*with_lock, cannot be sent.*cannot pickle"
            ):
                list(feed)
    with (
        wrapped(with_lock, **MODES[mode])([1, 2], 0, other=(n for n in "")) as feed,
        pytest.raises(ff.ConfigError, match=r"other=, an argument of .*with_lock,.*generator"),
    ):
        list(feed)
    with wrapped(with_lock, **{**MODES[mode], "num_workers": 0})([1, 2], threading.Lock()) as feed:
        assert list(feed) == [1, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_function_that_gives_nothing_to_iterate_is_told(workers: int) -> None:
    def one(x: int) -> int:
        return x

    with wrapped(one, num_workers=workers)(3) as feed, pytest.raises(ff.WorkerError, match=r"returned int.*map"):
        list(feed)
    with wrapped(lambda: [1, 2], num_workers=workers)() as feed:
        assert list(feed) == list(feed) == [1, 2]


# ---- deaths ----


@pytest.mark.parametrize("mode", [*MODES, "copies"])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_killed_worker_costs_and_repeats_nothing(mode: str, ordered: bool) -> None:
    def noisy(items: list[int]) -> Iterator[tuple[int, float]]:
        random.shuffle(items)  # in place: the next call must see them as they were
        for item in items:
            yield item, random.random()

    options = {"copies": True} if mode == "copies" else MODES[mode]
    with wrapped(noisy, ordered=ordered, **options)(list(range(60))) as feed:
        expected = [list(feed) for _ in range(2)]
    with wrapped(noisy, ordered=ordered, **options)(list(range(60))) as feed:
        for epoch in range(2):
            got = []
            for item in feed:
                got.append(item)
                # One an epoch: what costs two workers is not tried a third time.
                if len(got) == (3, 25)[epoch]:
                    probe.kill_in_its_loop(feed, feed.stats().workers - 1 if epoch == 0 else 0)
            if ordered:
                assert got == expected[epoch]
            else:
                assert sorted(got) == sorted(expected[epoch])
        # A worker that nobody needs any more is not missed.
        assert feed.stats().deaths >= (0 if mode == "runs" else 2)


@pytest.mark.parametrize(
    ("options", "what", "before"),
    [({}, "item 3 of stream 0", [0, 1, 2]), ({"split": "items", "split_size": 2}, "run 1, elements 2 to 3", [0, 1])],
)
def test_an_item_that_ends_its_worker_twice_is_raised(options: dict, what: str, before: list[int]) -> None:
    def poisoned(items: list[int]) -> Iterator[int]:
        for item in items:
            if item == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item

    with wrapped(poisoned, **options)(list(range(8))) as feed:
        for _ in range(2):
            seen: list[int] = []
            with pytest.raises(ff.WorkerDied, match=rf"{what} of .*poisoned has cost two workers.*SIGKILL") as caught:
                seen.extend(feed)
            assert seen == before
            assert caught.value.sample == what
            assert caught.value.signal == signal.SIGKILL


def test_an_item_that_takes_too_long_is_raised_and_making_up_for_a_death_is_not_too_long() -> None:
    def hanging(count: int) -> Iterator[int]:
        for number in range(count):
            if number == 2:
                threading.Event().wait()
            yield number

    with wrapped(hanging, timeout=0.4)(5) as feed, pytest.raises(ff.WorkerDied, match=r"item 2 of .*timeout=0.4"):
        list(feed)

    def slow(count: int) -> Iterator[int]:
        for number in range(count):
            threading.Event().wait(0.15)
            yield number

    with wrapped(slow, timeout=0.9)(9) as feed:
        for number in feed:
            if number == 6:
                probe.kill(feed)
        assert number == 8
        assert feed.stats().deaths == 1


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


def test_a_generator_may_use_a_pool_of_its_own(tmp_path: Path) -> None:
    from test_map import run_script

    script = (
        "import multiprocessing, psutil, fastfeed as ff\n"
        "def load(number): return number * number\n"
        "def generate(numbers):\n"
        "    with multiprocessing.Pool(2) as pool:\n"
        "        for start in range(0, len(numbers), 4):\n"
        "            yield pool.map(load, numbers[start : start + 4])\n"
        "with ff.parallel(generate)(list(range(10))) as feed:\n"
        "    print(list(feed))\n"
        "    for batch in feed: break\n"
        "print(psutil.Process().children(recursive=True))\n"
    )
    done = run_script(tmp_path, script)
    assert done.stdout == "[[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]\n[]\n", done.stderr


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


@pytest.mark.parametrize("part", [slice(None), slice(5, 9), slice(None, None, 2)])
@pytest.mark.parametrize("options", [{}, {"split": "rows", "split_size": 2}, {"split": "rows"}])
def test_a_read_only_memory_map_is_opened_by_the_workers(tmp_path: Path, options: dict[str, Any], part: slice) -> None:
    np.save(tmp_path / "x.npy", np.arange(40).reshape(20, 2))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")[part]

    def is_mapped_by(worker: psutil.Process) -> bool:
        return "x.npy" in Path(f"/proc/{worker.pid}/maps").read_text()

    with wrapped(described, **options)(x, range(100)) as feed:
        items = iter(feed)
        names, rows = map(list, zip(*itertools.islice(items, 4), strict=True))
        opened = any(map(is_mapped_by, psutil.Process().children()))
        assert opened == x.flags.c_contiguous
        for name, row in items:
            names.append(name)
            rows.append(row)
    assert sorted(rows) == sorted(x[:4].tolist() * 25)
    assert set(names) == {"memmap"}


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("view", ["memmap", "turned", "ndarray"])
def test_a_memory_map_anywhere_inside_travels_by_the_name_of_its_file(tmp_path: Path, mode: Any, view: str) -> None:
    written = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.int64, (2, 4), fortran_order=view == "turned")
    written[:] = [[0, 1, 2, 3], [4, 5, 6, 7]]
    written.flush()
    x = np.load(tmp_path / "x.npy", mmap_mode=mode)
    kind = "ndarray" if view == "ndarray" else "memmap"
    holder = ArrayHolder(np.asarray(x) if view == "ndarray" else x)
    expected = [(kind, [0, 1, 2, 3]), (kind, [4, 5, 6, 7])] * 50
    for feed in (
        ff.map(holder.row, [0, 1] * 50, num_workers=1),
        ff.map(functools.partial(ArrayHolder.row, holder), [0, 1] * 50, num_workers=1),
        ff.parallel(holder.rows, num_workers=1)(),
        ff.parallel(ArrayHolder.rows, num_workers=1)(holder),
    ):
        with feed:
            items = iter(feed)
            assert next(items) == expected[0]
            (worker,) = probe.workers(feed)
            assert "x.npy" in Path(f"/proc/{worker}/maps").read_text()
            assert list(items) == expected[1:]


def test_what_is_written_to_a_memory_map_reaches_its_file(tmp_path: Path) -> None:
    x = np.memmap(tmp_path / "x", np.int64, "w+", shape=(4,))

    def write(number: int) -> int:
        x[number] = number + 1
        return number

    for workers in (0, 1):
        x[:] = 0
        with ff.map(write, range(4), num_workers=workers) as feed:
            assert list(feed) == [0, 1, 2, 3]
        assert x.tolist() == [1, 2, 3, 4]


def test_a_memory_map_whose_file_was_replaced_is_told_or_sent_by_value(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(40).reshape(20, 2))
    x = np.load(path, mmap_mode="r")
    with wrapped(described, copies=True)(x, range(2)) as feed:
        assert [row for _, row in feed] == [[0, 1], [0, 1], [2, 3], [2, 3]]
        path.rename(tmp_path / "old.npy")
        np.save(path, np.zeros((20, 2), int))
        assert [row for _, row in feed] == [[0, 1], [0, 1], [2, 3], [2, 3]]
    np.save(path, np.arange(40).reshape(20, 2))
    x = np.load(path, mmap_mode="r")
    with ff.parallel(described, num_workers=1)(x, range(1000)) as feed:
        items = iter(feed)
        next(items)
        path.rename(tmp_path / "old.npy")
        np.save(path, np.zeros((20, 2), int))
        probe.kill(feed)  # the next worker opens the file anew
        with pytest.raises(ff.WorkerError, match=r"x\.npy has been replaced"):
            list(items)


def test_parts_of_a_memory_map_travel_one_by_one(tmp_path: Path) -> None:
    rows = np.memmap(tmp_path / "rows", np.int64, "w+", shape=(1000, 10))
    rows[:] = np.arange(10_000).reshape(1000, 10)

    def sums(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
        for start in range(0, len(rows), size):
            yield np.asarray(rows[start : start + size]).sum(1)

    with wrapped(sums, split="rows", split_size=64)(rows, 32) as feed:
        np.testing.assert_array_equal(np.concatenate(list(feed)), rows.sum(1))


# ---- what cannot work ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "item"}, "split='item': pass the name of an argument of .*batches, which has items, size, scale"),
        ({"split": "size"}, "split='size': pass a list.* in size: int cannot be cut"),
        ({"split": ("items", "items")}, r"split=\('items', 'items'\): pass each name once"),
        ({"split": 3}, "split=3: pass the name"),
        ({"split": ()}, "split=.*pass the name"),
        ({"split": ("items", 1)}, r"split=\('items', 1\): pass the name"),
        ({"split_size": 4}, "split_size=4: pass split= as well, the name of the argument"),
        ({"split": "items", "split_size": 0}, "split_size=0"),
        ({"split": "items", "copies": True}, "copies=True, split='items': pass one of the two"),
        ({"copies": 1}, "copies=1"),
        ({"seed": -1}, "seed=-1"),
        ({"num_workers": -1}, "num_workers=-1"),
        ({"timeout": 0}, "timeout=0"),
    ],
)
def test_an_option_that_cannot_work_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        ff.parallel(batches, **options)([1, 2])


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


def test_a_generator_in_place_of_its_function_is_told_apart() -> None:
    with pytest.raises(ff.ConfigError, match=r"parallel\(batches\), then call the result; or prefetch\(generator\)"):
        ff.parallel(batches([1]))
    with pytest.raises(ff.ConfigError, match=r"generator_function=3: pass the generator function itself"):
        ff.parallel(3)
