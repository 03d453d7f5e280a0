"""One batch ahead of the loop, without a framework: what waits, what fails, and where the loop stands."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

import fastfeed as ff
from fastfeed.adapters.ahead import Adapter, Ahead


class Started:
    """What was taken of a feed so far; the batch numbered `fails` cannot be started."""

    def __init__(self, feed: ff.Feed, fails: int | None = None) -> None:
        self.adapter = Adapter(feed)
        self.taken: list[list[int]] = []
        self.fails = fails
        self.ahead = Ahead(self.adapter, self.start())

    def start(self) -> Generator[list[int], None, None]:
        for batch in self.adapter.feed:
            if len(self.taken) == self.fails:
                raise ValueError("the device is full")
            self.taken.append(np.asarray(batch).tolist())
            yield self.taken[-1]

    def stands(self) -> tuple[int, int]:
        """Where the loop stands, by the adapter's state: the epoch, and how many samples of it are behind it."""
        state = self.adapter.state_dict()
        return state["epoch"], state["left"][0][0]


def feed_of(batches: int, **options: Any) -> ff.Feed:
    return ff.arrays(np.arange(batches), batch_size=1, num_workers=0, **options)


def test_one_batch_is_taken_before_the_loop_asks_for_it_and_no_more() -> None:
    with feed_of(4) as feed:
        started = Started(feed)
        assert started.taken == []
        given = []
        for batch in started.ahead:
            given.append(batch)
            assert started.taken == [[k] for k in range(min(len(given) + 1, 4))]
        assert given == [[0], [1], [2], [3]]
        assert list(started.ahead) == []


def test_an_iteration_that_is_started_has_its_first_batch_and_the_loop_stands_before_it() -> None:
    with feed_of(4) as feed:
        started = Started(feed)
        for _ in range(2):
            started.ahead.start()
            assert started.taken == [[0]]
            assert started.stands() == (0, 0)
        assert next(started.ahead) == [0]
        started.ahead.start()
        assert started.taken == [[0], [1]]
        assert started.stands() == (0, 1)


def test_the_state_is_where_the_loop_stands_until_the_end_begins_the_next_epoch() -> None:
    with feed_of(3) as feed:
        started = Started(feed)
        stood = [started.stands() for _ in started.ahead]
        assert stood == [(0, 1), (0, 2), (1, 0)]
        assert started.stands() == (1, 0)


def test_an_epoch_that_is_set_after_a_loop_was_left_is_where_it_stands() -> None:
    with feed_of(3) as feed:
        started = Started(feed)
        next(started.ahead)
        started.ahead.close()
        assert started.stands() == (0, 1)
        started.adapter.set_epoch(5)
        assert started.stands() == (5, 0)


def test_what_waits_is_delivered_before_a_failure_and_the_end_comes_after_it() -> None:
    with feed_of(4) as feed:
        started = Started(feed, fails=2)
        assert [next(started.ahead), next(started.ahead)] == [[0], [1]]
        assert started.stands() == (0, 2)
        with pytest.raises(ValueError, match="the device is full"):
            next(started.ahead)
        assert started.stands() == (0, 2)
        assert list(started.ahead) == []


def test_a_newer_iteration_ends_one_that_still_has_a_batch_waiting() -> None:
    with feed_of(4) as feed:
        started = Started(feed)
        next(started.ahead)
        assert next(iter(feed)).tolist() == [0]
        with pytest.raises(ff.FeedClosed):
            next(started.ahead)
        assert list(started.ahead) == []


def test_an_iteration_that_is_closed_is_over_and_so_is_the_feeds() -> None:
    with feed_of(4) as feed:
        started = Started(feed)
        next(started.ahead)
        started.ahead.close()
        assert list(started.ahead) == []
        assert started.stands() == (0, 1)
        assert [batch.tolist() for batch in feed] == [[0], [1], [2], [3]]


def test_an_adapter_of_a_feed_without_a_state_goes_without() -> None:
    with ff.map(float, iter([1, 2, 3]), num_workers=0) as feed:
        started = Started(feed)
        assert list(started.ahead) == [1.0, 2.0, 3.0]
        with pytest.raises(ff.ConfigError):
            started.adapter.state_dict()
