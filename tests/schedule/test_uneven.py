"""Shards that are kept uneven: their last step is of some of them only, and states say so."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import fastfeed as ff


def shards(count: int, world: int, batch_size: int = 1, state: Any = None) -> list[ff.Feed]:
    options: dict[str, Any] = {"batch_size": batch_size, "uneven": "keep", "num_workers": 0}
    feeds = [ff.arrays(np.arange(count), shard=(rank, world), **options) for rank in range(world)]
    if state is not None:
        for feed in feeds:
            feed.load_state_dict(state)
    return feeds


def drained(feeds: list[ff.Feed]) -> list[list[list[int]]]:
    return [[batch.tolist() for batch in feed] for feed in feeds]


@pytest.mark.parametrize(("count", "world", "batch_size"), [(5, 2, 1), (9, 4, 2), (10, 3, 1), (7, 2, 3)])
def test_in_every_step_the_states_of_all_ranks_are_one_and_lose_nothing(
    count: int, world: int, batch_size: int
) -> None:
    longest = max(len(feed) for feed in shards(count, world, batch_size))
    for steps in range(longest + 1):
        feeds = shards(count, world, batch_size)
        loops = [iter(feed) for feed in feeds]
        got = [[batch.tolist() for batch in itertools.islice(loop, steps)] for loop in loops]
        if steps == longest:
            for loop in loops:
                assert next(loop, None) is None
        states = [feed.state_dict() for feed in feeds]
        assert all(state == states[0] for state in states)
        for other in (world, 1, world + 1):
            resumed = shards(count, other, batch_size, states[-1])
            rest = drained(resumed) if steps < longest else []
            samples = [sample for part in (got, rest) for batches in part for batch in batches for sample in batch]
            assert sorted(samples) == list(range(count))
            assert {feed.state_dict()["epoch"] for feed in resumed} == {1}
            assert sorted(sample for batches in drained(resumed) for batch in batches for sample in batch) == list(
                range(count)
            )


def test_a_rank_without_any_batch_goes_on_to_the_next_epoch_with_the_others() -> None:
    feeds = shards(2, 3)
    for epoch in range(3):
        assert [feed.state_dict()["epoch"] for feed in feeds] == [epoch] * 3
        assert drained(feeds) == [[[0]], [[1]], []]


def test_ranks_that_run_on_across_epochs_say_the_same() -> None:
    feeds = shards(5, 2)
    loops = [feed.repeat() for feed in feeds]
    for loop, steps in zip(loops, (4, 3), strict=True):  # three of the first epoch or two of it, and one of the next
        for _ in range(steps):
            next(loop)
    assert [feed.state_dict()["left"] for feed in feeds] == [[[2, []]]] * 2
