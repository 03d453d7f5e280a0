"""Memory maps as arguments and inside functions: they travel by the names of their files."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import probe
import psutil
import pytest
from doors import wrapped
from user_functions import ArrayHolder, described

import fastfeed as ff


@pytest.mark.parametrize("part", [slice(None), slice(5, 9), slice(None, None, 2)])
@pytest.mark.parametrize("options", [{}, {"split": "rows", "split_size": 2}, {"split": "rows"}])
def test_a_read_only_memory_map_is_opened_by_the_workers(tmp_path: Path, options: dict[str, Any], part: slice) -> None:
    np.save(tmp_path / "x.npy", np.arange(40).reshape(20, 2))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")[part]

    def is_mapped_by(worker: psutil.Process) -> bool:
        return "x.npy" in Path(f"/proc/{worker.pid}/maps").read_text()

    with wrapped(described, **options)(x, range(100)) as feed:
        items = iter(feed)
        names, rows = map(list, zip(*itertools.islice(items, 4), strict=True))
        opened = any(map(is_mapped_by, psutil.Process().children()))
        assert opened == x.flags.c_contiguous
        for name, row in items:
            names.append(name)
            rows.append(row)
    assert sorted(rows) == sorted(x[:4].tolist() * 25)
    assert set(names) == {"memmap"}


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("view", ["memmap", "turned", "ndarray"])
def test_a_memory_map_anywhere_inside_travels_by_the_name_of_its_file(tmp_path: Path, mode: Any, view: str) -> None:
    written = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.int64, (2, 4), fortran_order=view == "turned")
    written[:] = [[0, 1, 2, 3], [4, 5, 6, 7]]
    written.flush()
    x = np.load(tmp_path / "x.npy", mmap_mode=mode)
    kind = "ndarray" if view == "ndarray" else "memmap"
    holder = ArrayHolder(np.asarray(x) if view == "ndarray" else x)
    expected = [(kind, [0, 1, 2, 3]), (kind, [4, 5, 6, 7])] * 50
    for feed in (
        ff.map(holder.row, [0, 1] * 50, num_workers=1),
        ff.map(functools.partial(ArrayHolder.row, holder), [0, 1] * 50, num_workers=1),
        ff.parallel(holder.rows, num_workers=1)(),
        ff.parallel(ArrayHolder.rows, num_workers=1)(holder),
    ):
        with feed:
            items = iter(feed)
            assert next(items) == expected[0]
            (worker,) = probe.workers(feed)
            assert "x.npy" in Path(f"/proc/{worker}/maps").read_text()
            assert list(items) == expected[1:]


def test_what_is_written_to_a_memory_map_reaches_its_file(tmp_path: Path) -> None:
    x = np.memmap(tmp_path / "x", np.int64, "w+", shape=(4,))

    def write(number: int) -> int:
        x[number] = number + 1
        return number

    for workers in (0, 1):
        x[:] = 0
        with ff.map(write, range(4), num_workers=workers) as feed:
            assert list(feed) == [0, 1, 2, 3]
        assert x.tolist() == [1, 2, 3, 4]


def test_a_memory_map_whose_file_was_replaced_is_told_or_sent_by_value(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(40).reshape(20, 2))
    x = np.load(path, mmap_mode="r")
    with wrapped(described, copies=True)(x, range(2)) as feed:
        assert [row for _, row in feed] == [[0, 1], [0, 1], [2, 3], [2, 3]]
        path.rename(tmp_path / "old.npy")
        np.save(path, np.zeros((20, 2), int))
        assert [row for _, row in feed] == [[0, 1], [0, 1], [2, 3], [2, 3]]
    np.save(path, np.arange(40).reshape(20, 2))
    x = np.load(path, mmap_mode="r")
    with ff.parallel(described, num_workers=1)(x, range(1000)) as feed:
        items = iter(feed)
        next(items)
        path.rename(tmp_path / "old.npy")
        np.save(path, np.zeros((20, 2), int))
        probe.kill(feed)  # the next worker opens the file anew
        with pytest.raises(ff.WorkerError, match=r"x\.npy has been replaced"):
            list(items)


def test_parts_of_a_memory_map_travel_one_by_one(tmp_path: Path) -> None:
    rows = np.memmap(tmp_path / "rows", np.int64, "w+", shape=(1000, 10))
    rows[:] = np.arange(10_000).reshape(1000, 10)

    def sums(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
        for start in range(0, len(rows), size):
            yield np.asarray(rows[start : start + size]).sum(1)

    with wrapped(sums, split="rows", split_size=64)(rows, 32) as feed:
        np.testing.assert_array_equal(np.concatenate(list(feed)), rows.sum(1))
