"""replay: the batches of a feed again and again, as copies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drive import encode, picture
from user_functions import count_up, square

import fastfeed as ff

DATA = np.arange(40)


def test_the_first_batches_come_again_and_again_for_as_long_as_an_epoch() -> None:
    with ff.arrays(DATA, batch_size=4, num_workers=1) as feed:
        replay = ff.replay(feed, n=3)
    assert len(replay) == 10
    for _ in range(2):
        assert [batch[0] for batch in replay] == [0, 4, 8, 0, 4, 8, 0, 4, 8, 0]


def test_a_feed_without_a_length_is_replayed_for_ever_or_for_as_long_as_is_said() -> None:
    with ff.parallel(count_up, num_workers=1)() as feed:
        endless, bounded = ff.replay(feed, 2), ff.replay(feed, 2, length=3)
    assert list(itertools.islice(endless, 5)) == [0, 1, 0, 1, 0]
    assert list(bounded) == [0, 1, 0]
    with pytest.raises(TypeError, match=r"this replay has no len\(\): its feed has none, and no length= was passed"):
        len(endless)


def test_no_slot_is_held_and_the_feed_may_be_used_and_closed_meanwhile() -> None:
    with ff.arrays(DATA, batch_size=4, num_workers=1, prefetch=4) as feed:
        replay = ff.replay(feed, n=10)
        assert [batch[0] for batch in feed] == list(range(0, 40, 4))
        assert feed.stats().copies == 0
    assert [batch.tolist() for batch in replay] == DATA.reshape(10, 4).tolist()


def test_every_kind_of_feed_and_any_iterable_can_be_replayed() -> None:
    def refilled() -> Iterator[dict[str, Any]]:
        array = np.zeros(2)
        for number in range(5):
            array[:] = number
            yield {"x": [array], "name": str(number)}

    replay = ff.replay(refilled(), 3, length=6)
    assert [(batch["x"][0][1], batch["name"]) for batch in replay] == 2 * [(0, "0"), (1, "1"), (2, "2")]
    with ff.map(square, range(9), batch_size=3, num_workers=0) as feed:
        assert [batch.tolist() for batch in ff.replay(feed)] == [[0, 1, 4], [9, 16, 25], [36, 49, 64]]
    with ff.images([encode(picture(0))] * 2, 8, labels=[1, 2], batch_size=1, num_workers=1) as feed:
        assert [label.tolist() for _, label in ff.replay(feed, 2)] == [[1], [2]]
    with ff.prefetch([1, 2, 3]) as items:
        assert list(ff.replay(items, 2)) == [1, 2, 1]


def test_the_source_is_closed_when_enough_has_been_taken() -> None:
    ended = []

    def source() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            ended.append(True)

    replay = ff.replay(source(), 2)
    assert ended == [True]
    assert list(itertools.islice(replay, 3)) == [0, 1, 0]


@pytest.mark.parametrize(
    ("feed", "options", "message"),
    [
        (5, {}, "feed=5: pass a feed, or another iterable of batches"),
        ([1], {"n": 0}, "n=0: pass a whole number, 1 or more"),
        ([1], {"length": 0}, "length=0: pass the batches of an epoch, or None for as many as the feed has"),
        ([], {}, r"replay\(\) has got no batch: pass a feed that yields at least one"),
    ],
)
def test_what_cannot_be_replayed_is_refused(feed: Any, options: dict[str, int], message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        ff.replay(feed, **options)
