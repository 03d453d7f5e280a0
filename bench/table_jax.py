"""Print what a feed's batches cost as JAX arrays, beside the bare feed, and what memory many steps take.

    python bench/table_jax.py [PHOTOS] [--rounds 25] [--steps 100000]

Needs JAX, with any device.  Every side of a part runs in turn, several rounds in one process; a row is the median of
its rate over the first side's of the same round.  The batches are summed where they are, and the sums compared.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sides import BATCH, ROUNDS, Loop, entered, flat, measure, photographs, ready_made

import fastfeed as ff
from fastfeed.machine import available_cpus


def moving(stack: ExitStack, workers: int) -> dict[str, Loop]:
    """Batches that need no work."""
    data = ready_made()
    options = {"batch_size": BATCH, "num_workers": workers}
    bare, loader, plain = (entered(stack, ff.arrays(data, **options)) for _ in range(3))
    arrays = loader.to_jax()
    return {
        "feed alone, on the host": lambda: iter(bare),
        "feed.to_jax()": lambda: iter(arrays),
        "jax.numpy.array(batch)": lambda: map(jax.numpy.array, plain),
    }


def decoding(stack: ExitStack, workers: int, folder: str) -> dict[str, Loop]:
    """Photographs."""
    bare = photographs(stack, folder, num_workers=workers)
    arrays = photographs(stack, folder, num_workers=workers).to_jax()
    return {"feed alone, on the host": lambda: iter(bare), "feed.to_jax()": lambda: iter(arrays)}


def total(batch: Any) -> Any:
    """Add up a batch where it is."""
    return batch.sum() if isinstance(batch, jax.Array) else batch.sum(dtype=np.float64)


def remember(workers: int, steps: int) -> None:
    """Memory over many steps of a computation, with images and labels."""
    data = np.random.default_rng(0).random((8 * 256, 32, 32, 3), np.float32)
    work = jax.jit(lambda images, labels: images.mean((1, 2, 3)) @ labels)
    with ff.arrays(data, np.arange(len(data)), batch_size=8, shuffle=True, num_workers=workers) as feed:
        flat(feed.to_jax().repeat(), steps, lambda batch: work(*batch))
        stats = feed.stats()
        print(f"  {stats.batches} batches, of which {stats.copies} were copied because the loop held every slot")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", help="folder of JPEG files")
    parser.add_argument("--workers", type=int, default=max(1, available_cpus() // 2))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--steps", type=int, default=0, help="how many, to see the memory that they take")
    options = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, {available_cpus()} processors")
    with ExitStack() as stack:
        print(f"ready-made float32 batches, {options.workers} workers")
        measure(moving(stack, options.workers), total, jax.block_until_ready, options.rounds)
    if options.photos:
        with ExitStack() as stack:
            print(f"photographs, {options.workers} workers")
            measure(decoding(stack, options.workers, options.photos), total, jax.block_until_ready, options.rounds)
    if options.steps:
        print(f"{options.steps} steps")
        remember(options.workers, options.steps)


if __name__ == "__main__":
    main()
