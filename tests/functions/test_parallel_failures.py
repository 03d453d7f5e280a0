"""What parallel does with generators that raise, workers that die, and items that cannot travel."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator

import probe
import pytest
from doors import MODES, wrapped
from user_functions import OwnError, failing

import fastfeed as ff

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
