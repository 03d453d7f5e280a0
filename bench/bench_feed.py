"""The whole feed: epochs at rising numbers of workers, its start, and what it adds where there is next to no work.

Work: 512 files, 24 made photographs over and over (median 500x375, 100 kB), whole frame to 224x224, float32, batches of
64; an epoch a round.  ``extra_info`` has images/s; compare 1 and N workers within one run.  ``bench/table.py`` has the
same beside other loaders.

Last figures (4 cores of an Intel Xeon with AVX-512): with next to no work 140 us a batch, ordered or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import fastfeed as ff
from fastfeed.machine import available_cpus
from fastfeed.tools.bench import photos
from fastfeed.tools.bench.compare import worker_counts
from fastfeed.tools.doctor import tiny_jpeg

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FILES = 512


@pytest.fixture(scope="module")
def paths() -> list[str]:
    made = photos.photographs(photos.recipes(24))
    return [str(made[number % len(made)]) for number in range(FILES)]


@pytest.mark.benchmark(group="an epoch of 512 photographs")
@pytest.mark.parametrize("workers", [0, *worker_counts(available_cpus())])
def test_epoch(benchmark: BenchmarkFixture, paths: list[str], workers: int) -> None:
    with ff.images(paths, 224, labels=None, batch_size=64, shuffle=True, num_workers=workers) as feed:

        def epoch() -> None:
            for _ in feed:
                pass

        benchmark.pedantic(epoch, rounds=3, warmup_rounds=1)
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["images/s"] = round(FILES / benchmark.stats.stats.median)


@pytest.mark.benchmark(group="next to no work: 4096 images of 8x8")
@pytest.mark.parametrize("ordered", [True, False])
def test_overhead(benchmark: BenchmarkFixture, ordered: bool) -> None:
    """What is left when decoding costs nothing: claims, publications, wake-ups, leases."""
    with ff.images([tiny_jpeg()] * 4096, 8, labels=None, batch_size=64, ordered=ordered) as feed:

        def epoch() -> None:
            for _ in feed:
                pass

        benchmark.pedantic(epoch, rounds=5, warmup_rounds=1)
    if benchmark.stats is not None:
        benchmark.extra_info["us/batch"] = round(benchmark.stats.stats.median / 64 * 1e6, 1)


@pytest.mark.benchmark(group="construction to first batch, and close")
@pytest.mark.parametrize("workers", [1, available_cpus(), 32])
def test_first_batch(benchmark: BenchmarkFixture, paths: list[str], workers: int) -> None:
    def first() -> None:
        with ff.images(paths, 224, labels=None, batch_size=64, num_workers=workers) as feed:
            next(iter(feed))

    benchmark.pedantic(first, rounds=5, warmup_rounds=1)
