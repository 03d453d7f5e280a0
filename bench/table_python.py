"""Print what fastfeed promises for Python generators and functions, each measured beside its reference in one run.

    python bench/table_python.py [--workers N] [--rounds 5] [--only PART ...]

References: the generator itself, multiprocessing.Pool.imap with the best of several chunk sizes, one thread's memcpy,
and PyTorch's DataLoader with four workers where torch is installed.  Sides take turns; medians of ratios.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.benchmark import report
from fastfeed.machine import available_cpus

BATCH = (64, 3, 224, 224)
Row = tuple[str, str, str, str]


def work(items: Sequence[int], milliseconds: float = 5.0) -> Iterator[np.ndarray]:
    """Some milliseconds of Python and NumPy work an item, counted in steps and not in time; 100 kB each."""
    for item in items:
        values = np.full(12_500, float(item))
        total = 0
        for step in range(int(milliseconds * STEPS_PER_MS)):
            total += step ^ item
        yield np.sqrt(values) + total % 7


# What CPython 3.11 does on a processor of 2023; the ratio does not depend on it.
STEPS_PER_MS = 12_000.0


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def drain(iterable: object) -> None:
    for _ in iterable:  # type: ignore[attr-defined]
        pass


def ratios(mine: Callable[[], object], theirs: Callable[[], object], rounds: int) -> float:
    """Their time over ours, taking turns."""
    mine(), theirs()
    return statistics.median(seconds(theirs) / seconds(mine) for _ in range(rounds))


def runs(options: argparse.Namespace) -> list[Row]:
    items = list(range(160 * options.workers // 2))
    fast = ff.parallel(work, split="items", split_size=4, num_workers=options.workers)
    with fast(items) as feed:
        same = all(np.array_equal(mine, plain) for mine, plain in zip(feed, work(items), strict=True))
        gain = ratios(lambda: drain(feed), lambda: drain(work(items)), options.rounds)
    share = gain / options.workers
    return [("generator in runs, N workers, over N x serial", "1", "0.93", f"{share:.2f} (same stream: {same})")]


def ready_made(count: int) -> Iterator[np.ndarray]:
    batch = np.ones(BATCH, np.float32)
    for _ in range(count):
        yield batch


class Ready:
    """The same for a DataLoader."""

    def __init__(self, count: int) -> None:
        self.count, self.batch = count, np.ones(BATCH, np.float32)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        return self.batch


def copying(options: argparse.Namespace) -> list[Row]:
    count = 120
    source, target = np.ones(BATCH, np.float32), np.empty(BATCH, np.float32)

    def memcpy() -> None:
        for _ in range(count):
            np.copyto(target, source)

    with ff.parallel(ready_made, num_workers=1)(count) as feed:
        over_memcpy = ratios(lambda: drain(feed), memcpy, options.rounds)
        rows = [
            ("ready-made float32 batches, one worker, over memcpy", "0.14 (DataLoader)", "0.6", f"{over_memcpy:.2f}")
        ]
        try:
            from torch.utils.data import DataLoader
        except ImportError:
            return [*rows, ("  over DataLoader, 4 workers", "torch is not installed", "5", "")]
        loader = DataLoader(Ready(count), batch_size=None, num_workers=4, persistent_workers=True)
        over_loader = ratios(lambda: drain(feed), lambda: drain(loader), max(2, options.rounds // 2))
    return [*rows, ("  over DataLoader, 4 workers", "1", "5", f"{over_loader:.1f}")]


def double(value: int) -> int:
    return value * 2


def mapping(options: argparse.Namespace) -> list[Row]:
    many, few = range(200_000), range(20_000)
    with multiprocessing.Pool(options.workers) as pool, ff.map(double, many, num_workers=options.workers) as feed:
        best = min((64, 256, 1024, 4096), key=lambda size: seconds(lambda: drain(pool.imap(double, many, size))))
        gain = ratios(lambda: drain(feed), lambda: drain(pool.imap(double, many, best)), options.rounds)
        gain_64 = ratios(lambda: drain(feed), lambda: drain(pool.imap(double, many, 64)), options.rounds)
        rate = len(many) / seconds(lambda: drain(feed))
        with ff.map(double, few, chunk_size=1, num_workers=options.workers) as single:
            trips = ratios(lambda: drain(single), lambda: drain(pool.imap(double, few)), options.rounds)
            trip_rate = len(few) / seconds(lambda: drain(single))
    return [
        (f"map of a trivial function, over Pool.imap({best}), its best", "1", "1", f"{gain:.2f} ({rate:,.0f}/s)"),
        ("  over Pool.imap(64)", "1", "1", f"{gain_64:.2f}"),
        ("map, chunk_size=1, over Pool.imap", "1", "5", f"{trips:.2f} ({trip_rate:,.0f}/s)"),
    ]


def pulled(options: argparse.Namespace) -> list[Row]:
    seen = 0

    def endless() -> Iterator[int]:
        nonlocal seen
        for number in itertools.count(1):
            seen = number
            yield number

    with ff.map(double, endless(), batch_size=8, prefetch=6, num_workers=options.workers) as feed:
        results = iter(feed)
        next(results)
        while feed._ring.native.sleepers() < options.workers:
            time.sleep(0.01)
        batches = seen / 8
        results.close()
    return [("batches pulled while the consumer stops, prefetch=6", "all (Pool.imap)", "at most 6", f"{batches:g}")]


def changing(count: int) -> Iterator[np.ndarray]:
    for number in range(count):
        yield np.full((1 + number % 37, 1 + number % 91), number)


def memory(options: argparse.Namespace) -> list[Row]:
    me = psutil.Process()

    def used() -> float:
        return sum(process.memory_full_info().pss for process in (me, *me.children())) / 1e6

    marks = []
    with ff.parallel(changing, num_workers=1)(100_000) as feed:
        for number, _ in enumerate(feed):
            if number in (10_000, 99_999):
                marks.append(used())
    return [
        ("memory after 10,000 and 100,000 batches of changing shape", "", "flat", f"{marks[0]:.1f}, {marks[1]:.1f} MB")
    ]


PARTS = {"runs": runs, "copying": copying, "map": mapping, "pulled": pulled, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what fastfeed promises for generators and functions.")
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    options = parser.parse_args()
    rows: list[Row] = []
    for name, part in PARTS.items():
        if options.only is None or name in options.only:
            print(f"... {name}", file=sys.stderr, flush=True)
            rows += part(options)
    print(f"{options.workers} workers on {available_cpus()} processors\n")
    print(report.table([["", "reference", "promised", "measured"], *map(list, rows)]))


if __name__ == "__main__":
    main()
