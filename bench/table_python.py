"""Print what fastfeed promises for Python generators and functions, each measured beside its reference in one run.

    python bench/table_python.py [--workers N] [--rounds 5] [--only PART ...]

References: the generator itself, multiprocessing.Pool.imap with the best of several chunk sizes, one thread's memcpy, a
multiprocessing.Queue, and PyTorch's DataLoader, Grain, SPDL and mpire as far as they are installed.  Sides take turns;
medians of ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import probe

import fastfeed as ff
from fastfeed.machine import available_cpus
from fastfeed.tools.bench import report

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
    gigabytes = np.zeros(BATCH, np.float32).nbytes / 1e9
    source, target = np.ones(BATCH, np.float32), np.empty(BATCH, np.float32)

    def memcpy() -> float:
        return 120 / seconds(lambda: [np.copyto(target, source) for _ in range(120)])

    def again(feed: object, count: int = 120) -> Callable[[], float]:
        """An epoch of what keeps its workers."""
        return lambda: count / seconds(lambda: drain(feed))

    one = ff.parallel(ready_made, num_workers=1)(120)
    four = ff.parallel(ready_made, num_workers=4, copies=True)(30)
    peers = {**data_loaders(again), **begun_anew()}
    sides = {"memcpy": memcpy, "one": again(one), "four": again(four), **peers}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    with one, four:
        for turn in range(1 + options.rounds):
            for name, run in sides.items():
                rate = gigabytes * run()
                if turn > 0:
                    rates[name].append(rate)

    def over(mine: str, theirs: str) -> float:
        return statistics.median(m / t for m, t in zip(rates[mine], rates[theirs], strict=True))

    def speed(name: str) -> str:
        return f"{statistics.median(rates[name]):.1f} GB/s"

    rows = [
        (
            "ready-made float32 batches, one worker, over memcpy",
            f"1 ({speed('memcpy')})",
            "0.6",
            f"{over('one', 'memcpy'):.2f} ({speed('one')})",
        ),
        ("  four workers, over memcpy", "", "", f"{over('four', 'memcpy'):.2f} ({speed('four')})"),
    ]
    for name in peers:
        share = f"{over(name, 'memcpy'):.2f} of memcpy"
        mine = f"{over('one', name):.1f} with one worker, {over('four', name):.1f} with four"
        rows.append((f"  over {name}", share, "5 with one" if name == "DataLoader(4)" else "", mine))
    return rows


def data_loaders(again: Callable[[object], Callable[[], float]]) -> dict[str, Callable[[], float]]:
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

    return {
        f"DataLoader({workers})": again(
            DataLoader(Generated(120 // workers), batch_size=None, num_workers=workers, persistent_workers=True)
        )
        for workers in (1, 4)
    }


FEW, READY = 24, 8


def begun_anew() -> dict[str, Callable[[], float]]:
    """What starts its workers with every loop, timed once what they have ready is gone; the peers where installed."""

    def steady(make: Callable[[int], Iterable[object]]) -> Callable[[], float]:
        def run() -> float:
            batches = iter(make(FEW + READY))
            drain(itertools.islice(batches, READY))
            return FEW / seconds(lambda: drain(batches))

        return run

    sides = {"multiprocessing.Queue": steady(through_a_queue)}
    with contextlib.suppress(ImportError):
        from spdl.pipeline import iterate_in_subprocess

        sides["SPDL's subprocess"] = steady(lambda n: iterate_in_subprocess(functools.partial(ready_made, n)))
    with contextlib.suppress(ImportError):
        import grain

        def by_grain(count: int) -> Iterable[object]:
            dataset = grain.MapDataset.source(Ready(count)).to_iter_dataset(grain.ReadOptions(num_threads=0))
            return dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=4))

        sides["Grain(4)"] = steady(by_grain)
    return sides


class Ready:
    """The same for Grain, which asks by index."""

    def __init__(self, count: int) -> None:
        self.count, self.batch = count, np.ones(BATCH, np.float32)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        return self.batch


def fill(queue: multiprocessing.Queue[object], count: int) -> None:
    for batch in ready_made(count):
        queue.put(batch)
    queue.put(None)


def through_a_queue(count: int) -> Iterator[object]:
    queue: multiprocessing.Queue[object] = multiprocessing.Queue(3)
    process = multiprocessing.Process(target=fill, args=(queue, count), daemon=True)
    process.start()
    while (batch := queue.get()) is not None:
        yield batch
    process.join()


def double(value: int) -> int:
    return value * 2


def mpire_rate(items: Sequence[int], options: argparse.Namespace) -> float | None:
    try:
        from mpire import WorkerPool
    except ImportError:
        return None
    with WorkerPool(options.workers) as pool:
        drain(pool.imap(double, items))
        return len(items) / statistics.median(seconds(lambda: drain(pool.imap(double, items))) for _ in range(3))


def mapping(options: argparse.Namespace) -> list[Row]:
    many, few = range(200_000), range(20_000)
    with multiprocessing.Pool(options.workers) as pool, ff.map(double, many, num_workers=options.workers) as feed:
        best = min((64, 256, 1024, 4096), key=lambda size: seconds(lambda: drain(pool.imap(double, many, size))))
        gain = ratios(lambda: drain(feed), lambda: drain(pool.imap(double, many, best)), options.rounds)
        gain_64 = ratios(lambda: drain(feed), lambda: drain(pool.imap(double, many, 64)), options.rounds)
        rate = len(many) / statistics.median(seconds(lambda: drain(feed)) for _ in range(3))
        by_mpire = mpire_rate(many, options)
    trips = [one_by_one(few, workers, options.rounds) for workers in (options.workers, 2 * options.workers)]
    return [
        (f"map of a trivial function, over Pool.imap({best}), its best", "1", "1.5", f"{gain:.2f} ({rate:,.0f}/s)"),
        ("  over Pool.imap(64)", "1", "1", f"{gain_64:.2f}"),
        ("  over mpire's imap", "1", "", f"{rate / by_mpire:.0f}" if by_mpire else "mpire is not installed"),
        ("map, chunk_size=1, over Pool.imap", "1", "5", trips[0]),
        ("  with twice as many workers as processors", "1", "4", trips[1]),
    ]


def one_by_one(items: Sequence[int], workers: int, rounds: int) -> str:
    """Chunks of one item over Pool.imap's, and how many a second."""
    with multiprocessing.Pool(workers) as pool, ff.map(double, items, chunk_size=1, num_workers=workers) as feed:
        gain = ratios(lambda: drain(feed), lambda: drain(pool.imap(double, items)), rounds)
        rate = len(items) / statistics.median(seconds(lambda: drain(feed)) for _ in range(3))
    return f"{gain:.2f} ({rate:,.0f}/s)"


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
        probe.wait_for_sleepers(feed, options.workers)
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
