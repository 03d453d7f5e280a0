"""Print what batches from two nodes of Ray cost, beside a local feed of two workers, in time and in processor time.

    PYTHONPATH=build/ray python bench/table_ray.py PHOTOS [--rounds 9]

Two raylets on this machine; a feed has an actor of one processor on each, and the loop is beside the first.  Sides take
turns in one process; a row is the median of its rate over the local feed's in the same round, and the processor time
for an image, of all processes.  The batches are compared by their hashes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.machine import available_cpus

SIZE, BATCH, REPEATS, STORE = 224, 32, 6, 400 * 2**20


def spent() -> dict[str, float]:
    """Seconds of processor time of this process and of all that it has started, by what they are."""
    own = psutil.Process()
    seconds: dict[str, float] = {}
    for process in (own, *own.children(recursive=True)):
        try:
            kind, times = kind_of(process, own), process.cpu_times()
        except psutil.Error:
            continue
        seconds[kind] = seconds.get(kind, 0.0) + times.user + times.system
    return seconds


def kind_of(process: psutil.Process, own: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if process == own:
        return "the loop"
    if "fastfeed.image.worker" in line:
        return "workers"
    return "actors" if line.startswith("ray::MakerActor") else "Ray"


def measure(sides: dict[str, ff.Feed], rounds: int) -> None:
    hashes = {name: [hashlib.sha256(batch).hexdigest() for batch in feed] for name, feed in sides.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    costs: dict[str, dict[str, float]] = {name: {} for name in sides}
    samples = dict.fromkeys(sides, 0)
    for number in range(rounds):
        for name in list(sides) if number % 2 else reversed(sides):
            before, started = spent(), time.perf_counter()
            here = sum(len(batch) for batch in sides[name])
            rates[name].append(here / (time.perf_counter() - started))
            samples[name] += here
            for kind, seconds in spent().items():
                costs[name][kind] = costs[name].get(kind, 0.0) + seconds - before.get(kind, 0.0)
    first = next(iter(sides))
    for name in sides:
        ratio = statistics.median(a / b for a, b in zip(rates[name], rates[first], strict=True))
        each = {kind: 1e3 * seconds / samples[name] for kind, seconds in costs[name].items() if seconds > 0}
        words = ", ".join(f"{kind} {cost:.2f}" for kind, cost in sorted(each.items()))
        print(
            f"  {name:22} {statistics.median(rates[name]):6.0f}/s  x{ratio:5.3f}  same: {hashes[name] == hashes[first]}"
            f"  {sum(each.values()):.2f} ms an image ({words})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    files = sorted(str(path) for path in Path(options.photos).rglob("*.jp*g")) * REPEATS
    node = {"num_cpus": 2, "object_store_memory": STORE}  # one for each of the feeds, which take turns
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    print(f"Ray {ray.__version__}, {available_cpus()} processors, load {os.getloadavg()[0]:.0f}")
    for dtype in ("uint8", "float32"):
        given: dict[str, Any] = {"size": SIZE, "batch_size": BATCH, "shuffle": True, "dtype": dtype, "labels": None}
        plan = ff.images(files, num_workers=0, **given).plan()
        with ExitStack() as stack:
            sides = {
                "ff.images, 2 workers": stack.enter_context(plan.feed(num_workers=2)),
                "ff.ray.feed": stack.enter_context(ff.ray.feed(plan, actors=2)),
                "writable=False": stack.enter_context(ff.ray.feed(plan, actors=2, writable=False)),
            }
            print(f"{dtype} batches of {BATCH}")
            measure(sides, options.rounds)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
