"""parallel over real workers: streams, parts, runs, copies, endless streams and their ends, options."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import probe
import pytest
from doors import MODES, lists, serial, wrapped
from user_functions import batches, count_up, endless

import fastfeed as ff

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


# ---- items ----


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


# ---- options ----


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


def test_a_generator_in_place_of_its_function_is_told_apart() -> None:
    with pytest.raises(ff.ConfigError, match=r"parallel\(batches\), then call the result; or prefetch\(generator\)"):
        ff.parallel(batches([1]))
    with pytest.raises(ff.ConfigError, match=r"generator_function=3: pass the generator function itself"):
        ff.parallel(3)
