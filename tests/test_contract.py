"""What every kind of work promises, in one place: a new kind adds one row to KINDS and passes all of it.

Values, order, deaths, ends and resuming; what only one kind does is in that kind's own tests.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import probe
import psutil
import pytest
from drive import encode, picture
from user_functions import each_squared, square

import fastfeed as ff

ITEMS = 60


@dataclass(frozen=True)
class Kind:
    """One kind of work: a feed of it with the options of the engine, and the plain serial computation."""

    make: Callable[..., ff.Feed]
    expected: Callable[[], list[Any]]
    resumes: bool = False


JPEGS = [encode(picture(index), quality=90) for index in range(ITEMS)]
TABLE = np.arange(ITEMS * 3, dtype=np.int32).reshape(ITEMS, 3)


def decoded() -> list[Any]:
    """Every image by itself, in this process; that its pixels are right is what the kernel's tests see to."""
    rows = [next(iter(ff.images([jpeg], 16, labels=None, dtype="uint8", num_workers=0)))[0] for jpeg in JPEGS]
    return [
        (np.stack(rows[start : start + 4]).tobytes(), list(range(start, start + 4))) for start in range(0, ITEMS, 4)
    ]


def in_turn() -> list[int]:
    """Three streams of twenty items, interleaved."""
    parts = [range(start, start + ITEMS // 3) for start in range(0, ITEMS, ITEMS // 3)]
    return [square(item) for group in zip(*parts, strict=True) for item in group]


KINDS = {
    "images": Kind(
        lambda **options: ff.images(JPEGS, 16, labels=None, dtype="uint8", batch_size=4, with_index=True, **options),
        decoded,
        resumes=True,
    ),
    "arrays": Kind(
        lambda **options: ff.arrays(TABLE, batch_size=4, **options),
        lambda: [TABLE[start : start + 4].tolist() for start in range(0, ITEMS, 4)],
        resumes=True,
    ),
    "map": Kind(
        lambda **options: ff.map(square, range(ITEMS), chunk_size=2, **options),
        lambda: [square(item) for item in range(ITEMS)],
        resumes=True,
    ),
    "map in batches": Kind(
        lambda **options: ff.map(square, range(ITEMS), batch_size=4, **options),
        lambda: [[square(item) for item in range(start, start + 4)] for start in range(0, ITEMS, 4)],
        resumes=True,
    ),
    "runs": Kind(
        lambda **options: ff.parallel(each_squared, split="items", split_size=4, **options)(list(range(ITEMS))),
        lambda: [square(item) for item in range(ITEMS)],
    ),
    "one stream": Kind(
        lambda **options: ff.parallel(each_squared, **options)(list(range(ITEMS))),
        lambda: [square(item) for item in range(ITEMS)],
    ),
}
# How a split argument is cut depends on the number of workers, so the streams have three whatever is asked for.
STREAMS = Kind(
    lambda **options: ff.parallel(each_squared, split="items", **{**options, "num_workers": 3})(list(range(ITEMS))),
    in_turn,
)
kinds = pytest.mark.parametrize("kind", [*KINDS.values(), STREAMS], ids=[*KINDS, "streams"])
kinds_and_workers = pytest.mark.parametrize(
    ("kind", "workers"),
    [*((kind, workers) for kind in KINDS.values() for workers in (0, 3)), (STREAMS, 3)],
    ids=[*(f"{name}-{workers}" for name in KINDS for workers in (0, 3)), "streams-3"],
)
orders = pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])


def plain(batch: Any) -> Any:
    """A batch as values that can be compared and that keep no slot."""
    if isinstance(batch, tuple):
        return batch[0].tobytes(), batch[1].tolist()
    return batch.tolist() if isinstance(batch, np.ndarray | np.generic) else batch


def drained(feed: Any) -> list[Any]:
    return [plain(batch) for batch in feed]


def same(got: list[Any], expected: list[Any], ordered: bool) -> bool:
    return got == expected if ordered else sorted(got) == sorted(expected)


