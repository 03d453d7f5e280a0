"""The feed over real files: epochs, order, back-pressure, leases, errors, deaths, resuming."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import probe
import psutil
import pytest
from drive import encode, picture
from user_functions import content

import fastfeed as ff


def feed_of(folder: Path, **options: object) -> ff.Feed:
    defaults: dict[str, object] = {"size": (24, 32), "batch_size": 8, "with_index": True, "num_workers": 2}
    return ff.images(folder, **{**defaults, "labels": None, **options})


def digests(feed: ff.Feed) -> list[tuple[tuple[int, ...], str]]:
    with feed:
        return [(tuple(index.tolist()), hashlib.sha256(images).hexdigest()) for images, index in feed]


RANDOM = (ff.RandomResizedCrop((24, 32)), ff.RandomHorizontalFlip())


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


# ---- bad samples ----


def bad_files() -> dict[str, bytes]:
    good = encode(picture(0), quality=90)
    huge = bytearray(good)
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"
    return {
        "00 good.jpg": good,
        "01 corrupt.jpg": good[:200] + bytes(100) + good[300:],
        "02 cut.jpg": good[: len(good) // 2],
        "03 empty.jpg": b"",
        "04 text.jpg": b"this is no image",
        "05 huge.jpg": bytes(huge),
        "06 good.jpg": encode(picture(6), quality=90),
        "07 cut.png": encode(picture(7), "PNG")[:-40],
        "08 good.png": encode(picture(8), "PNG"),
    }


BAD = ["02 cut.jpg", "03 empty.jpg", "04 text.jpg", "05 huge.jpg", "07 cut.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_leaves_bad_rows_out_and_keeps_labels_aligned(make_folder: Callable[..., Path], workers: int) -> None:
    folder = make_folder(bad_files())
    names = sorted(bad_files())
    with ff.images(
        folder, 16, labels=lambda path: Path(path).name, batch_size=9, on_error="skip", num_workers=workers
    ) as feed:
        ((images, labels),) = list(feed)
        left_out = {Path(error.path).name for error in feed.errors}
    assert set(BAD) <= left_out <= {*BAD, "01 corrupt.jpg"}
    assert labels == [name for name in names if name not in left_out]
    assert images.shape == (len(labels), 16, 16, 3)
    with ff.images([folder / name for name in labels], 16, batch_size=9, num_workers=0) as plain:
        np.testing.assert_array_equal(images, next(iter(plain)))


@pytest.mark.parametrize("workers", [0, 2])
def test_replace_gives_zeros_in_place_of_bad_rows(make_folder: Callable[..., Path], workers: int) -> None:
    folder = make_folder(bad_files())
    with ff.images(folder, 16, batch_size=9, labels=None, on_error="replace", num_workers=workers) as feed:
        (images,) = list(feed)
        bad = {error.index for error in feed.errors}
    assert images.shape == (9, 16, 16, 3)
    for row, image in enumerate(images):
        assert (not image.any()) == (row in bad)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", BAD)
def test_raise_names_file_reason_and_remedy(make_folder: Callable[..., Path], workers: int, name: str) -> None:
    folder = make_folder({key: content for key, content in bad_files().items() if key in (name, "00 good.jpg")})
    with ff.images(folder, 16, labels=None, num_workers=workers) as feed:
        with pytest.raises(ff.SampleError, match="on_error") as caught:
            list(feed)
        assert caught.value.path.endswith(name)
        assert caught.value.index == 1 - (name < "00 good.jpg")
        assert len(caught.value.reason) > 5
        assert [error.index for error in feed.errors] == [1]


def test_a_missing_file_a_folder_and_a_pipe_are_bad_samples(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    paths = [tmp_path / name for name in ("gone.jpg", "pipe.jpg", "folder.jpg")]
    with ff.images(paths, 16, on_error="replace", num_workers=1) as feed:
        (images,) = list(feed)
        reasons = {Path(error.path).name: error.reason for error in feed.errors}
    assert images.shape == (3, 16, 16, 3)
    assert reasons["gone.jpg"] == "there is no such file: check the path"
    assert "not a regular file" in reasons["pipe.jpg"]
    assert "directory" in reasons["folder.jpg"]


def lacks(image: np.ndarray) -> np.ndarray:
    return image[{"cat": 1}["dog"]]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_transform_that_raises_is_named_with_its_line_and_the_file_is_not_blamed(photos: Path, workers: int) -> None:
    with feed_of(photos, transforms=[lacks], num_workers=workers) as feed, pytest.raises(ff.SampleError) as caught:
        next(iter(feed))
    line = lacks.__code__.co_firstlineno + 1
    assert "transform lacks raised KeyError: 'dog' (" in str(caught.value)
    assert f" ({__file__}, line {line}); mend the function, or pass" in str(caught.value)


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
def test_a_bad_file_whose_name_is_no_text_has_a_message_that_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"h\xe9.jpg")).write_bytes(b"")
    with ff.images(tmp_path, 16, on_error="skip", num_workers=0) as feed:
        assert list(feed) == []
    assert b"h\\udce9.jpg (index 0): the file is empty" in str(feed.errors[0]).encode()
    assert Path(feed.errors[0].path).exists()


def test_a_batch_of_only_bad_samples_is_left_out(make_folder: Callable[..., Path]) -> None:
    folder = make_folder({f"{i}.jpg": b"" if i < 4 else encode(picture(i)) for i in range(8)})
    with feed_of(folder, batch_size=4, on_error="skip") as feed:
        assert [index.tolist() for _, index in feed] == [[4, 5, 6, 7]]
        assert [error.index for error in feed.errors] == [0, 1, 2, 3]


def test_a_feed_goes_on_after_a_bad_sample_was_raised(make_folder: Callable[..., Path]) -> None:
    folder = make_folder({f"{i}.jpg": b"" if i == 5 else encode(picture(i)) for i in range(8)})
    with feed_of(folder, batch_size=2) as feed:
        for _ in range(2):
            seen = []
            with pytest.raises(ff.SampleError):
                seen.extend(int(i) for _, index in feed for i in index)
            assert seen == [0, 1, 2, 3]


def test_a_file_without_label_follows_on_error(photos: Path) -> None:
    labels = {f"{i:03}.jpg": i for i in range(50) if i % 10}
    with ff.images(photos, 16, labels=labels, on_error="skip", num_workers=1) as feed:
        seen = np.concatenate([batch_labels for _, batch_labels in feed])
        assert seen.tolist() == [i for i in range(50) if i % 10]
        assert [error.index for error in feed.errors] == [0, 10, 20, 30, 40]
    with ff.images(photos, 16, labels=labels, num_workers=1) as feed, pytest.raises(ff.SampleError, match="label"):
        list(feed)


# ---- deaths ----


def test_killed_workers_are_replaced_and_nothing_is_lost(photos: Path) -> None:
    with feed_of(photos, num_workers=0, shuffle=True, batch_size=2) as plain:
        expected = [(images.copy(), index.tolist()) for images, index in plain]
    with feed_of(photos, num_workers=2, shuffle=True, batch_size=2) as feed:
        for number, (images, index) in enumerate(feed):
            np.testing.assert_array_equal(images, expected[number][0])
            assert index.tolist() == expected[number][1]
            if number in (0, 7, 20):
                probe.kill(feed, number % 2)
        assert number == 24
    assert feed.stats().deaths >= 2


def test_an_interrupt_between_reaping_and_replacing_forgets_no_worker(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastfeed.engine.crew import Crew

    replace, calls = Crew.replace, []

    def interrupted(self: Crew, *args: object) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        replace(self, *args)

    monkeypatch.setattr(Crew, "replace", interrupted)
    with feed_of(photos, batch_size=2) as feed:
        batches = iter(feed)
        next(batches)
        probe.kill_all(feed)
        with pytest.raises(KeyboardInterrupt):
            list(batches)
        assert sum(len(index) for _, index in feed) == 50
        assert len(probe.workers(feed)) == 2


def poisonous(image: np.ndarray) -> np.ndarray:
    if image[0, 0, 0] > 250 and image[0, 0, 1] < 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return image


def endless(image: np.ndarray) -> np.ndarray:
    if image[0, 0, 0] > 250 and image[0, 0, 1] < 5:
        threading.Event().wait()
    return image


@pytest.fixture
def one_red(make_folder: Callable[..., Path]) -> Path:
    from PIL import Image

    files = {f"{i}.png": encode(Image.new("RGB", (16, 16), (10 * i, 100, 0)), "PNG") for i in range(8)}
    files["3.png"] = encode(Image.new("RGB", (16, 16), (255, 0, 0)), "PNG")
    return make_folder(files)


@pytest.mark.parametrize(("call", "word", "timeout"), [(poisonous, "SIGKILL", None), (endless, "timeout=1", 1.0)])
def test_a_sample_that_kills_or_hangs_its_worker_twice_is_set_aside(
    one_red: Path, call, word: str, timeout: float | None
) -> None:
    with feed_of(one_red, size=16, transforms=[call], batch_size=4, on_error="skip", timeout=timeout) as feed:
        assert [index.tolist() for _, index in feed] == [[0, 1, 2], [4, 5, 6, 7]]
        assert [error.index for error in feed.errors] == [3]
        assert word in feed.errors[0].reason
        assert feed.stats().deaths == 2


def test_a_poisonous_sample_is_raised_with_its_path_and_signal(one_red: Path) -> None:
    feed = feed_of(one_red, size=16, transforms=[poisonous], batch_size=4)
    with feed, pytest.raises(ff.SampleError, match=r"3\.png.*SIGKILL"):
        list(feed)


def test_workers_that_die_at_start_are_reported_and_not_retried_for_ever(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastfeed.engine.launch._BOOT", "raise SystemExit(3)")
    with feed_of(photos) as feed, pytest.raises(ff.WorkerDied, match="exited with code 3") as caught:
        list(feed)
    assert caught.value.signal is None


def test_damaged_words_end_the_workers_and_the_batch_is_made_again(photos: Path) -> None:
    with feed_of(photos, num_workers=0) as plain:
        expected = [images.copy() for images, _ in plain]
    with feed_of(photos, num_workers=2) as feed:
        for number, (images, _) in enumerate(feed):
            np.testing.assert_array_equal(images, expected[number])
            if number == 2:
                probe.damage(feed)
        assert number == 6
        assert feed.stats().deaths >= 1


def test_damaged_words_of_a_loop_that_was_left_do_not_hold_up_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ff.map(content, ["", str(path)], chunk_size=1, num_workers=1, prefetch=2) as feed:
        batches = iter(feed)
        assert next(batches) == ""
        while not probe.is_being_written(feed, 1):
            os.sched_yield()
        batches.close()
        ring = probe.ring(feed)
        probe.set_word(ring, ring.slots[1], 0, 0xFFFF_FFFF_FFFF_FFFF)
        del ring
        path.unlink()
        path.write_text("now a file")
        for _ in range(2):
            assert list(feed) == ["", "now a file"]
        assert feed.stats().deaths == 1


def test_what_becomes_of_the_indices_after_the_rows_were_made_does_not_matter(photos: Path) -> None:
    with feed_of(photos, num_workers=1, prefetch=3) as feed:
        batches = iter(feed)
        seen = next(batches)[1].tolist()
        probe.wait_until_idle(feed, 1)
        probe.scribble_indices(feed)
        for _, index in batches:
            seen += index.tolist()
    assert seen == list(range(50))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_in_which_every_sample_is_skipped_does_not_end_without_a_word(tmp_path: Path, workers: int) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(5)]
    for path in paths:
        path.write_bytes(b"no image")
    words = r"no sample of an epoch could be used, and on_error='skip' has left out all 5; the first: .*0\.jpg"
    with ff.images(paths, 8, labels=None, batch_size=2, on_error="skip", num_workers=workers) as feed:
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match=words) as caught:
                assert list(feed) == []
            assert len(caught) == 1


def test_an_epoch_with_one_usable_sample_is_no_reason_for_a_warning(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    sources = [tmp_path / "bad.jpg"] * 4
    good = tmp_path / "good.jpg"
    good.write_bytes(encode(picture(0)))
    with ff.images([*sources, good], 8, labels=None, batch_size=1, on_error="skip", num_workers=1) as feed:
        assert [len(list(feed)) for _ in range(3)] == [1, 1, 1]


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


# ---- the end ----


def test_close_may_be_called_again_and_iterating_then_says_so(photos: Path) -> None:
    feed = feed_of(photos)
    next(iter(feed))
    feed.close()
    feed.close()
    with pytest.raises(ff.FeedClosed, match="make a new one"):
        iter(feed)


def test_a_feed_that_is_dropped_ends_its_workers(photos: Path) -> None:
    feed = feed_of(photos)
    batches = iter(feed)
    next(batches)
    pids = probe.workers(feed)
    del feed, batches
    gc.collect()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_workers_end_with_a_consumer_that_is_killed(photos: Path) -> None:
    code = (
        "import os, sys, fastfeed\n"
        "sys.path.append(sys.argv[2])\n"
        "import probe\n"
        "feed = fastfeed.images(sys.argv[1], 16, num_workers=2)\n"
        "next(iter(feed))\n"
        "batches = iter(feed); next(batches)\n"
        "print(*probe.workers(feed), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(photos), str(Path(probe.__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -9, done.stderr
    for pid in map(int, done.stdout.split()):
        try:
            psutil.wait_procs([psutil.Process(pid)], timeout=10)
        except psutil.NoSuchProcess:
            continue
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_interrupt_reaches_the_loop_and_leaves_nothing(photos: Path) -> None:
    code = (
        "import os, signal, sys, psutil, fastfeed\n"
        "feed = fastfeed.images(sys.argv[1], 16, num_workers=2, batch_size=4)\n"
        "try:\n"
        "    for number, images in enumerate(feed.repeat()):\n"
        "        if number == 20: os.killpg(0, signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    assert feed.stats().deaths == 0\n"
        "    assert len(list(feed)) == len(feed)\n"
        "    feed.close()\n"
        "    print(len(psutil.Process().children()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(photos)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_a_forked_child_is_told_that_the_feed_is_not_its_own(photos: Path) -> None:
    with feed_of(photos) as feed:
        batches = iter(feed)
        next(batches)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                next(batches)
            except ff.FeedClosed:
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert len(list(batches)) == len(feed) - 1


def test_a_feed_works_in_a_thread_and_in_a_daemonic_process(photos: Path) -> None:
    code = (
        "import multiprocessing, sys, threading, fastfeed\n"
        "def count(folder, out):\n"
        "    with fastfeed.images(folder, 16, num_workers=2) as feed: out.append(sum(map(len, feed)))\n"
        "def child(folder):\n"
        "    seen = []\n"
        "    thread = threading.Thread(target=count, args=(folder, seen))\n"
        "    thread.start(); thread.join()\n"
        "    print(seen, flush=True)\n"
        "process = multiprocessing.get_context('fork').Process(target=child, args=(sys.argv[1],), daemon=True)\n"
        "process.start(); process.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(photos)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[50]\n"


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


# ---- interrupts and failures of the system ----


def test_an_interrupt_during_delivery_loses_no_slot(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with feed_of(photos, prefetch=1) as feed:
        assert len(list(feed)) == len(feed)
        with monkeypatch.context() as patch:

            def interrupted(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(probe.job(feed), "deliver", interrupted)
            with pytest.raises(KeyboardInterrupt):
                list(feed)
        assert len(list(feed)) == len(feed)


def test_slots_that_a_kept_exception_refers_to_are_an_error_and_no_wait_for_ever(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with feed_of(photos, prefetch=1) as feed:
        with monkeypatch.context() as patch:

            def interrupted(arrays: list[np.ndarray], _: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(probe.job(feed), "assemble", interrupted)
            kept = None
            try:
                list(feed)
            except KeyboardInterrupt as error:
                kept = error
        feed.set_epoch(0)
        with pytest.raises(ff.RingMemoryError, match="traceback"):
            list(feed)
        assert kept is not None
        kept = None
        feed.set_epoch(0)
        assert len(list(feed)) == len(feed)


@pytest.mark.parametrize("calls", [["wait"], ["wait", "kill"]], ids=["once", "twice"])
def test_close_after_an_interrupted_close_ends_the_workers(
    photos: Path, monkeypatch: pytest.MonkeyPatch, calls: list[str]
) -> None:
    from fastfeed.engine.crew import Crew

    feed = feed_of(photos)
    next(iter(feed))
    pids = probe.workers(feed)
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        for call in calls:
            patch.setattr(Crew, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            feed.close()
    feed.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_successor_that_cannot_be_started_is_tried_again(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with feed_of(photos, num_workers=1, batch_size=2) as feed:
        with monkeypatch.context() as patch:

            def refused(*_: object, **__: object) -> None:
                raise BlockingIOError(11, "no more processes")

            batches = iter(feed)
            next(batches)
            patch.setattr(os, "posix_spawn", refused)
            probe.kill(feed)
            with pytest.raises(ff.ConfigError, match="num_workers=1: pass a smaller number, or raise the limits"):
                list(batches)
        assert sum(len(index) for _, index in feed) == 50


@pytest.mark.parametrize("name", ["dup", "eventfd", "memfd_create", "pidfd_open", "posix_spawn", "fcntl"])
def test_a_start_without_descriptors_or_processes_leaves_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import fcntl

    home = fcntl if name == "fcntl" else os
    call = getattr(home, name)
    for refused in range(1, 30):
        calls = []

        def fails(*args: object, calls: list[object] = calls, refused: int = refused, **options: object) -> object:
            calls.append(args)
            if len(calls) == refused:
                raise OSError(24, "Too many open files")
            return call(*args, **options)

        with feed_of(photos) as feed, monkeypatch.context() as patch:
            patch.setattr(home, name, fails)
            if not refusal(feed):
                return
    raise AssertionError("never got through")


def refusal(feed: ff.Feed) -> bool:
    try:
        next(iter(feed))
    except ff.ConfigError as error:
        return "num_workers=2: pass a smaller number" in str(error)
    return False


def test_all_of_many_workers_may_be_killed_at_once() -> None:
    rows = np.arange(40)
    with ff.arrays(rows, batch_size=1, num_workers=14, prefetch=2) as feed:
        list(feed)
        while not probe.all_attached(feed, 14):
            list(feed)
        pids = probe.workers(feed)
        assert len(pids) == 14
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert [int(batch[0]) for batch in feed] == rows.tolist()


def test_workers_may_be_waited_for_by_others(photos: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with feed_of(photos, batch_size=2) as feed:
            batches = iter(feed)
            next(batches)
            probe.kill(feed)
            assert len(list(batches)) == len(feed) - 1
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_stopped_worker_that_was_roused_does_not_keep_the_work_from_the_others() -> None:
    with ff.map(abs, [-1], num_workers=2, timeout=0.2) as feed:
        assert list(feed) == [1]
        probe.wait_for_sleepers(feed, 2)
        stopped = probe.workers(feed)[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert list(feed) == [1]
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_a_feed_closed_by_a_signal_handler_while_it_waits_says_so() -> None:
    feed = ff.map(abs, [-1, -2], chunk_size=1, num_workers=1, prefetch=1)
    before = signal.signal(signal.SIGUSR1, lambda *_: feed.close())
    try:
        batches = iter(feed)
        next(batches)
        probe.wait_for_sleepers(feed, 1)
        os.kill(probe.workers(feed)[0], signal.SIGSTOP)  # so that there is something to wait for
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(ff.FeedClosed):
            next(batches)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_timeout_may_be_longer_than_the_system_counts(photos: Path) -> None:
    with feed_of(photos, timeout=1e9) as feed:
        assert len(list(feed)) == len(feed)
