"""Print the table of what fastfeed promises, each promise measured beside what it is compared with.

    python bench/table.py [PHOTOS] [--peer-python OTHER/bin/python ...] [--json]

PHOTOS is a folder of JPEG files (default: the photographs that `fastfeed bench` makes).  Everything that is compared is
measured in one run, in turn, and given as a ratio.  --peer-python adds the peers as another interpreter runs them, for
instance one that has pillow-simd, or PyTorch: it needs NumPy, PIL and psutil, not fastfeed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.machine import available_cpus
from fastfeed.tools.bench import compare, photos, report
from fastfeed.tools.bench.peers import Workload
from fastfeed.tools.bench.side import Side, close_all, interleave, start_all

ROOT = Path(__file__).resolve().parents[1]
MANY_WORKERS = 32
FIRST_BATCHES = 5
# The first batch, and what a batch takes from then on: of a feed in a process that has made others, or from the import.
TIMED = """
import json, sys, time
begun = time.perf_counter()
sys.path.insert(0, sys.argv[1])
import fastfeed as ff
paths, workers, feeds = json.loads(sys.stdin.read()), int(sys.argv[2]), int(sys.argv[3])
for _ in range(feeds):
    times = [begun]
    with ff.images(paths, 224, labels=None, batch_size=64, num_workers=workers) as feed:
        for batch, _ in zip(feed, range(6)):
            times.append(time.perf_counter())
    begun = time.perf_counter()