@kinds_and_workers
def test_a_printed_feed_starts_nothing_and_moves_nothing(kind: Kind, workers: int) -> None:
    with kind.make(num_workers=workers) as feed:
        assert repr(feed).startswith("<fastfeed.Feed: ")
        assert not psutil.Process().children()
        told = []
        for batch in feed:
            told.append(plain(batch))
            assert "epoch " in repr(feed)
        assert told == kind.expected()


@kinds_and_workers
@orders
def test_the_values_are_those_of_the_serial_computation(kind: Kind, workers: int, ordered: bool) -> None:
    with kind.make(num_workers=workers, ordered=ordered) as feed:
        for _ in range(2):
            assert same(drained(feed), kind.expected(), ordered)
        assert feed.stats().deaths == feed.stats().failed == 0


@kinds_and_workers
def test_every_batch_is_counted_with_its_wait(kind: Kind, workers: int) -> None:
    with kind.make(num_workers=workers) as feed:
        before = feed.stats()
        for epochs in (1, 2):
            count = epochs * len(drained(feed))
            stats = feed.stats()
            assert stats.batches == feed.metrics()["fastfeed_batches_total"] == count
            assert (stats.iterations, stats.waits.batches) == (epochs, count - epochs)
            assert 0 < stats.first_batch_s <= stats.first_waits_s <= stats.wait_s
        assert stats.since(before) == stats


@kinds
@orders
def test_workers_killed_in_the_middle_lose_and_double_nothing(kind: Kind, ordered: bool) -> None:
    expected = kind.expected()
    with kind.make(num_workers=2, ordered=ordered, prefetch=3) as feed:
        # One alone might not be missed: the other may do the rest.  Not both in one epoch: what costs two is given up.
        for kill in (probe.kill, probe.kill_all):
            got = []
            for number, batch in enumerate(feed):
                got.append(plain(batch))
                del batch
                if number == len(expected) // 2:
                    kill(feed)
            assert same(got, expected, ordered)
        assert 1 <= feed.stats().deaths <= 4
        assert feed.errors == []


@kinds
@pytest.mark.parametrize("begun", [False, True], ids=["unused", "half-way"])
def test_close_leaves_no_worker_and_says_so_to_whoever_iterates_again(kind: Kind, begun: bool) -> None:
    before = psutil.Process().children()
    feed = kind.make(num_workers=2)
    batches = iter(feed)
    if begun:
        next(batches)
    feed.close()
    assert psutil.Process().children() == before
    with pytest.raises(ff.FeedClosed):
        iter(feed)
    with pytest.raises(ff.FeedClosed):
        next(batches)


@kinds_and_workers
def test_a_loop_that_was_left_can_be_begun_again(kind: Kind, workers: int) -> None:
    with kind.make(num_workers=workers) as feed:
        for _ in range(3):
            with contextlib.closing(iter(feed)) as batches:
                assert len(list(itertools.islice(batches, 2))) == 2
        feed.set_epoch(0)
        assert drained(feed) == kind.expected()


@kinds
def test_batches_that_are_kept_stay_as_they_are(kind: Kind) -> None:
    with kind.make(num_workers=2, prefetch=2) as feed:
        kept = list(feed)
    assert [plain(batch) for batch in kept] == kind.expected()


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.resumes], ids=lambda kind: "")
@orders
@pytest.mark.parametrize("workers", [0, 2])
def test_a_feed_goes_on_where_its_state_was_taken(kind: Kind, workers: int, ordered: bool) -> None:
    with kind.make(num_workers=workers, ordered=ordered) as feed, contextlib.closing(iter(feed)) as batches:
        before = drained(itertools.islice(batches, 5))
        state = feed.state_dict()
    with kind.make(num_workers=workers, ordered=ordered) as feed:
        feed.load_state_dict(state)
        assert same(before + drained(feed), kind.expected(), ordered)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if not kind.resumes], ids=lambda kind: "")
def test_a_feed_without_a_state_says_so(kind: Kind) -> None:
    with kind.make(num_workers=0) as feed, pytest.raises(ff.ConfigError, match="sequence"):
        feed.state_dict()
