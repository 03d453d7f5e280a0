"""The feed over real files: epochs, order, back-pressure, leases, resuming, options."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
import shutil
from pathlib import Path

import numpy as np
import probe
import pytest
from feeds import RANDOM, digests, feed_of

import fastfeed as ff


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_are_the_same_bytes_for_any_number_of_workers(photos: Path, workers: int) -> None:
    options = {"size": None, "transforms": RANDOM, "shuffle": True, "seed": 11}
    here = digests(feed_of(photos, num_workers=0, **options))
    assert digests(feed_of(photos, num_workers=workers, **options)) == here
    assert sorted(digests(feed_of(photos, num_workers=workers, ordered=False, **options))) == sorted(here)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    ("batch_size", "drop_last", "shard"),
    [
        (7, False, None),
        (7, True, None),
        (50, False, None),
        (64, False, None),
        (1, False, (0, 3)),
        (4, True, (1, 2)),
        (5, False, (2, 3)),
    ],
)
def test_every_index_of_a_shard_comes_exactly_once(
    photos: Path, workers: int, ordered: bool, batch_size: int, drop_last: bool, shard: tuple[int, int] | None
) -> None:
    with feed_of(
        photos,
        num_workers=workers,
        ordered=ordered,
        batch_size=batch_size,
        drop_last=drop_last,
        shard=shard,
        shuffle=True,
    ) as feed:
        batches = [index for _, index in feed]
        assert len(batches) == len(feed)
    seen = np.concatenate(batches)
    _, world = shard or (0, 1)
    expected = (50 // world // batch_size * batch_size) if drop_last else -(-50 // world)
    assert len(seen) == len(set(seen.tolist())) == expected
    assert seen.min() >= 0
    assert seen.max() < 50


def test_shards_together_are_the_whole_source(photos: Path) -> None:
    seen: list[int] = []
    for rank in range(3):
        with feed_of(photos, shard=(rank, 3), uneven="keep", shuffle=True) as feed:
            seen += [int(i) for _, index in feed for i in index]
    assert sorted(seen) == list(range(50))


def test_rows_belong_to_their_index(photos: Path) -> None:
    with (
        feed_of(photos, shuffle=True, ordered=False, dtype="uint8") as feed,
        feed_of(photos, num_workers=0, batch_size=1, dtype="uint8") as plain,
    ):
        alone = [images[0].copy() for images, _ in plain]
        for images, index in feed:
            for row, i in zip(images, index, strict=True):
                np.testing.assert_array_equal(row, alone[i])


def test_each_iter_is_the_next_epoch_and_set_epoch_goes_back(photos: Path) -> None:
    with feed_of(photos, shuffle=True) as feed:
        first = [index.tolist() for _, index in feed]
        second = [index.tolist() for _, index in feed]
        assert first != second
        assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second))
        feed.set_epoch(0)
        assert [index.tolist() for _, index in feed] == first
        assert [index.tolist() for _, index in feed] == second


def test_repeat_runs_on_across_epochs(photos: Path) -> None:
    with feed_of(photos, shuffle=True) as feed:
        epochs = [[index.tolist() for _, index in feed] for _ in range(2)]
        feed.set_epoch(0)
        assert [index.tolist() for _, index in feed.repeat(2)] == epochs[0] + epochs[1]
        feed.set_epoch(0)
        endless = feed.repeat()
        assert [index.tolist() for _, index in itertools.islice(endless, 20)][:14] == epochs[0] + epochs[1]
        endless.close()


def test_a_loop_may_break_and_start_again(photos: Path) -> None:
    with feed_of(photos, shuffle=True) as feed:
        reference = [index.tolist() for _, index in feed]
        for epoch in range(1, 6):
            feed.set_epoch(0)
            seen = []
            for _, index in feed:
                seen.append(index.tolist())
                if len(seen) == epoch:
                    break
            assert seen == reference[:epoch]


def test_a_newer_iteration_ends_the_older_one(photos: Path) -> None:
    with feed_of(photos) as feed:
        older = iter(feed)
        next(older)
        newer = iter(feed)
        assert next(newer)[1].tolist() == list(range(8))
        with pytest.raises(ff.FeedClosed, match="newer iteration"):
            next(older)
        assert len(list(newer)) == len(feed) - 1


def test_an_older_iteration_that_was_not_begun_does_not_disturb_the_newer_one(photos: Path) -> None:
    with feed_of(photos) as feed:
        older, newer = iter(feed), iter(feed)
        assert next(newer)[1].tolist() == list(range(8))
        with pytest.raises(ff.FeedClosed, match="newer iteration"):
            next(older)
        assert [len(index) for _, index in newer] == [8, 8, 8, 8, 8, 2]


def test_two_feeds_run_at_once(photos: Path) -> None:
    with feed_of(photos) as one, feed_of(photos, shuffle=True, ordered=False) as two:
        pairs = list(zip(one, two, strict=True))
        for feed in zip(*pairs, strict=True):
            assert sorted(index for _, indices in feed for index in indices.tolist()) == list(range(50))


def test_views_slices_and_copies_outlive_batch_epoch_and_feed(photos: Path) -> None:
    feed = feed_of(photos, prefetch=4)
    kept = []
    for epoch in range(3):
        for number, (images, _) in enumerate(feed):
            if number % 3 == epoch:
                kept.append((images[:2, ::2], images[:2, ::2].copy()))
    feed.close()
    del feed, images
    gc.collect()
    assert len(kept) == 7
    for view, copy in kept:
        np.testing.assert_array_equal(view, copy)


def test_a_list_of_all_batches_is_right_although_the_ring_is_small(photos: Path) -> None:
    with feed_of(photos, prefetch=2) as feed:
        batches = list(feed)
        assert feed.stats().copies > 0
    with feed_of(photos, num_workers=0) as plain:
        for (images, index), (expected, expected_index) in zip(batches, plain, strict=True):
            np.testing.assert_array_equal(images, expected)
            np.testing.assert_array_equal(index, expected_index)


@pytest.mark.parametrize("prefetch", [1, 2, 3])
def test_no_more_than_prefetch_batches_are_worked_on_while_the_consumer_stops(photos: Path, prefetch: int) -> None:
    with feed_of(photos, prefetch=prefetch, batch_size=4) as feed:
        batches = iter(feed)
        kept = next(batches)
        probe.wait_for_sleepers(feed, 2)
        assert probe.samples_done(feed) <= prefetch * 4
        del kept
        batches.close()


def test_batches_are_writable_and_views_of_shared_memory(photos: Path) -> None:
    with feed_of(photos) as feed:
        batches = iter(feed)
        images, _ = next(batches)
        assert not images.flags.owndata
        images *= 2
        batches.close()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("layout", "shape"), [("NHWC", (8, 24, 32, 3)), ("NCHW", (8, 3, 24, 32))])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_shape_and_dtype_are_what_was_asked_for(
    photos: Path, workers: int, layout: str, shape: tuple[int, ...], dtype: str
) -> None:
    with feed_of(photos, layout=layout, dtype=dtype, num_workers=workers, with_index=False) as feed:
        images = next(iter(feed))
        assert images.shape == shape
        assert images.dtype == dtype
        assert images.max() > (1 if dtype == "uint8" else 0.3)
        assert images.max() <= (255 if dtype == "uint8" else 1)


# ---- resuming ----


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("taken", [0, 3, 7])
def test_a_loaded_state_goes_on_where_it_was_saved(photos: Path, ordered: bool, taken: int) -> None:
    options = {"size": None, "transforms": RANDOM, "shuffle": True, "seed": 2, "ordered": ordered}
    whole = dict(digests(feed_of(photos, **options)))
    with feed_of(photos, **options) as feed:
        before = {}
        for images, index in itertools.islice(iter(feed), taken):
            before[tuple(index.tolist())] = hashlib.sha256(images).hexdigest()
        state = feed.state_dict()
    with feed_of(photos, **options) as feed:
        feed.load_state_dict(state)
        rest = (
            {tuple(index.tolist()): hashlib.sha256(images).hexdigest() for images, index in feed} if taken < 7 else {}
        )
    assert {**before, **rest} == whole
    assert len(before) + len(rest) == len(whole)


def test_a_state_of_another_source_is_refused_in_words(photos: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(photos, moved)
    state = feed_of(photos).state_dict()
    feed_of(moved, batch_size=4).load_state_dict(state)
    (moved / "000.jpg").rename(moved / "0.jpg")
    with pytest.raises(ff.ConfigError, match=r"the digest of the source was .* and is"):
        feed_of(moved).load_state_dict(state)


def test_ranks_resume_from_the_state_of_any_one_and_may_be_more_or_fewer(photos: Path) -> None:
    expected = sorted(int(index) for _, indices in feed_of(photos) for index in indices)
    got: list[int] = []
    state: dict | None = None
    for world, batch_size, workers in ((1, 8, 1), (2, 4, 2), (4, 1, 0), (3, 8, 5)):
        states = []
        for rank in range(world):
            options = {"batch_size": batch_size, "shard": (rank, world), "shuffle": True, "num_workers": workers}
            with feed_of(photos, uneven="keep", **options) as feed:
                if state is not None:
                    feed.load_state_dict(state)
                with contextlib.closing(iter(feed)) as batches:
                    for _, index in itertools.islice(batches, None if world == 3 else 2):
                        got += index.tolist()
                    states.append(feed.state_dict())
        assert all(each == states[0] for each in states) or world == 3
        state = states[-1]
    assert sorted(got) == expected


@pytest.mark.parametrize(
    "changed", [{"left": [[99, []]]}, {"left": [[-1, []]]}, {"epoch": "a"}, {"epoch": 1.0}, {"left": 3}]
)
def test_a_state_that_somebody_has_changed_is_refused_and_changes_nothing(photos: Path, changed: dict) -> None:
    with feed_of(photos) as feed:
        expected = [index.tolist() for _, index in feed]
        with pytest.raises(ff.ConfigError, match=r"this is not what state_dict\(\) returned"):
            feed.load_state_dict({**feed.state_dict(), **changed})
        assert [index.tolist() for _, index in feed] == expected


# ---- stats and options ----


def test_stats_name_the_slow_side(photos: Path) -> None:
    with feed_of(photos, size=(512, 512), num_workers=1, batch_size=2) as feed:
        for _ in feed:
            pass
        stats = feed.stats()
    assert stats.verdict == "workers"
    assert "more workers" in stats.sentence
    assert (stats.batches, stats.samples, stats.failed, stats.deaths) == (25, 50, 0, 0)
    assert stats.bytes_read == sum(path.stat().st_size for path in photos.iterdir())
    assert feed.stats().bytes_read == stats.bytes_read


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers=-1"),
        ({"num_workers": 5000}, "num_workers=5000: pass a whole number, from 0 to 4095"),
        ({"num_workers": 1.5}, "num_workers=1.5"),
        ({"prefetch": 0}, "prefetch=0"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": "1"}, "timeout='1'"),
        ({"ordered": 1}, "ordered=1"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"with_index": 1}, "with_index=1: pass True or False"),
        ({"exact": "no"}, "exact='no': pass True or False"),
        ({"orient": None}, "orient=None: pass True or False"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"shard": (2, 2)}, "shard"),
        ({"seed": -1}, "seed=-1"),
        ({"dtype": "float64"}, "dtype"),
        ({"layout": "CHW"}, "layout"),
        ({"size": 0}, "size"),
    ],
)
def test_an_option_that_cannot_work_is_named(photos: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        feed_of(photos, **options)


def test_a_timeout_may_be_longer_than_the_system_counts(photos: Path) -> None:
    with feed_of(photos, timeout=1e9) as feed:
        assert len(list(feed)) == len(feed)
