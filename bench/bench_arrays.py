"""Rows of arrays: what a feed costs beside NumPy's own ``x[index]``, in memory and from a file out of the page cache.

Work, in memory: 60 shuffled batches of 64 uint8 rows of 224x224x3 (4000 rows, 600 MB), or 200 of 4096 float32 rows of
16 (2,000,000 rows, 128 MB).  From a file of 2 GB: 40 shuffled batches of 64 of the large rows, or of 256 rows of 512
bytes, with the file's pages dropped from the page cache before each round.  The index that ``x[index]`` gets is made
before the clock starts; a feed draws its own.  ``extra_info`` has rows/s; compare within one run.

Last figures (4 cores of an Intel Xeon with AVX-512, virtual disk), times ``x[index]``:
                        no workers   1 worker   4 workers
    224x224x3                 1.0        1.0         3.4
    16 float32                1.5        2.1         1.9    drawing the order, 24 ns a row, is the limit
    224x224x3, from disk      3.4        2.8         4.7
    512 bytes, from disk     15          6.9        12
The large rows take one worker about as long as a plain memcpy between two shared mappings, which have no huge pages;
NumPy's arrays have.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastfeed as ff
from fastfeed.machine import available_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

KINDS: dict[str, tuple[int, tuple[int, ...], str, int, int]] = {  # samples, row, dtype, batch size, batches
    "224x224x3": (4000, (224, 224, 3), "uint8", 64, 60),
    "16 float32": (2_000_000, (16,), "float32", 4096, 200),
}
COLD: dict[str, tuple[int, tuple[int, ...], str, int, int]] = {
    "224x224x3": (12_000, (224, 224, 3), "uint8", 64, 40),
    "512 bytes": (4_000_000, (512,), "uint8", 256, 40),
}
WORKERS = ["x[index]", 0, 1, available_cpus()]


class Runner:
    """So many batches of an array, by NumPy or by a feed."""

    def __init__(self, array: np.ndarray, how: Any, batch_size: int, batches: int) -> None:
        self._array, self._batch_size, self._batches = array, batch_size, batches
        self._random = np.random.default_rng(0)
        self._feed = (
            None if how == "x[index]" else ff.arrays(array, batch_size=batch_size, shuffle=True, num_workers=how)
        )
        self._batch: Iterator[Any] | None = None if self._feed is None else self._feed.repeat()
        if self._batch is not None:
            next(self._batch)

    def order(self) -> tuple[tuple[np.ndarray], dict[str, Any]]:
        return (self._random.permutation(len(self._array))[: self._batch_size * self._batches],), {}

    def __call__(self, order: np.ndarray) -> None:
        if self._batch is not None:
            for _ in range(self._batches):
                next(self._batch)
        else:
            for start in range(0, len(order), self._batch_size):
                self._array[order[start : start + self._batch_size]]

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()


def note(benchmark: BenchmarkFixture, rows: int) -> None:
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["rows/s"] = round(rows / benchmark.stats.stats.median)


@pytest.mark.benchmark(group="rows in memory")
@pytest.mark.parametrize("how", WORKERS)
@pytest.mark.parametrize("kind", KINDS)
def test_in_memory(benchmark: BenchmarkFixture, kind: str, how: Any) -> None:
    samples, row, dtype, batch_size, batches = KINDS[kind]
    runner = Runner(np.ones((samples, *row), dtype), how, batch_size, batches)
    benchmark.pedantic(runner, setup=runner.order, rounds=7, warmup_rounds=2)
    runner.close()
    note(benchmark, batches * batch_size)


@pytest.mark.benchmark(group="rows of a file that is not in the page cache")
@pytest.mark.parametrize("how", WORKERS)
@pytest.mark.parametrize("kind", COLD)
def test_cold_file(benchmark: BenchmarkFixture, tmp_path_factory: pytest.TempPathFactory, kind: str, how: Any) -> None:
    samples, row, dtype, batch_size, batches = COLD[kind]
    path: Path = tmp_path_factory.getbasetemp() / f"{kind}.npy"
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", dtype, (samples, *row))[:] = 1
    fd = os.open(path, os.O_RDWR)

    def cold() -> tuple[tuple[np.ndarray], dict[str, Any]]:
        nonlocal runner
        # Mapped pages stay in the cache: nobody may have them mapped.
        if runner is not None:
            runner.close()
        runner = None
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        runner = Runner(np.load(path, mmap_mode="r"), how, batch_size, batches)
        return runner.order()

    runner: Runner | None = None

    def run(order: np.ndarray) -> None:
        assert runner is not None
        runner(order)

    benchmark.pedantic(run, setup=cold, rounds=3)
    os.close(fd)
    if runner is not None:
        runner.close()
    note(benchmark, batches * batch_size)
