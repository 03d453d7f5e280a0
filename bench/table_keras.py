"""Print what photographs cost as Keras and tf.data take them, beside the bare feed and Keras' own folder of images.

    KERAS_BACKEND=tensorflow python bench/table_keras.py PHOTOS [--steps 100000]

Needs Keras with the backend that is named.  W1: JPEG files to 224 x 224 float32 in batches of 32.  All sides run in
turn, several rounds in one process.  A row has the median of its rate, of that over the first side's of the same round,
and of this process's processor time for a batch.  With --steps: what memory so many steps of a small feed take.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.machine import available_cpus

BATCH, SIZE, BATCHES, ROUNDS = 32, 224, 20, 5
BACKEND = keras.backend.backend()


def sides(stack: ExitStack, files: list[str], folder: Path, workers: int) -> dict[str, Callable[[], Iterator[Any]]]:
    """What each side iterates for one epoch."""

    def feed() -> ff.Feed:
        return stack.enter_context(
            ff.images(files, SIZE, labels=[0] * len(files), batch_size=BATCH, num_workers=workers)
        )

    bare, jax = feed(), feed().to_keras()
    made = {"the feed alone": lambda: iter(bare), "feed.to_keras(), JAX or NumPy": jax.get_jax_iterator}
    if BACKEND == "torch":
        made["feed.to_keras(), PyTorch"] = feed().to_keras().get_torch_dataloader
    if BACKEND == "tensorflow":
        dataset, taken = feed().to_tf(), feed().to_keras().get_tf_dataset()
        own = keras.utils.image_dataset_from_directory(
            folder, labels=[0] * len(files), image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
        )
        made["feed.to_keras(), TensorFlow"] = lambda: iter(taken)
        made["feed.to_tf()"] = lambda: iter(dataset)
        made["image_dataset_from_directory"] = lambda: iter(own)
    return made


def measured(loop: Callable[[], Iterator[Any]]) -> tuple[float, float]:
    """Samples a second of one epoch behind its first batch, and milliseconds of processor time for a batch."""
    batches, samples, count = iter(loop()), 0, 0
    next(batches)
    started, spent = time.perf_counter(), time.process_time()
    for images, _ in batches:
        samples, count = samples + len(images), count + 1
    return samples / (time.perf_counter() - started), 1e3 * (time.process_time() - spent) / count


def remember(steps: int) -> None:
    """Print this process's own memory, ten times in so many steps of what Keras iterates."""
    process = psutil.Process()
    with ff.arrays(np.zeros((8 * 1000, 16), np.float32), np.arange(8000), batch_size=8, num_workers=1) as feed:
        adapter = feed.to_keras()
        loops = {"torch": adapter.get_torch_dataloader, "jax": adapter.get_jax_iterator}
        loop = loops.get(BACKEND) or adapter.get_tf_dataset().__iter__
        step = 0
        while step < steps:
            for _ in loop():
                step += 1
                if step % (steps // 10) == 0:
                    print(f"  step {step:7}: {process.memory_full_info().uss / 2**20:7.1f} MiB", flush=True)
        print(f"  copies: {feed.stats().copies}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of JPEG files")
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--steps", type=int, default=0, help="how many, to see the memory that they take")
    options = parser.parse_args()
    print(f"Keras {keras.__version__} on {BACKEND}, {available_cpus()} processors")
    photos = sorted(Path(options.photos).resolve().rglob("*.jp*g"))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        for number in range(BATCH * BATCHES):
            (Path(name) / f"{number:05}.jpg").symlink_to(photos[number % len(photos)])
        files = sorted(str(path) for path in Path(name).iterdir())
        loops = sides(stack, files, Path(name), options.workers)
        rates: dict[str, list[tuple[float, float]]] = {side: [] for side in loops}
        for number in range(options.rounds + 1):
            for side, loop in loops.items():
                found = measured(loop)
                if number:  # the first round starts workers and traces functions
                    rates[side].append(found)
        first = next(iter(rates.values()))
        for side, found_rates in rates.items():
            rate, spent = (statistics.median(column) for column in zip(*found_rates, strict=True))
            ratio = statistics.median(ours[0] / bare[0] for ours, bare in zip(found_rates, first, strict=True))
            print(f"  {side:30} {rate:8.0f}/s  x{ratio:5.3f}  {spent:6.2f} ms of processor time a batch", flush=True)
    if options.steps:
        print(f"{options.steps} steps")
        remember(options.steps)


if __name__ == "__main__":
    main()
