"""map over a sequence goes on where a state was taken, between the results of a chunk too."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from typing import Any

import probe
import pytest
from user_functions import draw, fails_at_every_third, square

import fastfeed as ff


def begun(feed: ff.Feed, steps: int | None) -> tuple[list[Any], dict[str, Any]]:
    with contextlib.closing(iter(feed)) as results:
        got = list(itertools.islice(results, steps))
        state = feed.state_dict()
    assert json.loads(json.dumps(state)) == state
    return got, state


def flat(results: list[Any]) -> list[int]:
    return [int(number) for result in results for number in (result if hasattr(result, "__len__") else [result])]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("options", [{}, {"chunk_size": 1}, {"chunk_size": 7}, {"batch_size": 4}], ids=str)
@pytest.mark.parametrize("on_error", ["skip", "replace"])
def test_every_item_gives_its_result_once_wherever_a_loop_was_left(
    ordered: bool, options: dict[str, int], on_error: str
) -> None:
    chance = random.Random(0)
    expected = [number for number in range(50) if number % 3 != 1]
    for steps in (1, 5, 12):
        feeds = [
            ff.map(
                fails_at_every_third,
                range(50),
                num_workers=chance.choice([0, 1, 2]),
                ordered=ordered,
                on_error=on_error,
                **options,
            )
            for _ in range(2)
        ]
        with feeds[0] as first, feeds[1] as second:
            got, state = begun(first, steps)
            assert state["epoch"] == 0
            second.load_state_dict(state)
            got = flat([result for result in (*got, *second) if result is not None])
            filled = 50 - len(expected) if options.get("batch_size") and on_error == "replace" else 0
            assert sorted(got) == sorted([0] * filled + expected)
            assert not ordered or [number for number in got if number] == expected[1:]
            assert second.state_dict()["epoch"] == 1


def test_an_item_that_failed_and_was_raised_is_tried_again() -> None:
    with ff.map(fails_at_every_third, range(20), chunk_size=5, num_workers=1) as feed:
        with pytest.raises(ff.WorkerError, match="item 1"):
            list(feed)
        state = feed.state_dict()
        assert state["left"] == [[1, []]]
        feed.load_state_dict(state)
        with pytest.raises(ff.WorkerError, match="item 1"):
            next(iter(feed))


def test_random_numbers_are_those_of_the_run_without_a_break() -> None:
    with ff.map(draw, range(30), num_workers=1, seed=3) as feed:
        feed.set_epoch(4)
        whole = list(feed)
        feed.set_epoch(4)
        before, state = begun(feed, 11)
        assert state["epoch"] == 4
        feed.load_state_dict(state)
        assert before + list(feed) == whole


def test_another_epoch_begins_whole_after_a_resumed_one() -> None:
    with ff.map(square, range(10), chunk_size=3, num_workers=1) as feed:
        _, state = begun(feed, 4)
        feed.load_state_dict(state)
        whole = [square(number) for number in range(10)]
        assert list(feed.repeat(2)) == whole[4:] + whole
        assert feed.state_dict()["epoch"] == 2
        feed.set_epoch(9)
        assert feed.state_dict()["epoch"] == 9


@pytest.mark.parametrize("options", [{}, {"batch_size": 2}], ids=str)
def test_a_loop_over_many_epochs_remembers_no_more_than_a_few(options: dict[str, int]) -> None:
    with ff.map(square, range(4), num_workers=0, **options) as feed:
        for _ in itertools.islice(feed.repeat(), 9000 * (2 if options else 4)):
            pass
        assert feed.state_dict()["epoch"] == 9000
        chunks, epochs = probe.remembered(feed)
        assert chunks <= 8192 + 1  # and the one that the next would join
        assert epochs <= 2


def test_a_state_of_another_seed_or_length_is_refused() -> None:
    with ff.map(square, range(10), num_workers=0) as feed:
        state = feed.state_dict()
    for iterable, seed, text in ((range(11), 0, "number of samples was 10 and is 11"), (range(10), 1, "seed was 0")):
        with ff.map(square, iterable, num_workers=0, seed=seed) as feed, pytest.raises(ff.ConfigError, match=text):
            feed.load_state_dict(state)
