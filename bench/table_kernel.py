"""Print what the image kernel does on one core, from memory, beside libjpeg-turbo: times and instructions.

    python bench/table_kernel.py [PHOTOS] [--rounds 7]

PHOTOS is a folder of JPEG files (default: photographs that `fastfeed bench` makes). All sides are measured in one
run, in turn, by the thread's processor time; a figure is the median of the ratios of the rounds, with the lowest and
the highest. Instructions are those that valgrind's callgrind counts between entry and exit of a decode. They do not
depend on who else is busy, but valgrind has no AVX-512: they are those of the AVX2 loops.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed import _native
from fastfeed.image.plan import compile_plan
from fastfeed.tools.bench import compare, photos, report
from fastfeed.tools.bench.peers import MEAN, STD

COUNTED = 6  # photographs whose instructions are counted
Sweep = Callable[[], None]
Row = tuple[str, str, str, str]


def room(files: list[bytes]) -> bytearray:
    return bytearray(max(width * height * 3 for width, height in map(_native.jpeg_size, files)))


def floor(files: list[bytes]) -> Sweep:
    out = room(files)

    def sweep() -> None:
        for data in files:
            _native.floor_decode(data, out)

    return sweep


def decode(files: list[bytes]) -> Sweep:
    out, image = room(files), _native.Image()

    def sweep() -> None:
        for data in files:
            image.decode(data, out)

    return sweep


def rows(files: list[bytes], chain: list[Any], **options: Any) -> Sweep:
    plan = compile_plan(None, chain, options.pop("dtype", "float32"), "NHWC", **options).plan
    image, row = _native.Image(), memoryview(bytearray(_native.plan_row_bytes(plan)))
    epoch = 0

    def sweep() -> None:
        nonlocal epoch
        epoch += 1
        for index, data in enumerate(files):
            image.encoded(plan, data, 0, epoch, index, row)

    return sweep


def sides(files: list[bytes]) -> dict[str, Sweep]:
    normalised = [ff.RandomHorizontalFlip(), ff.Normalize(MEAN, STD)]
    return {
        "decode": decode(files),
        "W1": rows(files, [ff.Resize(224), *normalised]),
        "W2": rows(files, [ff.RandomResizedCrop(224), *normalised]),
    }


def over(bottom: Sweep, others: dict[str, Sweep], rounds: int) -> dict[str, list[float]]:
    """The rate of each over the bottom's, round by round."""
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for sweep in (bottom, *others.values()):
        sweep()
    for _ in range(rounds):
        base = spent(bottom)
        for name, sweep in others.items():
            ratios[name].append(base / spent(sweep))
    return ratios


def spent(sweep: Sweep) -> float:
    before = time.thread_time()
    sweep()
    return time.thread_time() - before


def said(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def usual(files: list[bytes], rounds: int) -> list[Row]:
    ratios = over(floor(files), sides(files), rounds)
    progressive = sum(b"\xff\xc2" in data[: data.find(b"\xff\xda")] for data in files)
    return [
        ("decode to RGB, over libjpeg-turbo's", "1", "1.45", said(ratios["decode"])),
        ("W1: decode, resize, flip, normalise, over libjpeg-turbo's decode", "", "", said(ratios["W1"])),
        ("W2: the same of a random crop", "", "", said(ratios["W2"])),
        ("progressive files among them", "", "", f"{progressive} of {len(files)}"),
    ]


def large(rounds: int) -> list[Row]:
    files = [path.read_bytes() for path in photos.photographs(photos.large_recipes(2), name="large")]
    made = {
        "to 224": rows(files, [ff.Resize(224)], dtype="uint8"),
        "to 224, exact": rows(files, [ff.Resize(224)], dtype="uint8", exact=True),
    }
    ratios = over(floor(files), made, rounds)
    return [
        (f"12 megapixels {name}, over libjpeg-turbo's full decode", "1", promised, said(ratios[name]))
        for name, promised in (("to 224", "4"), ("to 224, exact", ""))
    ]


def instructions(folder: str | None) -> list[Row]:
    """Of an image, in each of the decoders and in the whole kernel."""
    if shutil.which("valgrind") is None:
        return [("instructions an image", "", "", "not counted: valgrind is not installed")]
    counts = {}
    for side, function in (("floor", "ff_jpeg_floor"), ("decode", "ff_jpeg_whole"), ("W1", "ff_image_encoded")):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--toggle-collect={function}"]
        command += [sys.executable, __file__, *([folder] if folder else []), "--sweep", side]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        (total,) = re.findall(r"Collected : (\d+)", told)
        counts[side] = int(total) / COUNTED
    floor_count = counts["floor"]
    return [
        (
            f"instructions an image, {name}",
            f"{floor_count / 1e6:.1f} million",
            "",
            f"{counts[side] / 1e6:.1f} million: 1/{floor_count / counts[side]:.2f}",
        )
        for side, name in (("decode", "decode to RGB"), ("W1", "all of W1"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what the image kernel does on one core.")
    parser.add_argument("photos", nargs="?", help="folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sweep", choices=("floor", "decode", "W1"), help=argparse.SUPPRESS)  # once, to be counted
    options = parser.parse_args()
    paths = compare.jpeg_files(options.photos)[0] if options.photos else photos.photographs()
    if options.sweep:
        files = [Path(path).read_bytes() for path in paths[:COUNTED]]
        {"floor": floor(files), **sides(files)}[options.sweep]()
        return
    files = [Path(path).read_bytes() for path in paths]
    made = [*usual(files, options.rounds), *large(min(options.rounds, 5)), *instructions(options.photos)]
    print(f"{len(files)} photographs, one core, {_native.simd_name()}, libjpeg-turbo {_native.libjpeg_version()}\n")
    print(report.table([["", "libjpeg-turbo", "promised", "measured"], *map(list, made)]))


if __name__ == "__main__":
    main()
