"""What the tables of adapters share: what is fed, sides that take turns, and the memory of many steps."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import fastfeed as ff

BATCH, SIZE, BATCHES, ROUNDS = 64, 224, 40, 5
Loop = Callable[[], Iterator[Any]]


def ready_made() -> np.ndarray[Any, Any]:
    """Batches that need no work: what is left is moving bytes."""
    return np.random.default_rng(0).random((BATCH * BATCHES, 3, SIZE, SIZE), np.float32)


def photographs(stack: ExitStack, folder: str, **options: Any) -> ff.Feed:
    """W1: JPEG files to 224 x 224, normalised; each as often as it takes to have as many batches."""
    files = sorted(str(path) for path in Path(folder).rglob("*.jp*g"))
    files = (files * (-(-BATCH * BATCHES // len(files))))[: BATCH * BATCHES]
    return entered(stack, ff.images(files, SIZE, batch_size=BATCH, layout="NCHW", **options))


def entered(stack: ExitStack, feed: AbstractContextManager[ff.Feed]) -> ff.Feed:
    return stack.enter_context(feed)


def rate(loop: Loop, finish: Callable[[Any], object]) -> float:
    """Samples a second, until everything is where it is to be."""
    started, samples = time.perf_counter(), 0
    for batch in loop():
        samples += len(batch)
    finish(batch)
    return samples / (time.perf_counter() - started)


def measure(
    sides: dict[str, Loop], total: Callable[[Any], Any], finish: Callable[[Any], object], rounds: int = ROUNDS
) -> None:
    """Print the rates of the sides, and the medians of their ratios to the first side's in the same round.

    `total` adds up a batch where it is, and the sums are compared; `finish` returns when the last batch has arrived.
    """
    # Not made numbers before the end: a loop that waits for each sum would hide what is overwritten too early.
    totals = [[total(batch) for batch in loop()] for loop in sides.values()]
    wanted, *others = ([float(value) for value in values] for values in totals)
    right = [np.allclose(wanted, other, rtol=1e-5, atol=0) for other in others]
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides) if number % 2 else reversed(sides):
            rates[name].append(rate(sides[name], finish))
    first = next(iter(rates.values()))
    for name, same in zip(rates, [True, *right], strict=True):
        ratio = statistics.median(a / b for a, b in zip(rates[name], first, strict=True))
        gigabytes = statistics.median(rates[name]) * 3 * SIZE * SIZE * 4 / 1e9
        print(f"  {name:34} {statistics.median(rates[name]):9.0f}/s {gigabytes:6.2f} GB/s  x{ratio:5.3f}  same: {same}")


def flat(batches: Iterator[Any], steps: int, work: Callable[[Any], object]) -> None:
    """Print this process's memory, ten times in so many steps."""
    process, every = psutil.Process(), max(1, steps // 10)
    for step, batch in enumerate(itertools.islice(batches, steps), 1):
        work(batch)
        if step % every == 0 or step == 1:
            memory = process.memory_full_info()
            print(f"  step {step:7}: {memory.uss / 2**20:7.1f} MiB of its own, {memory.rss / 2**20:7.1f} with the ring")
