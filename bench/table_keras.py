"""Print what photographs cost as Keras and tf.data take them, beside the bare feed and Keras' own folder of images.

    python bench/table_keras.py PHOTOS [--steps 20000]

Needs TensorFlow with Keras.  W1: JPEG files to 224 x 224 float32 in batches of 32.  All sides run in turn, several
rounds in one process; a row is the median of its rate over the first side's of the same round.  With --steps: what
memory so many steps of a small feed take.
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
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.machine import available_cpus

BATCH, SIZE, BATCHES, ROUNDS = 32, 224, 20, 5


def sides(stack: ExitStack, files: list[str], folder: Path, workers: int) -> dict[str, Callable[[], Iterator[Any]]]:
    """What each side iterates for one epoch."""

    def feed() -> ff.Feed:
        return stack.enter_context(
            ff.images(files, SIZE, labels=[0] * len(files), batch_size=BATCH, num_workers=workers)
        )

    bare, dataset, adapter, numpy = feed(), feed().to_tf(), feed().to_keras(), feed().to_keras()
    backend = adapter.get_tf_dataset()
    own = keras.utils.image_dataset_from_directory(
        folder, labels=[0] * len(files), image_size=(SIZE, SIZE), batch_size=BATCH, shuffle=False, verbose=False
    )
    return {
        "the feed alone": lambda: iter(bare),
        "feed.to_tf()": lambda: iter(dataset),
        "feed.to_keras(), TensorFlow": lambda: iter(backend),
        "feed.to_keras(), JAX or NumPy": numpy.get_jax_iterator,
        "image_dataset_from_directory": lambda: iter(own),
    }


def rate(loop: Callable[[], Iterator[Any]]) -> float:
    """Samples a second of one epoch."""
    started, samples = time.perf_counter(), 0
    for images, _ in loop():
        samples += len(images)
    return samples / (time.perf_counter() - started)


def remember(steps: int) -> None:
    """Print this process's own memory, ten times in so many steps."""
    process = psutil.Process()
    with ff.arrays(np.zeros((8 * 1000, 16), np.float32), np.arange(8000), batch_size=8, num_workers=1) as feed:
        dataset, step = feed.to_tf(), 0
        while step < steps:
            for _ in dataset:
                step += 1
                if step % (steps // 10) == 0:
                    print(f"  step {step:7}: {process.memory_full_info().uss / 2**20:7.1f} MiB")
        print(f"  copies: {feed.stats().copies}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="folder of JPEG files")
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--steps", type=int, default=0, help="how many, to see the memory that they take")
    options = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {available_cpus()} processors")
    photos = sorted(Path(options.photos).resolve().rglob("*.jp*g"))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        for number in range(BATCH * BATCHES):
            (Path(name) / f"{number:05}.jpg").symlink_to(photos[number % len(photos)])
        files = sorted(str(path) for path in Path(name).iterdir())
        loops = sides(stack, files, Path(name), options.workers)
        rates: dict[str, list[float]] = {side: [] for side in loops}
        for number in range(options.rounds + 1):
            for side, loop in loops.items():
                measured = rate(loop)
                if number:  # the first round starts workers and traces functions
                    rates[side].append(measured)
        first = next(iter(rates.values()))
        for side, measured_rates in rates.items():
            ratios = [ours / bare for ours, bare in zip(measured_rates, first, strict=True)]
            print(f"  {side:30} {statistics.median(measured_rates):8.0f}/s  x{statistics.median(ratios):5.3f}")
    if options.steps:
        print(f"{options.steps} steps")
        remember(options.steps)


if __name__ == "__main__":
    main()
