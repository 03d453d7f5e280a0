"""What a feed says of itself in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drive import encode, picture
from user_functions import each_squared, square

import fastfeed as ff

FACES = "for a framework, pass feed.to_keras(), feed.to_tf(), feed.to_jax() or feed.to_torch()"
ITEMS = list(range(60))


def test_a_printed_feed_says_what_is_fed_in_what_batches_by_whom_and_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(encode(picture(number)))
    with ff.images("photos", 8, batch_size=4, num_workers=2) as feed:
        assert repr(feed) == (
            "<fastfeed.Feed: images from Files(10 files in 'photos/', 2 classes); "
            "batches of float32 (4, 8, 8, 3), int64 (4,); 2 workers; "
            f"epoch 0, 0 of 3 batches delivered; {FACES}>"
        )


def test_of_each_kind_of_work_is_said_what_is_known_of_it() -> None:
    table = {"x": np.zeros((60, 3), np.float32), "y": np.zeros(60, np.int32)}
    assert ff.arrays(table, batch_size=8, num_workers=0, shard=(1, 3)).summary() == (
        "60 rows of 2 arrays, shard 1 of 3; batches of {'x': float32 (8, 3), 'y': int32 (8,)}; made in this process; "
        "epoch 0, 0 of 3 batches delivered"
    )
    assert ff.arrays(np.zeros(9), sampler=iter([1, 2]), num_workers=1).summary() == (
        "9 rows of an array; batches of float64 (32,); 1 worker; epoch 0, 0 batches delivered"
    )
    assert ff.map(square, ITEMS, num_workers=3).summary() == (
        "map of square over 60 items; 3 workers; epoch 0, 0 of 60 items delivered"
    )
    assert ff.map(square, iter(ITEMS), batch_size=4, num_workers=3).summary() == (
        "map of square over a list_iterator; batches of 4 results; 3 workers; next epoch 0"
    )
    assert ff.map(square, [], num_workers=0).summary() == (
        "map of square over 0 items; made in this process; epoch 0, 0 of 0 items delivered"
    )
    runs = ff.parallel(each_squared, split="items", split_size=4, num_workers=2)
    assert runs(ITEMS).summary() == "each_squared in 15 runs; 2 workers; next epoch 0"
    assert ff.parallel(each_squared)(ITEMS).summary() == "each_squared in 1 stream; 1 worker; next epoch 0"


def test_a_feed_says_how_far_the_loop_is_and_when_it_is_closed() -> None:
    with ff.arrays(np.arange(40), batch_size=4, num_workers=1) as feed:
        for count, _ in enumerate(feed, start=1):
            assert feed.summary().endswith(f"epoch {count // 10}, {count % 10} of 10 batches delivered")
        batches = iter(feed)
        next(batches)
        feed.load_state_dict(feed.state_dict())
        assert feed.summary().endswith("1 worker; epoch 1, 0 of the last 9 batches delivered")
    assert feed.summary().endswith("closed; epoch 1, 0 of the last 9 batches delivered")


def test_a_map_over_a_sequence_counts_the_items_that_the_loop_has_had() -> None:
    with ff.map(square, ITEMS, chunk_size=7, num_workers=1) as feed:
        for count, _ in enumerate(feed, start=1):
            assert feed.summary().endswith(f"epoch {count // 60}, {count % 60} of 60 items delivered")
        assert feed.summary().endswith("epoch 1, 0 of 60 items delivered")


def test_what_is_made_of_a_feed_says_of_what() -> None:
    with ff.arrays(np.arange(40), batch_size=4, num_workers=0) as feed:
        assert repr(ff.replay(feed, 3)) == "<fastfeed.Replay: 3 batches of int64 (4,) again and again, 10 an epoch>"
        assert repr(ff.prefetch(feed)) == f"<fastfeed.Prefetch: 2 items ahead; {feed.summary()}>"
    wrapped = ff.parallel(each_squared)
    assert repr(wrapped) == "<fastfeed.parallel(each_squared): a call of it, as one of each_squared, gives a feed>"
    assert repr(ff.prefetch([1, 2])) == "<fastfeed.Prefetch: 2 items ahead; [1, 2]>"
