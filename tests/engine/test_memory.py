"""Memory that consumer and workers share: sealed, grown, and refused in words that fit the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fastfeed as ff
from fastfeed.engine import memory


@pytest.mark.parametrize("writable", [False, True])
def test_what_is_sealed_keeps_its_size_and_unless_it_is_writable_its_content(writable: bool) -> None:
    fd = memory.sealed("test", lambda fd: memory.write_all(fd, b"abcd"), writable=writable)
    try:
        assert os.pread(fd, 9, 0) == b"abcd"
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 9)
        if writable:
            assert os.pwrite(fd, b"x", 1) == 1
        else:
            with pytest.raises(PermissionError):
                os.pwrite(fd, b"x", 1)
    finally:
        os.close(fd)


def test_writing_goes_on_after_short_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: write(fd, content[:3]))
    fd = memory.sealed("test", lambda fd: memory.write_all(fd, b"0123456789"))
    try:
        assert os.pread(fd, 99, 0) == b"0123456789"
    finally:
        os.close(fd)


def test_a_descriptor_of_what_could_not_be_written_is_closed() -> None:
    seen = []

    def fail(fd: int) -> None:
        seen.append(fd)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        memory.sealed("test", fail)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(seen[0])


def test_a_value_beyond_its_slot_is_refused_with_both_sizes() -> None:
    said = r"a value needs 3\.0 GiB of memory, and one slot may use 2\.0 GiB: lower prefetch"
    with pytest.raises(ff.RingMemoryError, match=said):
        memory.grow(-1, 0, 3 << 30, 2 << 30, 0)


FEEDS: dict[str, Callable[[Path], ff.Feed]] = {
    "images": lambda folder: ff.images(folder, 64, labels=None, num_workers=1),
    "arrays": lambda folder: ff.arrays(np.zeros((64, 1000)), num_workers=1),
    "map": lambda folder: ff.map(len, [b"x" * 100_000], num_workers=1),
}


@pytest.mark.parametrize("kind", FEEDS)
def test_memory_that_the_system_refuses_is_an_error_with_a_remedy_for_this_work(
    photos: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    allocate, asked = os.posix_fallocate, []

    def refuse_the_second(fd: int, start: int, size: int) -> None:
        asked.append(size)
        if len(asked) > 1:  # the first is for the ring's words
            raise OSError(28, "No space left on device")
        allocate(fd, start, size)

    monkeypatch.setattr(os, "posix_fallocate", refuse_the_second)
    with FEEDS[kind](photos) as feed, pytest.raises(ff.RingMemoryError, match="lower prefetch") as caught:
        list(feed)
    assert "more of shared memory was refused (No space left on device)" in str(caught.value)
    assert ("image" in str(caught.value)) == (kind == "images")


def test_too_little_address_space_is_an_error_with_the_limits_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError("cannot map 1 bytes")

    monkeypatch.setattr("fastfeed._native.Mapping", refuse)
    said = r"cannot map 1 bytes\): raise the limits of this process \(ulimit -v and ulimit -f\), or lower prefetch"
    with ff.map(abs, [1], num_workers=1) as feed, pytest.raises(ff.RingMemoryError, match=said):
        list(feed)
