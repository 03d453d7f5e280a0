"""The ring from the consumer's side: what a batch costs before and after its pixels, and what its memory costs.

Work: slots of 64 rows, one cell a row.  No worker runs, so these are the consumer's own instructions: all of them
together must stay far below the 100 microseconds of CPU time that a batch may cost it.
``test_memory`` stands beside ``test_zeroing``, a plain fill of as many bytes: the ring's start is that and no more.

Last figures (one core of an Intel Xeon with AVX-512): opened, withdrawn and freed 1.2 us, looked at 0.2 us, indices
2.1 us; the memory of 154 MB 77 ms, against 24 ms for private memory in huge pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastfeed.engine.ring import Ring
from fastfeed.schedule.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

ROWS = 64
IMAGE_BYTES = 224 * 224 * 3 * 4
SLOTS = 4


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(SLOTS, ROWS, 4096, 4)
    yield made
    made.close()


@pytest.mark.benchmark(group="a batch, consumer's side")
def test_open_and_withdraw(benchmark: BenchmarkFixture, ring: Ring) -> None:
    """A slot offered, taken back and freed."""

    def cycle() -> None:
        slot = ring.next_free()
        assert slot is not None
        ring.open(slot, 0, 0, ROWS)
        ring.abandon()
        ring.sweep()

    benchmark(cycle)


@pytest.mark.benchmark(group="a batch, consumer's side")
def test_is_it_complete(benchmark: BenchmarkFixture, ring: Ring) -> None:
    """All cells of an open slot read."""
    slot = ring.next_free()
    assert slot is not None
    ring.open(slot, 0, 0, ROWS)
    benchmark(ring.complete, slot)


@pytest.mark.benchmark(group="a batch, consumer's side")
def test_schedule(benchmark: BenchmarkFixture) -> None:
    """The shuffled indices of a batch, of ten million files."""
    schedule = Schedule(10_000_019, ROWS, True, 0, False, None)
    out = np.empty(ROWS, dtype=np.int64)
    benchmark(schedule.fill, 3, 77, memoryview(out))


@pytest.mark.benchmark(group="a ring's memory")
def test_memory(benchmark: BenchmarkFixture) -> None:
    """A ring of 4 batches of 64x224x224x3 float32 made and given back, all its pages touched."""

    def cycle() -> None:
        made = Ring(SLOTS, ROWS, IMAGE_BYTES, 4)
        try:
            while (slot := made.next_free()) is not None:  # a slot's memory comes with its first use
                made.open(slot, 0, 0, ROWS)
        finally:
            made.close()

    benchmark.pedantic(cycle, rounds=7, warmup_rounds=1)
    benchmark.extra_info["MB"] = SLOTS * ROWS * IMAGE_BYTES // 1_000_000


@pytest.mark.benchmark(group="a ring's memory")
def test_zeroing(benchmark: BenchmarkFixture) -> None:
    """As many bytes of fresh private memory filled."""

    def cycle() -> None:
        np.empty(SLOTS * ROWS * IMAGE_BYTES, dtype=np.uint8).fill(0)

    benchmark.pedantic(cycle, rounds=7, warmup_rounds=1)
