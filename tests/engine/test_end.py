"""The end of a feed: close, a feed that is dropped, interrupts, forks, and a consumer that is killed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import probe
import psutil
import pytest
from feeds import feed_of

import fastfeed as ff


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


# ---- interrupts of this process ----


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
