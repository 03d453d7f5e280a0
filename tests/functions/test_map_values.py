"""What goes through a map and comes back: arrays of any shape and size, and what is filled again and again."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import probe
import psutil
import pytest
from doors import results
from user_values import Point, Record, Reused

import fastfeed as ff
from fastfeed.collate.collate import collate


def test_a_named_tuple_of_a_class_that_cannot_be_imported_travels() -> None:
    class Local(NamedTuple):
        x: int
        y: str = "y"

    assert results(lambda item: Local(item.x + 1), [Local(1), Local(2)]) == [Local(2), Local(3)]


# ---- filled again and again ----


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


@pytest.mark.parametrize("workers", [0, 1])  # one, so that all items fill the same
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


# ---- values ----


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
