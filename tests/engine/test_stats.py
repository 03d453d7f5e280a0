"""Who waits: waits and what was ready, the verdict and its words; from figures alone, and from feeds."""

from __future__ import annotations

import numpy as np
import probe
import pytest
from drive import encode, picture
from user_functions import slow, slow_to_come, square

import fastfeed as ff
from fastfeed._native import Clock
from fastfeed.engine.job import Remedies
from fastfeed.engine.metrics import METRICS
from fastfeed.engine.stats import Stats, Waits, waiting

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


def test_where_most_batches_were_ready_the_sentence_says_how_to_bridge_the_others() -> None:
    looks = {"looks": 100, "ready_slots": 300}
    late = Waits({1000: 98, 10**9: 2}, **looks, ready_batches=98)
    assert stats(wait_s=2, consumer_s=5, work_s=1, workers=1, waits=late).sentence == (
        "The workers are the slow side: the consumer waited 2.00 s of 7.00 s; 98% of the times a batch was ready, so "
        "raise prefetch for those that take long, or give them less to do: fewer bytes."
    )
    together = Waits({0: 900, 10**7: 100}, **looks, ready_batches=910)
    assert "prefetch" not in stats(wait_s=2, consumer_s=5, work_s=1, workers=1, waits=together).sentence


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


# ---- waits, one by one ----


@pytest.mark.parametrize("wait_ns", [0, 31, 32, 1000, 12_345_678, 10**9, 3 * 10**12, 2**63, 2**64 - 10**9])
def test_a_wait_is_known_within_a_thirty_second(wait_ns: int) -> None:
    clock = Clock()
    asked = (clock.ask(0) - wait_ns) % 2**64  # before the machine was started, perhaps
    took = (clock.hand(asked, 1, False) - asked) % 2**64
    (length,) = clock.waits()
    assert took >= wait_ns
    assert clock.wait_ns == took
    assert abs(length - took) <= took / 32


