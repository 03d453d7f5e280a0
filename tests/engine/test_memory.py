"""Memory that consumer and workers share: sealed, grown, and refused in words that fit the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fastfeed as ff
from fastfeed import _native
from fastfeed.engine import memory
from fastfeed.engine.payload import PayloadRing
from fastfeed.engine.ring import Ring


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


def test_address_space_that_other_feeds_have_used_up_makes_smaller_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    mapping, asked = _native.Mapping, []

    def refuse_large(fd: int, size: int, writable: bool) -> _native.Mapping:
        asked.append(size)
        if size > 1 << 30:
            raise MemoryError("cannot map")
        return mapping(fd, size, writable)

    monkeypatch.setattr("fastfeed.engine.payload.memory_limit", lambda: 1 << 40)
    monkeypatch.setattr("fastfeed._native.Mapping", refuse_large)
    with ff.map(abs, [-1, -2], num_workers=1, prefetch=4) as feed:
        assert list(feed) == [1, 2]
    assert len(asked) > 3
    assert asked[-1] <= 1 << 30
    with (
        ff.map(abs, [1], num_workers=1, prefetch=1 << 10) as feed,
        pytest.raises(ff.RingMemoryError, match="ulimit -v"),
    ):
        list(feed)


def test_memory_is_made_to_exist_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fallocate", lambda _fd, start, size: asked.append((start, size)))
    memory.allocate(-1, 4096, 200 << 20, "lower prefetch")
    assert max(size for _, size in asked) <= 64 << 20
    ends = [start + size for start, size in asked]
    assert [start for start, _ in asked] == [4096, *ends[:-1]]
    assert ends[-1] == 4096 + (200 << 20)


@pytest.mark.parametrize("make", [lambda: Ring(2, 3, 100, 1), lambda: PayloadRing(3, 1)], ids=["rows", "payloads"])
def test_slots_begin_at_pages_whatever_their_size(make: Callable[[], Ring]) -> None:
    ring = make()
    page = os.sysconf("SC_PAGE_SIZE")
    assert [slot.at % page for slot in ring.slots] == [0] * len(ring.slots)
    ring.close()


def test_more_slots_or_rows_than_a_ring_can_have_are_refused() -> None:
    with pytest.raises(ff.ConfigError, match=r"prefetch=1048577: pass a whole number, from 1 to 1048576"):
        ff.map(abs, [1], prefetch=(1 << 20) + 1)
    with pytest.raises(ff.RingMemoryError, match="more rows, or larger ones, than a ring can have: lower prefetch"):
        Ring(1, (1 << 26) + 1, 1, 1)
