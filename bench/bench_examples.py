"""The generators of examples/: what each gains by fastfeed, over itself run serially.

    python bench/bench_examples.py [a h ...] [--workers N] [--rounds 5] [--json]

Work: 512 photographs, 24 made ones over and over (median 500x375, 100 kB), to 224x224 float32, batches of 32; other
sizes beside the examples that have them.  All sides of an example take their windows in turn in one run: an epoch, or
for an endless generator as many batches once what was ready is gone.  Given is the median of the rounds' ratios, and
the CPU time of all processes for the first feed of a row, over the serial one: it tells what the machine's other work
cannot blur.

Last figures (4 cores of an Intel Xeon with AVX-512, nothing else running): times as fast as serially, wrapped / map /
native, and CPU.

    a  3.6 / - / 8.4, 1.03    e  3.1 / 2.8 / -, 1.13    i  0.9 / 3.1 / 6.3, 1.04
    b  3.7 / - / 9.1, 1.00    f  3.3 / - / 8.3, 1.17    j  - / 4.1 / 8.6, 0.93
    c  3.4 / - / -, 1.12      g  0.9 / - / 1.9, 3.08    k  4.0 / - / 9.1, 0.98
    d  3.9 / - / 9.8, 1.00    h  3.4 / - / 7.1, 1.15    l  3.6 / 3.3 / 8.0, 1.15

The generator of i has a pool of as many processes already; that of g does nothing but copy rows.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fastfeed.machine import available_cpus
from fastfeed.tools.bench import photos, report

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FILES = 512
BATCH = 32
SIZE = (224, 224)
# More than any feed here has ready.
READY = 40


@dataclass
class Example:
    """One generator: how to run it serially, and the feeds to compare it with; `batches` where it never ends."""

    what: str
    serial: Callable[[], Iterable[Any]]
    feeds: dict[str, Callable[[int], Any]]
    batches: int | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    def ratios(self) -> dict[str, float]:
        """How many times as fast as serially, by side."""
        serial = self.seconds["serial"]
        return {
            name: statistics.median(slow / quick for slow, quick in zip(serial, times, strict=True))
            for name, times in self.seconds.items()
            if name != "serial"
        }

    def window(self, side: str, batches: Iterable[Any]) -> None:
        """Time the batches, and the CPU that all processes spend on them."""
        spent = _cpu_seconds()
        self.seconds.setdefault(side, []).append(_window(batches))
        self.cpu_seconds[side] = self.cpu_seconds.get(side, 0.0) + _cpu_seconds() - spent


def measure(example: Example, workers: int, rounds: int) -> None:
    """Give every side a window in each round."""
    feeds = {name: make(workers) for name, make in example.feeds.items()}
    try:
        running = {name: iter(feed) for name, feed in feeds.items() if example.batches is not None}
        for feed in feeds.values() if example.batches is None else ():
            for _ in feed:  # the workers' start is not what is asked here
                pass
        for _ in range(rounds):
            example.window("serial", itertools.islice(example.serial(), example.batches))
            for name, feed in feeds.items():
                if example.batches is None:
                    example.window(name, feed)
                else:
                    _window(itertools.islice(running[name], READY))
                    example.window(name, itertools.islice(running[name], example.batches))
    finally:
        for feed in feeds.values():
            feed.close()


def _window(batches: Iterable[Any]) -> float:
    begun = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - begun


def _cpu_seconds() -> float:
    """Of this process, its children, and theirs: those alive and those that were waited for."""
    total = 0.0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, and both of the children waited for
    return total


# ---- the examples ----


def _paths() -> list[str]:
    made = photos.photographs(photos.recipes(24))
    return [str(made[number % len(made)]) for number in range(FILES)]


def _module(name: str) -> Any:
    return importlib.import_module(f"examples.{name}")


def a() -> Example:
    module, paths = _module("a_folder"), _paths()
    return Example(
        "a  folder of images, for ever",
        lambda: module.image_batches(list(paths), BATCH, SIZE),
        {
            "wrapped": lambda n: module.fast(paths, BATCH, SIZE, num_workers=n),
            "native": lambda n: _Endless(module.native(paths, BATCH, SIZE, num_workers=n)),
        },
        FILES // BATCH,
    )


def b() -> Example:
    module, paths = _module("b_labels"), _paths()
    labels = {Path(path).name: number for number, path in enumerate(dict.fromkeys(paths))}
    return Example(
        "b  labels from a mapping, flips",
        lambda: module.labelled_batches(list(paths), labels, BATCH, SIZE),
        {
            "wrapped": lambda n: module.fast(paths, labels, BATCH, SIZE, num_workers=n),
            "native": lambda n: _Endless(module.native(paths, labels, BATCH, SIZE, num_workers=n)),
        },
        FILES // BATCH,
    )


def c() -> Example:
    module = _module("c_random")
    return Example(
        "c  random (256, 512) batches",
        lambda: module.random_batches(256, 512),
        {"wrapped": lambda n: module.fast(256, 512, num_workers=n)},
        100,
    )


def d() -> Example:
    module, paths = _module("d_augmented"), _paths()
    labels = np.arange(FILES)
    return Example(
        "d  drawn and augmented images",
        lambda: module.augmented_batches(paths, labels, BATCH, SIZE),
        {
            "wrapped": lambda n: module.fast(paths, labels, BATCH, SIZE, num_workers=n),
            "native": lambda n: _Endless(module.native(paths, labels, BATCH, SIZE, num_workers=n)),
        },
        FILES // BATCH,
    )


def e() -> Example:
    module = _module("e_sequences")
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(5000)]
    texts = [" ".join(random.choice(words, random.integers(50, 400))) for _ in range(8192)]
    targets = random.integers(0, 2, len(texts)).tolist()
    vocabulary = {word: number + 2 for number, word in enumerate(words)}
    return Example(
        "e  8192 texts to padded sequences",
        lambda: module.sequence_batches(texts, targets, vocabulary, 256, 64),
        {
            "wrapped": lambda n: module.fast(texts, targets, vocabulary, 256, 64, num_workers=n),
            "map": lambda n: module.mapped(texts, targets, vocabulary, 256, 64, num_workers=n),
        },
    )


def f() -> Example:
    module, paths = _module("f_two_generators"), _paths()
    train = paths[: FILES * 3 // 4], np.arange(FILES * 3 // 4)
    valid = paths[FILES * 3 // 4 :], np.arange(FILES // 4)

    def serial() -> Iterable[Any]:
        yield from module.indexed_batches(*train, BATCH, SIZE)
        yield from module.indexed_batches(*valid, BATCH, SIZE, shuffle=False)

    return Example(
        "f  training and validation",
        serial,
        {
            "wrapped": lambda n: _Chained(module.fast(train, valid, BATCH, SIZE, num_workers=n)),
            "native": lambda n: _Chained(module.native(train, valid, BATCH, SIZE, num_workers=n)),
        },
    )


def g() -> Example:
    module = _module("g_arrays")
    x = np.random.default_rng(0).random((16384, 3072), np.float32)
    y = np.arange(len(x))
    return Example(
        "g  (16384, 3072) float32 rows",
        lambda: module.array_batches(x, y, 128),
        {
            "wrapped": lambda n: module.fast(x, y, 128, num_workers=n),
            "native": lambda n: module.native(x, y, 128, num_workers=n),
        },
    )


def h() -> Example:
    module, paths = _module("h_opencv"), _paths()
    return Example(
        "h  OpenCV",
        lambda: module.opencv_batches(paths, BATCH, SIZE),
        {
            "wrapped": lambda n: module.fast(paths, BATCH, SIZE, num_workers=n),
            "native": lambda n: module.native(paths, BATCH, SIZE, num_workers=n),
        },
    )


def i() -> Example:
    module, paths = _module("i_pool"), _paths()
    return Example(
        "i  Pool.map for each batch",
        lambda: module.pool_batches(paths, BATCH, SIZE, available_cpus()),
        {
            "wrapped": lambda n: module.wrapped(paths, BATCH, SIZE, n),
            "map": lambda n: module.fast(paths, BATCH, SIZE, num_workers=n),
            "native": lambda n: module.native(paths, BATCH, SIZE, num_workers=n),
        },
    )


def j() -> Example:
    module, paths = _module("j_pairs"), _paths()
    texts = [f"text {number}" for number in range(FILES)]
    return Example(
        "j  zip of images and texts",
        lambda: module.pair_batches(paths, texts, BATCH, SIZE),
        {
            "map": lambda n: module.fast(paths, texts, BATCH, SIZE, num_workers=n),
            "native": lambda n: module.native(paths, texts, BATCH, SIZE, num_workers=n),
        },
    )


def k() -> Example:
    module, paths = _module("k_class"), _paths()
    captions = [f"caption {number}" for number in range(FILES)]
    data = module.Captions(paths, captions, BATCH, SIZE)
    return Example(
        "k  a class's training generator",
        data.train_generator,
        {
            "wrapped": lambda n: module.fast(data, num_workers=n)[0],
            "native": lambda n: _Endless(module.native(paths, captions, BATCH, SIZE, num_workers=n)[0]),
        },
        FILES // BATCH,
    )


def l() -> Example:  # noqa: E743  the examples have letters
    module, paths = _module("l_three_files"), _paths()
    texts = ["some words to be padded " * (1 + number % 3) for number in range(FILES)]
    numbers = np.random.default_rng(0).random((FILES, 16))
    return Example(
        "l  images, texts and numbers",
        lambda: module.collated_batches(paths, texts, numbers, BATCH, SIZE),
        {
            "wrapped": lambda n: module.fast(paths, texts, numbers, BATCH, SIZE, num_workers=n),
            "map": lambda n: module.mapped(paths, texts, numbers, BATCH, SIZE, num_workers=n),
            "native": lambda n: module.native(paths, texts, numbers, BATCH, SIZE, num_workers=n),
        },
    )


class _Endless:
    """A feed whose iteration runs on across epochs."""

    def __init__(self, feed: Any) -> None:
        self._feed = feed
        self.close = feed.close

    def __iter__(self) -> Any:
        return self._feed.repeat()


class _Chained:
    """Two feeds, one after the other."""

    def __init__(self, feeds: tuple[Any, Any]) -> None:
        self._feeds = feeds

    def __iter__(self) -> Any:
        return itertools.chain(*self._feeds)

    def close(self) -> None:
        for feed in self._feeds:
            feed.close()


EXAMPLES = {make.__name__: make for make in (a, b, c, d, e, f, g, h, i, j, k, l)}


@pytest.mark.benchmark(group="examples: a window of the wrapped generator, or of its map")
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(benchmark: BenchmarkFixture, name: str) -> None:
    if name == "h":
        pytest.importorskip("cv2", reason="the example needs opencv-python-headless")
    example = EXAMPLES[name]()
    feed = next(iter(example.feeds.values()))(available_cpus())
    try:
        batches = itertools.repeat(feed) if example.batches is None else itertools.repeat(iter(feed))
        benchmark.pedantic(lambda: _window(itertools.islice(next(batches), example.batches)), rounds=3, warmup_rounds=3)
    finally:
        feed.close()
    if benchmark.stats is not None:  # None under --benchmark-disable
        measure(example, available_cpus(), 3)
        benchmark.extra_info["times serial"] = {side: round(ratio, 2) for side, ratio in example.ratios().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what each example gains over its serial generator.")
    parser.add_argument("names", nargs="*", metavar="LETTER", help=f"of {' '.join(EXAMPLES)} (default: all)")
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    done: list[Example] = []
    for name in options.names or EXAMPLES:
        print(f"... {name}", file=sys.stderr, flush=True)
        try:
            example = EXAMPLES[name]()
        except ImportError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        measure(example, options.workers, options.rounds)
        done.append(example)
    if options.json:
        print(json.dumps({example.what: example.seconds for example in done}, indent=2))
        return
    rows = [["", "serial, ms", "wrapped", "map", "native", "CPU"]]
    for example in done:
        ratios = example.ratios()
        cells = [f"{ratios[side]:.2f}" if side in ratios else "" for side in ("wrapped", "map", "native")]
        serial = f"{1000 * statistics.median(example.seconds['serial']):.0f}"
        cpu = f"{example.cpu_seconds[next(iter(example.feeds))] / example.cpu_seconds['serial']:.2f}"
        rows.append([example.what, serial, *cells, cpu])
    print(f"{options.workers} workers on {available_cpus()} processors; how many times as fast as serially\n")
    print(report.table(rows))


if __name__ == "__main__":
    main()
