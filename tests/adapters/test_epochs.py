"""What frameworks do before they begin: iterators that are never stepped, and looks at a batch or two."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drive import encode, picture

import fastfeed as ff
from fastfeed.adapters.epochs import Epochs
from fastfeed.engine.job import Outline

FEEDS: dict[str, Callable[..., ff.Feed]] = {
    "rows": lambda **options: ff.arrays(np.arange(42), batch_size=8, shuffle=True, **options),
    "payloads": lambda **options: ff.map(float, range(42), batch_size=8, **options),
}


def flat(batches: Any) -> list[list[float]]:
    return [batch.tolist() for batch in batches]


def expected(kind: str) -> list[list[list[float]]]:
    with FEEDS[kind](num_workers=0) as feed:
        return [flat(feed) for _ in range(5)]


@pytest.mark.parametrize("looked", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_looks_and_iterators_that_are_never_stepped_change_nothing(kind: str, workers: int, looked: int) -> None:
    whole = expected(kind)
    with FEEDS[kind](num_workers=workers) as feed:
        epochs = Epochs(feed)
        for wanted in whole[:3]:
            for _ in range(3):
                iter(epochs)
                assert flat(itertools.islice(epochs, looked)) == wanted[:looked]
            assert flat(epochs) == wanted


def test_a_loop_that_is_left_later_begins_the_next_epoch() -> None:
    whole = expected("rows")
    with FEEDS["rows"](num_workers=2) as feed:
        epochs = Epochs(feed)
        assert flat(itertools.islice(epochs, 3)) == whole[0][:3]
        assert flat(epochs) == whole[1]


def test_a_loop_that_knows_the_length_and_has_had_it_has_looked_at_nothing() -> None:
    with ff.arrays(np.arange(42), batch_size=21, shuffle=True, num_workers=1) as feed:
        whole = [flat(feed) for _ in range(3)]
        feed.set_epoch(0)
        epochs = Epochs(feed)
        assert [flat(itertools.islice(epochs, 2)) for _ in range(3)] == whole


@pytest.mark.parametrize("change", ["set_epoch", "load_state_dict", "another iteration"])
def test_what_is_set_or_begun_after_a_look_counts(change: str) -> None:
    whole = expected("rows")
    with FEEDS["rows"](num_workers=1) as feed:
        epochs, state = Epochs(feed), feed.state_dict()
        assert flat(itertools.islice(epochs, 1)) == whole[0][:1]
        if change == "set_epoch":
            feed.set_epoch(3)
            assert flat(epochs) == whole[3]
        elif change == "load_state_dict":
            feed.load_state_dict(state)
            assert flat(epochs) == whole[0]
        else:
            assert flat(feed) == whole[1]
            assert flat(epochs) == whole[2]


def test_what_is_set_in_the_middle_of_a_look_counts() -> None:
    whole = expected("rows")
    with FEEDS["rows"](num_workers=1) as feed:
        epochs = Epochs(feed)
        look = iter(epochs)
        next(look)
        feed.set_epoch(2)
        next(look)
        look.close()
        assert flat(epochs) == whole[2]


def test_a_look_at_an_iterable_that_can_be_gone_through_once_loses_nothing() -> None:
    with ff.map(float, iter(range(6)), batch_size=2, num_workers=1) as feed:
        epochs = Epochs(feed)
        assert flat(itertools.islice(epochs, 1)) == [[0, 1]]
        assert flat(epochs) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("kind", FEEDS)
def test_the_first_batches_are_given_again_after_they_were_asked_for(kind: str) -> None:
    whole = expected(kind)
    with FEEDS[kind](num_workers=1) as feed:
        epochs = Epochs(feed)
        assert flat(epochs.first()) == flat(epochs.first()) == whole[0][:2]
        assert [flat(epochs), flat(epochs)] == whole[:2]


def test_after_an_error_an_iteration_begins_anew() -> None:
    with ff.map(lambda x: 1 / x, [0, 1], num_workers=0) as feed:
        epochs = Epochs(feed)
        for _ in range(2):
            with pytest.raises(ff.WorkerError, match="division by zero"):
                next(iter(epochs))


# ---- what is known beforehand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"batch_size": 8}, (8, 2, True)),
        ({"batch_size": 6}, (6, 6, True)),
        ({"batch_size": 8, "drop_last": True}, (8, 8, True)),
        ({"batch_size": 50}, (18, 18, True)),
        ({"batch_size": 8, "on_error": "skip"}, (8, 2, False)),
        ({"batch_size": 8, "on_error": "replace"}, (8, 2, True)),
        ({"batch_size": 8, "shard": (18, 19), "uneven": "keep"}, (0, 0, True)),
    ],
)
def test_an_outline_is_what_the_batches_turn_out_to_be(options: dict[str, Any], known: tuple[Any, ...]) -> None:
    encoded = [encode(picture(0))] * 18
    with ff.images(encoded, (16, 12), labels=["a"] * 18, with_index=True, num_workers=1, **options) as feed:
        outline = feed.outline()
        assert outline[1:] == known
        images, labels, index = outline.batch
        assert (images.shape, images.dtype) == ((known[0], 16, 12, 3), np.float32)
        assert (labels, index.shape) == (["a"] * known[0], known[:1])
        assert feed.stats().batches == 0
        found = list(feed)
        if found:
            assert (found[0][0].shape, found[0][1]) == (images.shape, labels)
            assert len(found[-1][0]) == known[1]


def test_no_epoch_is_as_outlined_once_a_state_in_the_middle_of_it_is_loaded() -> None:
    with FEEDS["rows"](num_workers=0) as feed:
        next(iter(feed))
        feed.load_state_dict(feed.state_dict())
        assert not feed.outline().exact
        feed.set_epoch(1)
        assert feed.outline().exact


def test_of_a_sampler_only_the_shapes_are_known() -> None:
    with ff.arrays(np.zeros((5, 3)), sampler=[[0, 1], [2]], num_workers=0) as feed:
        batch, *others = feed.outline()
        assert batch.shape[1:] == (3,)
        assert others == [None, None, False]


@pytest.mark.parametrize(
    ("feed", "outline"),
    [
        (lambda: ff.map(float, range(42), batch_size=8), Outline(rows=8, exact=True)),
        (lambda: ff.map(float, range(42), on_error="skip"), Outline(rows=0)),
        (ff.parallel(lambda: iter([1])), Outline()),
    ],
)
def test_of_functions_no_batch_is_known(feed: Callable[[], ff.Feed], outline: Outline) -> None:
    assert feed().outline() == outline


def test_a_printed_feed_says_what_frameworks_take() -> None:
    said = "; for a framework, pass feed.to_keras(), feed.to_tf(), feed.to_jax() or feed.to_torch()>"
    assert repr(FEEDS["rows"]()).endswith(said)
