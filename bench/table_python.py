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
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.benchmark import report
from fastfeed.machine import available_cpus

BATCH = (64, 3, 224, 224)
Row = tuple[str, str, str, str]


def work(items: Sequence[int], steps: int) -> Iterator[np.ndarray]:
    """Python and NumPy work, so many steps of it an item; items are of 100 kB."""
    for item in items:
        values = np.full(12_500, float(item))
        total = 0
        for step in range(steps):
            total += step ^ item
        yield np.sqrt(values) + total % 7


def steps_in(milliseconds: float) -> int:
    """So many steps as this processor takes in that time."""
    trial = 100_000
    return int(trial * milliseconds / 1e3 / min(seconds(lambda: drain(work([1], trial))) for _ in range(5)))


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


def by_themselves(items: Sequence[int], steps: int, start: Barrier, end: Barrier) -> None:
    while True:
        start.wait()
        drain(work(items, steps))
        end.wait()


def runs(options: argparse.Namespace) -> list[Row]:
    workers, steps = options.workers, steps_in(5)
    items = list(range(120 * workers))
    # What the machine itself gives to so many processes, which hand nothing over.
    start, end = multiprocessing.Barrier(workers + 1), multiprocessing.Barrier(workers + 1)
    alone = [
        multiprocessing.Process(target=by_themselves, args=(items[w::workers], steps, start, end), daemon=True)
        for w in range(workers)
    ]
    for process in alone:
        process.start()

    def plain_processes() -> None:
        start.wait()
        end.wait()

    fast = ff.parallel(work, split="items", split_size=4, num_workers=workers)
    with fast(items, steps) as feed:
        serial = work(items, steps)
        same = all(np.array_equal(mine, plain) for mine, plain in zip(feed, serial, strict=True))
        plain_processes()
        shares, limits = [], []
        for _ in range(options.rounds):
            one = seconds(lambda: drain(work(items, steps)))
            shares.append(one / seconds(lambda: drain(feed)) / workers)
            limits.append(one / seconds(plain_processes) / workers)
    for process in alone:
        process.terminate()
        process.join()
    return [
        (
            "generator in runs, N workers, over N x serial",
            f"{statistics.median(limits):.2f} (N processes that hand nothing over)",
            "0.93",
            f"{statistics.median(shares):.2f} (same stream: {same})",
        )
    ]


def ready_made(count: int) -> Iterator[np.ndarray]:
    batch = np.ones(BATCH, np.float32)
    for _ in range(count):
        yield batch


def copying(options: argparse.Namespace) -> list[Row]:
    count, gigabytes = 120, np.zeros(BATCH, np.float32).nbytes * 120 / 1e9
    source, target = np.ones(BATCH, np.float32), np.empty(BATCH, np.float32)

    def memcpy() -> None:
        for _ in range(count):
            np.copyto(target, source)

    one = ff.parallel(ready_made, num_workers=1)(count)
    four = ff.parallel(ready_made, num_workers=4, copies=True)(count // 4)
    sides: dict[str, Callable[[], object]] = {
        "memcpy": memcpy,
        "one": lambda: drain(one),
        "four": lambda: drain(four),
        **data_loaders(count),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    with one, four:
        for turn in range(1 + options.rounds):
            for name, run in sides.items():
                rate = gigabytes / seconds(run)
                if turn > 0:
                    rates[name].append(rate)

    def over(mine: str, theirs: str) -> str:
        if theirs not in rates:
            return "torch is not installed"
        ratio = statistics.median(m / t for m, t in zip(rates[mine], rates[theirs], strict=True))
        return f"{ratio:.2f} ({statistics.median(rates[mine]):.1f} GB/s)"

    return [
        ("ready-made float32 batches, one worker, over memcpy", "0.14 (DataLoader)", "0.6", over("one", "memcpy")),
        ("  one worker over DataLoader with one", "1", "", over("one", "loader 1")),
        ("  one worker over DataLoader with four", "1", "5", over("one", "loader 4")),
        ("  four workers over DataLoader with four", "1", "", over("four", "loader 4")),
    ]


def data_loaders(count: int) -> dict[str, Callable[[], object]]:
    """PyTorch's DataLoader over the same generator, in one worker and in four; nothing where torch is missing."""
    try:
        from torch.utils.data import DataLoader, IterableDataset
    except ImportError:
        return {}

    class Generated(IterableDataset):  # type: ignore[misc]
        def __init__(self, each: int) -> None:
            self.each = each

        def __iter__(self) -> Iterator[np.ndarray]:
            return ready_made(self.each)

    def side(workers: int) -> Callable[[], object]:
        dataset = Generated(count // workers)
        loader = DataLoader(dataset, batch_size=None, num_workers=workers, persistent_workers=True)
        return lambda: drain(loader)

    return {f"loader {workers}": side(workers) for workers in (1, 4)}


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
