"""The image kernel on one core, image by image, beside the decoder alone: what each transform adds to the floor.

Work: a whole sweep over 24 made photographs (median 500x375, 100 kB) a round, from memory to one row, 224x224.  The
first of each group is the floor; read the others as ratios to it, in the same run.  ``extra_info`` has images/s.

Last figures (one core of a shared Intel Xeon with AVX-512, libjpeg-turbo 2.1.5), images/s over the floor's 493: whole
frame 1.49, random crop 2.10, cover and centre 1.78, bicubic 1.40, affine 1.29, colour with hue 1.21, colour 1.02.
Resampling alone: AVX-512 0.17 ms an image, AVX2 0.20 ms, baseline 2.2 ms.  12 megapixels of 2 and 4 MB: 2.7 over full
decode, 1.8 exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastfeed as ff
from fastfeed import _native
from fastfeed.image.plan import compile_plan
from fastfeed.tools.bench import photos
from fastfeed.tools.bench.peers import MEAN, STD

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

NORMALISED = ff.Normalize(MEAN, STD)
CHAINS: dict[str, list[Any]] = {
    "whole frame": [ff.Resize(224), ff.RandomHorizontalFlip(), NORMALISED],
    "random crop": [ff.RandomResizedCrop(224), ff.RandomHorizontalFlip(), NORMALISED],
    "bicubic": [ff.Resize(224, filter="bicubic"), NORMALISED],
    "cover and centre": [ff.Resize(256, fit="cover"), ff.CenterCrop(224), NORMALISED],
    "colour": [ff.Resize(224), ff.ColorJitter(0.4, 0.4, 0.4), NORMALISED],
    "colour with hue": [ff.Resize(224), ff.ColorJitter(0.4, 0.4, 0.4, 0.1), NORMALISED],
    "affine": [ff.Resize(224), ff.RandomAffine(15, translate=(0.1, 0.1)), NORMALISED],
}
STORES = [("uint8", "NHWC"), ("float16", "NHWC"), ("float32", "NHWC"), ("float32", "NCHW")]


@pytest.fixture(scope="module")
def usual() -> list[bytes]:
    return [path.read_bytes() for path in photos.photographs(photos.recipes(24))]


@pytest.fixture(scope="module")
def large() -> list[bytes]:
    return [path.read_bytes() for path in photos.photographs(photos.large_recipes(2), name="large")]


def sweep_floor(files: list[bytes]) -> Callable[[], None]:
    out = bytearray(max(width * height * 3 for width, height in map(_native.jpeg_size, files)))

    def sweep() -> None:
        for data in files:
            _native.floor_decode(data, out)

    return sweep


def sweep_rows(
    files: list[bytes], chain: list[Any], dtype: str = "float32", layout: str = "NHWC"
) -> Callable[[], None]:
    plan = compile_plan(None, chain, dtype, layout).plan
    image, row = _native.Image(), memoryview(bytearray(_native.plan_row_bytes(plan)))

    def sweep() -> None:
        for index, data in enumerate(files):
            image.encoded(plan, data, 0, 0, index, row)

    return sweep


def measure(benchmark: BenchmarkFixture, sweep: Callable[[], None], images: int, rounds: int = 7) -> None:
    benchmark.pedantic(sweep, rounds=rounds, warmup_rounds=1)
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["images/s"] = round(images / benchmark.stats.stats.median)
    benchmark.extra_info["simd"] = _native.simd_name()
    benchmark.extra_info["libjpeg-turbo"] = _native.libjpeg_version()


@pytest.mark.benchmark(group="usual photographs to 224")
def test_floor(benchmark: BenchmarkFixture, usual: list[bytes]) -> None:
    measure(benchmark, sweep_floor(usual), len(usual))


@pytest.mark.benchmark(group="usual photographs to 224")
@pytest.mark.parametrize("name", CHAINS)
def test_chain(benchmark: BenchmarkFixture, usual: list[bytes], name: str) -> None:
    measure(benchmark, sweep_rows(usual, CHAINS[name]), len(usual))


@pytest.mark.benchmark(group="usual photographs, how rows are stored")
@pytest.mark.parametrize(("dtype", "layout"), STORES)
def test_store(benchmark: BenchmarkFixture, usual: list[bytes], dtype: str, layout: str) -> None:
    measure(benchmark, sweep_rows(usual, [ff.Resize(224)], dtype, layout), len(usual))


@pytest.mark.benchmark(group="SIMD variants, pixels only")
@pytest.mark.parametrize("variant", _native.simd_variants())
def test_variant(benchmark: BenchmarkFixture, variant: str) -> None:
    """Resampling alone: decoded pixels of a prime, asymmetric size (499x373) to 224x224."""
    used = _native.simd_name()
    assert _native.simd_select(variant)
    try:
        plan = compile_plan(None, CHAINS["whole frame"], "float32", "NHWC").plan
        image, row = _native.Image(), memoryview(bytearray(_native.plan_row_bytes(plan)))
        pixels = np.random.RandomState(0).randint(0, 256, 499 * 373 * 3).astype(np.uint8)

        def sweep() -> None:
            for index in range(20):
                image.pixels(plan, pixels, 499, 373, 499 * 3, 0, 0, index, row)

        measure(benchmark, sweep, 20, rounds=15)
        benchmark.extra_info["simd"] = variant
    finally:
        _native.simd_select(used)


@pytest.mark.benchmark(group="12 megapixels to 224")
@pytest.mark.parametrize("name", ["full decode", "reduced", "exact"])
def test_large(benchmark: BenchmarkFixture, large: list[bytes], name: str) -> None:
    if name == "full decode":
        measure(benchmark, sweep_floor(large), len(large), rounds=3)
        return
    plan = compile_plan(224, None, "uint8", "NHWC", exact=name == "exact").plan
    image, row = _native.Image(), memoryview(bytearray(_native.plan_row_bytes(plan)))

    def sweep() -> None:
        for data in large:
            image.encoded(plan, data, 0, 0, 0, row)

    measure(benchmark, sweep, len(large), rounds=3)
