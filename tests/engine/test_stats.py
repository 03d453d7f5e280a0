"""The verdict on which side is slow, and its words: from figures alone, and from feeds that are slow on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from drive import encode, picture
from user_functions import slow, slow_to_come

import fastfeed as ff
from fastfeed.engine.job import Remedies
from fastfeed.engine.stats import Stats

REMEDIES = Remedies("lower prefetch", "use faster storage", "fewer bytes", pulled="the next items")


def stats(**figures: object) -> Stats:
    zeros = dict.fromkeys(
        ("batches", "samples", "bytes_read", "wait_s", "pull_s", "consumer_s", "read_s", "work_s", "idle_s", "workers"),
        0,
    )
    return Stats(**{**zeros, "deaths": 0, "copies": 0, "failed": 0, "remedies": REMEDIES, **figures})


def drained(feed: ff.Feed) -> Stats:
    """The figures of a feed after one epoch."""
    with feed:
        for _ in feed:
            pass
        return feed.stats()


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ({}, "consumer"),
        ({"wait_s": 1, "consumer_s": 9}, "consumer"),
        ({"wait_s": 2, "consumer_s": 8, "read_s": 1, "work_s": 3}, "workers"),
        ({"wait_s": 2, "consumer_s": 8, "read_s": 3, "work_s": 1}, "source"),
        ({"wait_s": 2, "consumer_s": 8, "work_s": 1, "pull_s": 1.1}, "source"),
        ({"wait_s": 2, "consumer_s": 8, "work_s": 1, "pull_s": 0.9}, "workers"),
    ],
)
def test_the_slow_side_is_told_from_the_figures(figures: dict[str, float], verdict: str) -> None:
    assert stats(**figures).verdict == verdict


def test_the_sentence_for_workers_says_how_to_have_more_or_to_do_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastfeed.engine.stats.available_cpus", lambda: 2)
    sentences = [stats(wait_s=1, work_s=1, workers=workers).sentence for workers in range(3)]
    start = "The workers are the slow side: the consumer waited 1.00 s of 1.00 s; "
    assert sentences == [
        f"{start}use num_workers above 0, or give them less to do: fewer bytes.",
        f"{start}use more workers, or give them less to do: fewer bytes.",
        f"{start}every processor has its worker, so give them less to do: fewer bytes.",
    ]


def test_the_sentence_for_the_source_says_where_the_time_went() -> None:
    start = "The source is the slow side: the consumer waited 2.00 s of 2.00 s"
    read = stats(wait_s=2, read_s=3, work_s=1, workers=1).sentence
    assert read == f"{start}, and workers spent 3.00 s reading against 1.00 s working; use faster storage."
    pulled = stats(wait_s=2, pull_s=1.5, workers=1).sentence
    assert pulled == f"{start}, 1.50 s of it for the next items; use faster storage."


@pytest.mark.parametrize("workers", [0, 2])
def test_a_slow_iterable_of_map_is_the_source(workers: int) -> None:
    result = drained(ff.map(abs, slow_to_come(70), num_workers=workers))
    assert result.verdict == "source", result
    assert result.pull_s > 0.25
    assert "of it for the next items of the iterable" in result.sentence
    assert "storage" not in result.sentence


def test_a_slow_function_of_map_is_the_workers_and_nothing_is_said_of_images() -> None:
    result = drained(ff.map(slow, range(40), num_workers=1))
    assert result.verdict == "workers", result
    assert "a faster function" in result.sentence
    assert "image" not in result.sentence


def test_one_stream_is_not_told_to_use_more_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastfeed.engine.stats.available_cpus", lambda: 64)
    alone = drained(ff.parallel(slow_to_come)(40))
    assert alone.verdict == "workers", alone
    assert "cut an argument with split=, or pass copies=True" in alone.sentence
    cut = drained(ff.parallel(lambda items: map(slow, items), split="items", num_workers=2)(list(range(40))))
    assert "use more workers" in cut.sentence


def test_arrays_and_images_are_told_what_fits_them() -> None:
    jpeg = encode(picture(0))
    with ff.arrays(np.arange(4)) as arrays, ff.images([jpeg], 8, labels=None) as images:
        assert "image" not in arrays.stats().remedies.less_work
        assert "smaller images" in images.stats().remedies.less_work
