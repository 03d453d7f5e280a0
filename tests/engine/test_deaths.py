"""Workers that die, hang or cannot be started, and a damaged ring: nothing is lost, and who is to blame is named."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import probe
import pytest
from drive import encode
from feeds import feed_of
from user_functions import content, dies_of_red, hangs_on_red

import fastfeed as ff


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


@pytest.fixture
def one_red(make_folder: Callable[..., Path]) -> Path:
    from PIL import Image

    files = {f"{i}.png": encode(Image.new("RGB", (16, 16), (10 * i, 100, 0)), "PNG") for i in range(8)}
    files["3.png"] = encode(Image.new("RGB", (16, 16), (255, 0, 0)), "PNG")
    return make_folder(files)


@pytest.mark.parametrize(
    ("call", "word", "timeout"), [(dies_of_red, "SIGKILL", None), (hangs_on_red, "timeout=1", 1.0)]
)
def test_a_sample_that_kills_or_hangs_its_worker_twice_is_set_aside(
    one_red: Path, call, word: str, timeout: float | None
) -> None:
    with feed_of(one_red, size=16, transforms=[call], batch_size=4, on_error="skip", timeout=timeout) as feed:
        assert [index.tolist() for _, index in feed] == [[0, 1, 2], [4, 5, 6, 7]]
        assert [error.index for error in feed.errors] == [3]
        assert word in feed.errors[0].reason
        assert feed.stats().deaths == 2


def test_a_poisonous_sample_is_raised_with_its_path_and_signal(one_red: Path) -> None:
    feed = feed_of(one_red, size=16, transforms=[dies_of_red], batch_size=4)
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


# ---- what the system refuses, and what others do to workers ----


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
    with ff.map(abs, [-1, -2], chunk_size=1, num_workers=2, timeout=0.2) as feed:
        assert list(feed) == [1, 2]
        probe.wait_for_sleepers(feed, 2)
        stopped = probe.workers(feed)[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            assert list(feed) == [1, 2]
        finally:
            os.kill(stopped, signal.SIGCONT)
