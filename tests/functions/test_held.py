"""What a map or a generator hands over is as it was then, whatever its type, its chunk and the number of workers."""

from __future__ import annotations

import collections
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from user_values import KINDS, Attributed, Buffer, Labels, Refusing, Rewinding, read

import fastfeed as ff

ITEMS = 6
WORKERS = pytest.mark.parametrize("workers", [0, 1])
HELD = pytest.mark.parametrize(
    "options",
    [{}, {"chunk_size": 1}, {"chunk_size": 4}, {"batch_size": 4, "collate": list}],
    ids=["automatic", "one", "chunk", "batch"],
)


def results(*args: Any, **options: Any) -> list[Any]:
    """What a map gives; batches as their items."""
    with ff.map(*args, **options) as feed:
        got = list(feed)
    return list(itertools.chain(*got)) if "batch_size" in options else got


def refilled() -> Iterator[Any]:
    """One object of each kind, filled again and again and spoilt afterwards."""
    for make, fill, _ in KINDS.values():
        value = make()
        for number in range(ITEMS):
            fill(value, number)
            yield value
            fill(value, -1)


EXPECTED = [(kind.__name__, number) for kind in KINDS for number in range(ITEMS)]


@WORKERS
@HELD
def test_an_item_is_as_it_was_when_it_was_yielded(options: dict[str, Any], workers: int) -> None:
    # A first item that cannot change says nothing about the others.
    items = itertools.chain([None], refilled())
    got = results(lambda item: item and read(item), items, num_workers=workers, **options)
    assert got == [None, *EXPECTED]


@WORKERS
@HELD
def test_a_result_is_as_it_was_when_it_was_returned(options: dict[str, Any], workers: int) -> None:
    values = [make() for make, _, _ in KINDS.values()]

    def work(item: tuple[int, int]) -> object:
        kind, number = item
        list(KINDS.values())[kind][1](values[kind], number)
        return values[kind]

    items = itertools.product(range(len(KINDS)), range(ITEMS))
    assert [read(result) for result in results(work, items, num_workers=workers, **options)] == EXPECTED


@WORKERS
@pytest.mark.parametrize("options", [{}, {"split": "numbers", "split_size": len(EXPECTED)}], ids=["stream", "run"])
def test_what_a_generator_yields_is_as_it_was(options: dict[str, Any], workers: int) -> None:
    def part(numbers: list[int]) -> Iterator[object]:
        yield from itertools.islice(refilled(), len(numbers))

    with ff.parallel(part, num_workers=workers, **options)([0] * len(EXPECTED)) as feed:
        assert [read(item) for item in list(feed)] == EXPECTED


def test_an_array_is_as_it_was_whoever_else_holds_its_memory() -> None:
    def arrays() -> Iterator[np.ndarray]:
        held = np.zeros(3)
        memory = np.zeros(3)
        for number in range(ITEMS):
            held[:] = memory[:] = number
            yield held
            yield memory[:]
            yield np.full(3, number)
            yield np.frombuffer(memory.data)
            held[:] = memory[:] = -1

    got = results(lambda item: int(item.sum()), arrays(), num_workers=1, chunk_size=6)
    assert got == [3 * number for number in range(ITEMS) for _ in range(4)]


def test_an_item_that_is_sent_again_is_as_it_was(tmp_path: Path) -> None:
    def boxes() -> Iterator[list[int]]:
        box = [0]
        for number in range(4):
            box[0] = number
            yield box
        (tmp_path / "all pulled").touch()

    def read_or_die(box: list[int]) -> int:
        if box[0] == 0 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            while not (tmp_path / "all pulled").exists():
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGKILL)
        return box[0]

    assert results(read_or_die, boxes(), num_workers=1, chunk_size=1, prefetch=8) == [0, 1, 2, 3]


@WORKERS
@HELD
def test_iter_is_called_once_in_an_epoch(options: dict[str, Any], workers: int) -> None:
    with ff.map(abs, Rewinding(), num_workers=workers, **options) as feed:
        got = list(itertools.islice(feed, 20))
    assert (list(itertools.chain(*got)) if "batch_size" in options else got) == [1, 2, 3, 4, 5, 6, 7]


@WORKERS
@pytest.mark.parametrize("options", [{}, {"split": "part", "split_size": 1}], ids=["stream", "run"])
def test_iter_is_called_once_of_what_a_function_returns(options: dict[str, Any], workers: int) -> None:
    with ff.parallel(lambda part: Rewinding(), num_workers=workers, **options)([1]) as feed:
        assert list(itertools.islice(feed, 20)) == [1, 2, 3, 4, 5, 6, 7]


@WORKERS
def test_a_type_error_in_iter_is_told_as_it_is(workers: int) -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            return iter(None + 1)

    with ff.parallel(Broken, num_workers=workers)() as feed, pytest.raises(ff.WorkerError, match="unsupported operand"):
        list(feed)
    with ff.parallel(lambda: 3, num_workers=workers)() as feed, pytest.raises(ff.WorkerError, match="cannot be iter"):
        list(feed)


@WORKERS
@HELD
def test_a_result_keeps_its_class(options: dict[str, Any], workers: int) -> None:
    made = [Refusing(a=1), Attributed(a=[1]), Buffer(b"xy"), Labels({3}), collections.Counter("aab")]
    got = results(lambda number: made[number], range(5), num_workers=workers, **options)
    assert got == made
    assert [type(result) for result in got] == [type(value) for value in made]