def test_percentiles_are_the_shortest_times_that_so_many_waits_did_not_exceed() -> None:
    lengths = np.random.default_rng(1).integers(1, 1000, 777)
    values, counts = np.unique(lengths, return_counts=True)
    waits = Waits(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    expected = np.percentile(lengths, [50, 95, 99], method="inverted_cdf") / 1e9
    assert waits.percentiles_s() == expected.tolist()
    assert waits.batches == 777
    assert Waits({5: 1}).percentiles_s() == [5e-9] * 3
    assert Waits().percentiles_s() == [0.0] * 3


def test_the_first_batch_is_apart_and_those_that_come_with_another_are_not_waited_for() -> None:
    clock = Clock()
    clock.hand(clock.ask(0) - 10**9, 1, True)
    clock.hand(clock.ask(0) - 10**6, 10, False)
    result = stats(**waiting(clock, 0))
    assert result.first_batch_s == result.first_waits_s >= 1
    assert result.wait_s >= 1.001
    assert (result.iterations, result.waits.batches) == (1, 10)
    assert result.wait_p50_s == 0
    assert result.wait_p95_s == result.wait_p99_s >= 0.00096
    assert result.wait_mean_s == pytest.approx(result.wait_s / 11)
    assert result.ready_share == 0.9


def test_what_is_recorded_lately_is_the_difference_of_two_readings() -> None:
    clock = Clock()
    asked = clock.ask(0)
    clock.hand(asked - 10**9, 1, True)
    clock.hand(asked - 10**6, 1, False)
    before = stats(**waiting(clock, 3), batches=2, workers=4)
    for ready in (2, 0, 4):
        asked = clock.ask(0)
        clock.look(ready)
        clock.hand(asked - 10**7, 1, False)
    lately = stats(**waiting(clock, 3), batches=5, workers=4).since(before)
    assert (lately.batches, lately.workers, lately.rank, lately.iterations) == (3, 4, 3, 0)
    assert lately.first_waits_s == 0
    assert lately.first_batch_s == before.first_batch_s
    assert lately.waits.batches == 3
    assert lately.wait_mean_s == pytest.approx(lately.wait_s / 3)
    assert lately.wait_p50_s >= 0.0096
    assert (lately.ready_share, lately.ready_slots) == (2 / 3, 2)
    nothing = lately.since(lately)
    assert (nothing.wait_mean_s, nothing.wait_p99_s, nothing.ready_share, nothing.batches) == (0, 0, 0, 0)


def test_a_loop_that_finds_everything_ready_is_told_how_much() -> None:
    with ff.arrays(np.arange(40), batch_size=4, num_workers=1, prefetch=4) as feed:
        batches = iter(feed)
        for left in (3, 3, 3, 3, 3, 3, 3, 2, 1):
            next(batches)
            while probe.ring(feed).ready(-1) < left:
                pass
        assert len(list(batches)) == 1
        result = feed.stats()
    assert result.ready_share == 1
    assert result.ready_slots == pytest.approx(24 / 9)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loop_that_has_to_wait_for_each_batch_finds_nothing_ready(workers: int) -> None:
    result = drained(ff.map(square, range(20), chunk_size=1, num_workers=workers, prefetch=1))
    assert result.batches == 20
    assert (result.ready_share, result.ready_slots) == (0, 0)


def test_the_rank_is_the_launchers_or_that_of_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.arange(8)
    assert drained(ff.arrays(data, num_workers=0)).rank == 0
    assert drained(ff.arrays(data, num_workers=0, shard=(2, 4))).rank == 2
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert drained(ff.arrays(data, num_workers=0, shard=(1, 2))).rank == 3
    assert drained(ff.map(square, [1], num_workers=0)).metrics()["fastfeed_rank"] == 3


# ---- the first batch and the verdict ----


def test_a_start_that_took_long_makes_nobody_the_slow_side() -> None:
    seen = Waits({1000: 5})
    short = stats(wait_s=3, first_waits_s=3, consumer_s=1, iterations=1, work_s=1, workers=1, waits=seen)
    assert short.verdict == "consumer"
    assert short.sentence == (
        "The consumer is the slow side: the consumer waited 0.00 s of 1.00 s (3.00 s more for the first batch); "
        "feeding faster would change nothing after it."
    )
    often = stats(wait_s=3, first_waits_s=3, consumer_s=1, iterations=9, work_s=1, workers=1, waits=seen)
    assert often.sentence == (
        "The consumer is the slow side: the consumer waited 0.00 s of 1.00 s (3.00 s more for the first batches of 9 "
        "iterations); feeding faster would change nothing else, and repeat() has no pause between epochs."
    )
    slow = stats(wait_s=3, first_waits_s=1, consumer_s=1, iterations=1, work_s=1, workers=0, waits=seen)
    assert slow.sentence.startswith(
        "The workers are the slow side: the consumer waited 2.00 s of 3.00 s (1.00 s more for the first batch); use "
    )


def test_where_there_are_only_first_batches_they_are_judged_and_it_is_said() -> None:
    result = stats(wait_s=3, first_waits_s=3, iterations=1, work_s=1, workers=0)
    assert result.verdict == "workers"
    assert "the consumer waited 3.00 s of 3.00 s (all for the first batch); use num_workers above 0" in result.sentence


def test_what_was_pulled_for_the_first_batch_is_apart_too() -> None:
    figures = {"wait_s": 5, "first_waits_s": 3, "consumer_s": 1, "iterations": 1, "work_s": 1, "pull_s": 3.5}
    seen = Waits({1000: 5})
    assert stats(**figures, first_pulls_s=2.9, waits=seen).verdict == "workers"
    source = stats(**figures, first_pulls_s=1.5, waits=seen)
    assert "2.00 s of 3.00 s (3.00 s more for the first batch), 2.00 s of it for the next items;" in source.sentence


# ---- metrics ----


def test_metrics_are_numbers_and_their_names_say_the_unit() -> None:
    result = drained(ff.arrays(np.arange(8), batch_size=2, num_workers=1))
    metrics = result.metrics()
    assert {type(value) for value in metrics.values()} == {int, float}
    assert metrics["fastfeed_batches_total"] == 4
    assert metrics["fastfeed_samples_total"] == 8
    assert metrics["fastfeed_wait_seconds_total"] == result.wait_s
    assert metrics["fastfeed_wait_p99_seconds"] == result.wait_p99_s
    assert metrics["fastfeed_ready_ratio"] == result.ready_share
    for metric in METRICS:
        assert metric.name.startswith("fastfeed_")
        assert metric.attribute.endswith("_s") == (metric.name.removesuffix("_total").endswith("_seconds"))