print(times[1] - times[0], (times[6] - times[2]) / 4)
"""
CONSUMER_BATCHES = 200


@dataclass
class Row:
    """A promise, what was measured elsewhere and here, and whether it is kept (None: nothing is promised)."""

    what: str
    elsewhere: str
    promised: str
    here: str
    kept: bool | None = None

    def verdict(self) -> str:
        return {True: "kept", False: "SHORT", None: ""}[self.kept]


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the table of what fastfeed promises, measured here.")
    parser.add_argument("photos", nargs="?", help="folder of JPEG files")
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--seconds", type=float, default=2.5, help="of a window (default: 2.5)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-python", action="append", default=[], metavar="PYTHON")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="parts to measure (default: all)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    paths = compare.jpeg_files(options.photos)[0] if options.photos else [str(path) for path in photos.photographs()]
    rows: list[Row] = []
    for name, part in PARTS.items():
        if options.only is None or name in options.only:
            print(f"... {name}", file=sys.stderr, flush=True)
            rows += part(paths, options)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    head = ["", "elsewhere, here and now", "promised", "measured", ""]
    print(f"{len(paths)} photographs, {options.workers} workers on {available_cpus()} processors\n")
    print(report.table([head, *([row.what, row.elsewhere, row.promised, row.here, row.verdict()] for row in rows)]))


def rates(paths: list[str], options: argparse.Namespace) -> list[Row]:
    """W1 and W2 over the floor, and 1 -> N: all sides in one run."""
    listed = paths * -(-compare.ENOUGH_FILES // len(paths))
    whole = Workload(listed, workers=options.workers)
    crop, one = replace(whole, crop=True), replace(whole, workers=1)
    made: list[Side] = []
    with contextlib.ExitStack() as stack:
        stack.callback(close_all, made)

        def side(name: str, label: str, work: Workload, python: str = sys.executable) -> Side:
            made.append(Side(name, label, work, python=python))
            return made[-1]

        floor = side("floor", "floor", whole)
        ours = side("feed", "W1", whole)
        single = side("feed", "W1, one worker", one)
        cropped = side("feed", "W2", crop)
        peers_whole, peers_crop = [], []
        for python in [sys.executable, *options.peer_python]:
            peers_whole += [
                side("dataloader", "DataLoader", whole, python),
                side("pool", "Pool.map", whole, python),
                side("generator", "generator", one, python),
            ]
            peers_crop.append(side("dataloader", "DataLoader", crop, python))
        sides = [floor, ours, single, cropped, *peers_whole, *peers_crop]
        ready = start_all(sides)
        interleave(ready, options.rounds, options.seconds, lambda what: None)

        def over_floor(one_side: Side) -> float:
            pairs = zip(one_side.timed.rates, floor.timed.rates, strict=False)
            return statistics.median(rate / bottom for rate, bottom in pairs) if one_side.timed.rates else 0.0

        def beside(others: list[Side]) -> list[Row]:
            return [
                Row(f"  {other.timed.name}, {other.pil}", f"{over_floor(other):.3f}", "", "")
                if other.timed.rates
                else Row(f"  {other.timed.name}", other.timed.failure or "", "", "")
                for other in others
            ]

        scaling = statistics.median(many / few for many, few in zip(ours.timed.rates, single.timed.rates, strict=False))

        def cpu_over(other: Side) -> str:
            """The same ratio from CPU times: it stays true on a busy machine."""
            return f"{(floor.timed.cpu or 0) / other.timed.cpu:.3f}" if other.timed.cpu else ""

        disturbed = statistics.median(share for side in ready for share in side.timed.disturbed)
        w1, w2 = over_floor(ours), over_floor(cropped)
        loader = next((other for other in peers_whole if other.timed.name == "DataLoader" and other.timed.rates), None)
        return [
            Row("floor, images/s", "", "", f"{floor.timed.rate:.0f}"),
            Row("W1 over the floor", "", ">= 1.30", f"{w1:.3f}", w1 >= 1.30),
            *beside(peers_whole),
            Row("W2 over the floor", "", ">= 1.9", f"{w2:.3f}", w2 >= 1.9),
            *beside(peers_crop),
            Row(
                f"1 -> {options.workers} workers",
                "",
                f">= {0.93 * options.workers:.2f}",
                f"{scaling:.2f}",
                scaling >= 0.93 * options.workers,
            ),
            Row(
                "private memory of a worker",
                f"{loader.timed.worker_memory / 1e6:.0f} MB DataLoader"
                if loader and loader.timed.worker_memory
                else "",
                "<= 20 MB",
                f"{(ours.timed.worker_memory or 0) / 1e6:.1f} MB",
                (ours.timed.worker_memory or 1 << 60) <= 20e6,
            ),
            Row("floor's CPU time over W1's", f"{cpu_over(loader)} DataLoader" if loader else "", "", cpu_over(ours)),
            Row("floor's CPU time over W2's", "", "", cpu_over(cropped)),
            Row("processors used by others meanwhile", "", "", f"{disturbed:.0%}"),
        ]


def large(paths: list[str], options: argparse.Namespace) -> list[Row]:
    """12-megapixel photographs to 224, over their full decode, and what the reduced decode changes."""
    made = [str(path) for path in photos.photographs(photos.large_recipes(), name="large")]
    rows = []
    for label, files in (("2 MB", made[0::2]), ("4 MB", made[1::2])):
        work = Workload(files * 256, workers=options.workers, batch_size=16)
        sides = [Side("floor", "full decode", work), Side("feed", "feed", work)]
        try:
            ready = start_all(sides)
            interleave(ready, options.rounds, options.seconds, lambda what: None)
            full, feed = (side.timed for side in sides)
            ratio = statistics.median(ours / theirs for ours, theirs in zip(feed.rates, full.rates, strict=False))
        finally:
            for side in sides:
                side.close()
        by_cpu = f" ({full.cpu / feed.cpu:.2f} by CPU time)" if full.cpu and feed.cpu else ""
        rows.append(Row(f"12 megapixels, {label}, over full decode", "1", ">= 4", f"{ratio:.2f}{by_cpu}", ratio >= 4))
    difference = np.concatenate(
        [
            np.abs(quick.astype(np.float64) - exact).ravel()
            for quick, exact in zip(_whole(made), _whole(made, exact=True), strict=True)
        ]
    )
    mean = float(difference.mean())
    rows.append(Row("  difference to full decode, mean", "", "<= 1/255", f"{mean:.3f}/255", mean <= 1))
    return rows


def first_batch(paths: list[str], options: argparse.Namespace) -> list[Row]:
    """Construction to first batch, with as many workers as processors and with many more."""
    listed = paths * -(-compare.ENOUGH_FILES // len(paths))
    work = Workload(listed, workers=options.workers)
    many = replace(work, workers=MANY_WORKERS)
    asked = {
        "one": ("feed", replace(work, workers=1)),
        "few": ("feed", work),
        "many": ("feed", many),
        "loader": ("dataloader", work),
        "loader, many": ("dataloader", many),
    }
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    batch_seconds = []
    for _ in range(FIRST_BATCHES):
        for name, (kind, its_work) in asked.items():
            side = Side(kind, name, its_work)
            try:
                if start_all([side]) and side.timed.first_batch is not None:
                    seconds[name].append(side.timed.first_batch)
                    if name == "one":
                        side.window(1.0)
                        batch_seconds.append(work.batch_size / side.timed.rates[-1])
            finally:
                side.close()
    median = {name: statistics.median(values) if values else float("nan") for name, values in seconds.items()}
    batch = statistics.median(batch_seconds)
    few, more = median["few"], median["many"]
    return [
        beyond("first batch beyond a batch's time, warm process", listed, options.workers, 2, 0.06),
        beyond("  from `import fastfeed` in a fresh process", listed, options.workers, 1, 0.12),
        Row("a batch's work on one worker", "", "", f"{batch:.3f} s"),
        Row(
            f"first batch, {options.workers} workers",
            f"{median['loader']:.2f} s DataLoader",
            f"<= {batch:.2f} + 0.2 s",
            f"{few:.3f} s",
            few <= batch + 0.2,
        ),
        Row(
            f"first batch, {MANY_WORKERS} workers, over {options.workers}",
            f"{median['loader, many']:.2f} s DataLoader",
            "<= 1.5",
            f"{more / few:.2f} ({more:.3f} s)",
            more <= 1.5 * few,
        ),
    ]


def beyond(what: str, listed: list[str], workers: int, feeds: int, promised: float) -> Row:
    """How much later than another batch the first one comes, of the last of so many feeds in a process."""
    later, firsts = [], []
    for _ in range(FIRST_BATCHES):
        asked = [sys.executable, "-c", TIMED, str(ROOT), str(workers), str(feeds)]
        done = subprocess.run(asked, input=json.dumps(listed), capture_output=True, text=True, check=True)
        first, each = map(float, done.stdout.split())
        later.append(first - each)
        firsts.append(first)
    extra, first = statistics.median(later), statistics.median(firsts)
    return Row(what, "", f"+{promised:.2f} s", f"+{extra:.3f} s ({first:.3f} s)", extra <= promised)


def consumer(paths: list[str], options: argparse.Namespace) -> list[Row]:
    """CPU time that the consumer's thread spends on a batch, whatever the batch's size."""
    listed = paths * -(-64 * (CONSUMER_BATCHES + 10) // len(paths))
    micros = {}
    for size in (224, 32):
        with ff.images(listed, size, labels=None, batch_size=64, num_workers=options.workers) as feed:
            batches = iter(feed)
            for _ in range(5):
                next(batches)
            spent = []
            for _ in range(CONSUMER_BATCHES):
                before = time.thread_time_ns()
                next(batches)
                spent.append(time.thread_time_ns() - before)
            micros[size] = statistics.mean(spent) / 1000
    worst = max(micros.values())
    return [
        Row(
            "consumer's CPU time for a batch",
            "grows with bytes",
            "< 100 us, alike",
            f"{micros[224]:.0f} us (64x224x224x3), {micros[32]:.0f} us (64x32x32x3)",
            worst < 100,
        )
    ]


def pixels(paths: list[str], options: argparse.Namespace) -> list[Row]:
    """Every photograph, whole frame to 224, against Pillow's decode and bilinear resize."""
    rows = []
    for dtype, unit in (("float32", 255.0), ("uint8", 1.0)):
        total = largest = 0.0
        for path, ours in zip(paths, _whole(paths, dtype=dtype), strict=True):
            with Image.open(path) as image:
                theirs = np.asarray(image.convert("RGB").resize((224, 224), Image.BILINEAR), dtype=np.float64)
            difference = np.abs(ours.astype(np.float64) * unit - theirs)
            total += float(difference.mean())
            largest = max(largest, float(difference.max()))
        mean = total / len(paths)
        rows.append(
            Row(
                f"pixels against Pillow, {dtype}",
                "",
                "mean 0.3, max 1.01",
                f"mean {mean:.3f}, max {largest:.3f} of 255",
                mean <= 0.3 and largest <= 1.01,
            )
        )
    return rows


def _whole(paths: list[str], dtype: str = "uint8", exact: bool = False) -> list[Any]:
    """Each photograph as a row of 224x224, in the paths' order."""
    with ff.images(paths, 224, labels=None, batch_size=1, dtype=dtype, exact=exact) as feed:
        return [batch[0].copy() for batch in feed]


PARTS = {"rates": rates, "large": large, "first batch": first_batch, "consumer": consumer, "pixels": pixels}


if __name__ == "__main__":
    main()
