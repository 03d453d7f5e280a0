"""What a forked child has of a feed: its own copies of the batches, and nothing else."""

from __future__ import annotations

import contextlib
import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from user_functions import arrays_of_100_kb, square

import fastfeed as ff

ROWS = np.arange(400).reshape(40, 10)


@contextmanager
def child(check: Callable[[], Any]) -> Iterator[None]:
    """Fork; the child makes its check when the block has ended, and this raises what the child raised."""
    go_on, told = os.pipe()
    result, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(told)
            os.read(go_on, 1)
            check()
            said = b""
        except BaseException:
            said = traceback.format_exc().encode()
        os.write(answer, said)
        os._exit(0)
    os.close(answer)
    os.close(go_on)
    try:
        yield
    finally:
        os.close(told)
        said = b""
        while more := os.read(result, 1 << 16):
            said += more
        os.close(result)
        status = os.waitpid(pid, 0)[1]
    assert (status, said.decode()) == (0, "")


def of_rows() -> ff.Feed:
    return ff.arrays(ROWS, batch_size=4, num_workers=1, prefetch=1)


def of_payloads() -> ff.Feed:
    return ff.parallel(arrays_of_100_kb, num_workers=1, prefetch=1)(range(6))


feeds = pytest.mark.parametrize("make", [of_rows, of_payloads])


@feeds
def test_a_batch_keeps_its_content_in_the_child_whatever_the_parent_does(make: Callable[[], ff.Feed]) -> None:
    with make() as feed:
        batches = iter(feed)
        batch = next(batches)
        was = batch.copy()

        def check() -> None:
            np.testing.assert_array_equal(batch, was)

        with child(check):
            batch[:] = -1
            del batch
            for batch in batches:
                batch[:] = -2


@feeds
@pytest.mark.parametrize("closed", [False, True])
def test_what_the_child_writes_does_not_reach_the_parent(make: Callable[[], ff.Feed], closed: bool) -> None:
    feed = make()
    batches = iter(feed)
    batch = next(batches)
    was = batch.copy()
    if closed:
        feed.close()

    def check() -> None:
        batch[:] = -1
        assert (batch == -1).all()

    with child(check):
        pass
    np.testing.assert_array_equal(batch, was)
    feed.close()


def test_an_iterator_is_over_in_the_child_whether_begun_or_not() -> None:
    with ff.map(square, range(30), chunk_size=1, num_workers=1) as feed:
        assert len(list(feed)) == 30
        batches = iter(feed)

        def check() -> None:
            for iterator in (batches, begun):
                with pytest.raises(ff.FeedClosed, match="which forked"):
                    next(iterator)
            with pytest.raises(ff.FeedClosed, match="which forked"):
                iter(feed)
            assert feed.stats().batches >= 31
            feed.close()

        with ff.map(square, [5, 6], chunk_size=1, num_workers=1) as other:
            begun = iter(other)
            assert next(begun) == 25
            assert next(batches) == 0
            with child(check):
                assert list(batches) == [square(item) for item in range(1, 30)]
                assert list(begun) == [36]
            assert feed.stats().deaths == 0


@feeds
def test_the_child_holds_neither_descriptors_nor_memory_of_the_ring(make: Callable[[], ff.Feed]) -> None:
    with make() as feed:
        batches = iter(feed)
        batch = next(batches)
        was = batch.copy()

        def check() -> None:
            targets = ""
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
                    targets += os.readlink(f"/proc/self/fd/{name}") + " "
            for target in ("fastfeed-ring", "fastfeed-spec", "fastfeed-arrays", "pidfd", "eventpoll", "eventfd"):
                assert target not in targets
            assert "fastfeed-ring" not in Path("/proc/self/maps").read_text()
            np.testing.assert_array_equal(batch, was)

        with child(check):
            assert len(list(batches)) > 1


@feeds
def test_a_child_may_fork_and_make_feeds_of_its_own(make: Callable[[], ff.Feed]) -> None:
    with make() as feed:
        batches = iter(feed)
        batch = next(batches)
        was = batch.copy()

        def grandchild() -> None:
            np.testing.assert_array_equal(batch, was)
            batch[:] = -1

        def check() -> None:
            with child(grandchild):
                np.testing.assert_array_equal(batch, was)
            with make() as own:
                assert len(list(own)) == len(list(iter(own)))
            np.testing.assert_array_equal(batch, was)

        with child(check):
            del batch
            for batch in batches:
                batch[:] = -2


def test_a_batch_that_is_pickled_or_copied_is_another_one() -> None:
    with of_rows() as feed:
        batch = next(iter(feed))
        for other in (pickle.loads(pickle.dumps(batch)), batch.copy()):
            other[:] = -1
        np.testing.assert_array_equal(batch, ROWS[:4])
