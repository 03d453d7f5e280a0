"""Photographs made of numbers: JPEG files that cost a decoder what real ones cost it.

No image is stored anywhere.  A photograph is a function of its recipe: occluding shapes with shaded colours ("dead
leaves": Lee, Mumford, Huang, "Occlusion models for natural images", IJCV 2001), a texture whose amplitude falls with
frequency as it does in nature (Field, JOSA A 1987), and sensor noise.

    recipe --> shapes --> base planes --+
                                        +--> base + gain * detail --> RGB --> JPEG
    recipe --> texture, noise: detail --+
                          gain: chosen so that the quantised DCT costs the recipe's bits

The mix of sizes, qualities, subsamplings and bits per pixel is that of an image data set whose photographs are as
people upload them.  The gain is found from the pixels alone, never from an encoder's output, so that the pixels do not
depend on the version of the JPEG library; the bytes do, and the cache is kept by PIL's version.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from fastfeed.errors import ConfigError, FastfeedError
from fastfeed.machine import available_cpus
from fastfeed.tools.bench import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Plane = NDArray[np.float64]

VERSION = 1  # raise it whenever a recipe or its pixels change: the cache is kept by it
DEFAULT_COUNT = 256
LARGE_COUNT = 8


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a photograph."""

    seed: int
    width: int
    height: int
    quality: int
    """Quality of the IJG's tables, 1..100."""
    sampling: str
    """``4:4:4``, ``4:2:2``, ``4:2:0`` or ``grey``."""
    bits_per_pixel: float
    """Size of the encoded photograph, over its pixels."""


@dataclass(frozen=True)
class _Kind:
    """One stratum of the mix: what its photographs have in common and how their bits per pixel are spread."""

    share: float
    sampling: str
    qualities: tuple[int, ...]
    bits_per_pixel: tuple[float, ...]
    """At the quantiles of _QUANTILES."""
    scale: float
    """Its usual width and height over those of the mix."""


# Measured on 125 photographs of a public image data set: shares, mean quantiser steps (as the IJG quality that has the
# same), bits per pixel at seven quantiles.  In all: median 500x375 and 111 kB, 4.75 bits per pixel, 75% 4:4:4, 21%
# 4:2:0, 2% 4:2:2, 2% grey; nearly all with Huffman tables of their own; none progressive.
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_MIX = (
    _Kind(0.64, "4:4:4", (96,), (1.83, 4.18, 4.84, 5.90, 7.26, 8.60, 10.93), 1.0),
    _Kind(0.11, "4:4:4", (94, 93, 90, 85, 80), (1.00, 1.56, 2.21, 3.08, 3.69, 4.09, 5.54), 1.05),
    _Kind(0.21, "4:2:0", (95, 92, 85, 80, 77, 75, 69), (0.79, 1.13, 1.24, 1.66, 2.25, 2.56, 4.44), 0.92),
    _Kind(0.016, "4:2:2", (85, 80), (1.95, 2.05, 2.20, 2.44, 2.69, 2.84, 2.93), 1.4),
    _Kind(0.024, "grey", (96, 96, 84), (1.74, 2.60, 3.87, 4.03, 5.04, 5.27, 5.42), 1.1),
)

# Long and short side: three in five photographs are 500 wide or high, the rest spread from 180 to 1100.
_SIDES = (
    (0.29, 500, 375),
    (0.26, 500, 333),
    (0.05, 500, 500),
    (0.03, 640, 480),
    (0.10, 500, 400),
    (0.05, 300, 225),
    (0.05, 400, 300),
    (0.06, 360, 240),
    (0.04, 500, 281),
    (0.03, 718, 540),
    (0.02, 640, 427),
    (0.02, 964, 685),
)
_LANDSCAPE = 0.74

# Quantiser tables K.1 and K.2 of ITU-T T.81, in natural order; qualities scale them by the IJG's rule.
_LUMA_STEPS = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMA_STEPS = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    + "99 99 99 99 99 99 99 99 " * 4
)

# Bits of a JPEG with its own Huffman tables, from its quantised AC coefficients k: fitted on the same photographs,
# whose sizes it gives to within 5% (standard deviation).
_BITS_PER_NONZERO = 2.73
_BITS_PER_LOG = 1.66
_BITS_PER_BLOCK = 8.5

_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def recipes(count: int = DEFAULT_COUNT) -> list[Recipe]:
    """Return the recipes of a set of usual photographs; any count covers nearly the whole mix."""
    result = []
    for number in range(count):
        # The low-discrepancy sequence of the golden ratio's generalisation: even small counts cover every stratum.
        along, across, tilt, extra = (_fraction(number, dimension) for dimension in range(4))
        kind, within = _pick(along, [entry.share for entry in _MIX])
        chosen = _MIX[kind]
        side, _ = _pick(across, [entry[0] for entry in _SIDES])
        _, long, short = _SIDES[side]
        long, short = (max(64, round(length * chosen.scale)) if long != 500 else length for length in (long, short))
        width, height = (long, short) if tilt < _LANDSCAPE else (short, long)
        result.append(
            Recipe(
                seed=number,
                width=width,
                height=height,
                quality=chosen.qualities[int(extra * len(chosen.qualities))],
                sampling=chosen.sampling,
                bits_per_pixel=float(np.interp(within, _QUANTILES, chosen.bits_per_pixel)),
            )
        )
    return result


def large_recipes(count: int = LARGE_COUNT) -> list[Recipe]:
    """Return recipes of 12-megapixel 4:2:0 photographs as telephones take them, in turn about 2 MB and 4 MB."""
    return [
        Recipe(1_000_000 + number, 4000, 3000, (85, 92)[number % 2], "4:2:0", (1.35, 2.7)[number % 2])
        for number in range(count)
    ]


def pixels(recipe: Recipe) -> NDArray[np.uint8]:
    """Paint the photograph: uint8, height x width x 3 (RGB), or height x width where it is grey."""
    rng = np.random.RandomState(recipe.seed)  # its stream is frozen for good, unlike Generator's (NEP 19)
    base, contrast = _shapes(recipe, rng)
    detail = _detail(recipe, rng, contrast, len(base))
    gain = _gain(recipe, base, detail)
    planes = [plane + gain * fine for plane, fine in zip(base, detail, strict=True)]
    if len(planes) == 1:
        return _bytes(planes[0] + 128.0)
    y, cb, cr = planes
    y = y + 128.0  # full-range BT.601, as JFIF has it
    return np.stack(
        [_bytes(y + 1.402 * cr), _bytes(y - 0.344136 * cb - 0.714136 * cr), _bytes(y + 1.772 * cb)],
        axis=-1,
    )


def encode(recipe: Recipe) -> bytes:
    """Return the photograph as a JPEG file; the same bytes for the same version of PIL."""
    image_module = _pil()
    image = image_module.fromarray(pixels(recipe))
    buffer = io.BytesIO()
    options: dict[str, Any] = {} if recipe.sampling == "grey" else {"subsampling": _SUBSAMPLING[recipe.sampling]}
    image.save(buffer, "JPEG", quality=recipe.quality, optimize=True, **options)
    return buffer.getvalue()


def photographs(
    what: Sequence[Recipe] | None = None,
    *,
    name: str = "photographs",
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Return the paths of the photographs, made now unless they are cached.

    Parameters
    ----------
    what : sequence of Recipe, optional
        ``recipes()`` where it is None.
    name : str
        What their folder in the cache is called; one name for one list of recipes.
    folder : Path, optional
        The cache; ``$XDG_CACHE_HOME/fastfeed`` or ``~/.cache/fastfeed`` where it is None.
    progress : callable, optional
        Called with (photographs made, all) in this process.

    Raises
    ------
    ConfigError
        Without PIL, or where the cache cannot be written.
    """
    wanted = recipes() if what is None else list(what)
    version = _pil().__version__
    cache = cache_folder() if folder is None else folder
    home = cache / f"{name}-v{VERSION}-{len(wanted)}-pil{version}"
    paths = [home / _file_name(number) for number in range(len(wanted))]
    if home.is_dir():
        return paths
    try:
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    except OSError as error:
        raise ConfigError(
            f"the photographs cannot be kept in {cache} ({error.strerror}); set XDG_CACHE_HOME to a folder that can be "
            f"written, or name a folder of your own photographs"
        ) from error
    try:
        _make_all(wanted, fresh, progress)
        try:
            fresh.rename(home)  # whoever is first wins; the folder is never seen half full
        except OSError:
            if not home.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return paths


def cache_folder() -> Path:
    """Return the folder where photographs are kept."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: relative paths are invalid
        base = Path.home() / ".cache"
    return base / "fastfeed"


def _make_all(wanted: Sequence[Recipe], folder: Path, progress: Callable[[int, int], None] | None) -> None:
    processes = min(available_cpus(), max(1, len(wanted) // 4))
    if processes == 1:
        for number, recipe in enumerate(wanted):
            _make(recipe, folder / _file_name(number))
            if progress is not None:
                progress(number + 1, len(wanted))
        return
    # Processes of our own making: this one may have threads (a progress bar's), which do not survive a fork, and
    # multiprocessing's other ways leave a process behind.
    reader, writer = os.pipe()  # one for all helpers: a byte for each photograph, and an end when the last one ends
    with contextlib.ExitStack() as stack:
        told = stack.enter_context(open(reader, "rb", buffering=0))
        with open(writer, "wb") as end:
            for share in range(processes):
                helper = subprocess.Popen(
                    [sys.executable, "-m", "fastfeed.tools.bench.photos", str(folder)],
                    env=environment(),
                    stdin=subprocess.PIPE,
                    stdout=end,
                )
                stack.enter_context(helper)
                stack.callback(helper.kill)
                numbers = range(share, len(wanted), processes)
                pipe = cast("IO[bytes]", helper.stdin)
                pipe.write(json.dumps({number: astuple(wanted[number]) for number in numbers}).encode())
                pipe.close()
        for done in range(1, len(wanted) + 1):
            if not told.read(1):
                raise FastfeedError("a process that makes photographs ended early; its reason stands above")
            if progress is not None:
                progress(done, len(wanted))


def _help() -> None:
    """Make the photographs that stdin lists, and write a byte to stdout for each."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt is its parent's to report
    for number, recipe in json.load(sys.stdin).items():
        _make(Recipe(*recipe), Path(sys.argv[1]) / _file_name(int(number)))
        os.write(1, b".")


def _make(recipe: Recipe, path: Path) -> None:
    path.write_bytes(encode(recipe))


def _file_name(number: int) -> str:
    return f"{number:04d}.jpg"


def _pil() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise ConfigError(
            "making photographs needs PIL, which is not installed: pip install 'fastfeed[pillow]' (or "
            "'fastfeed[simd]'), or name a folder of your own photographs"
        ) from error


def _fraction(number: int, dimension: int) -> float:
    # R4 sequence: powers of 1/g, where g is the positive root of x**5 = x + 1.
    return math.fmod(0.5 + (number + 1) * 1.1673039782614187 ** -(dimension + 1), 1.0)


def _pick(fraction: float, shares: Sequence[float]) -> tuple[int, float]:
    """Say which share the fraction of all falls into, and how far into it (0..1)."""
    left = fraction * sum(shares)
    for number, share in enumerate(shares):
        if left < share:
            return number, left / share
        left -= share
    return len(shares) - 1, 1.0


def _shapes(recipe: Recipe, rng: np.random.RandomState) -> tuple[list[Plane], Plane]:
    """Return base planes (Y, Cb, Cr around 0, or Y) of occluding shaded shapes, and the contrast of each place."""
    height, width = recipe.height, recipe.width
    count = 24 + int(rng.randint(40))
    owner = np.zeros((height, width), dtype=np.intp)
    # Radii follow r**-3, from 2% to 60% of the shorter side; large ones lie at the back.
    least, most = 0.02 * min(height, width), 0.6 * min(height, width)
    spread = rng.random_sample(count)
    radii = np.sort(1.0 / np.sqrt(spread / least**2 + (1.0 - spread) / most**2))[::-1]
    for number, radius in enumerate(radii, start=1):
        x, y = rng.random_sample(2) * (width, height)
        turn, stretch, square = rng.random_sample(3) * (math.pi, 1.0, 1.0)
        long, short = radius * (1.0 + stretch), radius / (1.0 + stretch)
        reach = 1.5 * long
        top, bottom = max(0, int(y - reach)), min(height, int(y + reach) + 1)
        left, right = max(0, int(x - reach)), min(width, int(x + reach) + 1)
        if top >= bottom or left >= right:
            continue
        down = np.arange(top, bottom)[:, None] - y
        over = np.arange(left, right)[None, :] - x
        along = np.abs(over * math.cos(turn) + down * math.sin(turn)) / long
        aside = np.abs(down * math.cos(turn) - over * math.sin(turn)) / short
        inside = np.maximum(along, aside) < 0.9 if square > 0.7 else along * along + aside * aside < 1.0
        owner[top:bottom, left:right][inside] = number
    down = np.arange(height)[:, None] / height - 0.5
    over = np.arange(width)[None, :] / width - 0.5
    planes = []
    for spread_of_colour in (50.0,) if recipe.sampling == "grey" else (50.0, 9.0, 9.0):
        level = (rng.random_sample(count + 1) - 0.5) * 2.0 * 1.7 * spread_of_colour
        slope_down = (rng.random_sample(count + 1) - 0.5) * 1.5 * spread_of_colour
        slope_over = (rng.random_sample(count + 1) - 0.5) * 1.5 * spread_of_colour
        plane = level[owner] + slope_down[owner] * down + slope_over[owner] * over
        planes.append(_soften(np.clip(plane, -120.0, 120.0)))
    log_contrast = (2.4 * (rng.random_sample(count + 1) - 0.5))[owner]
    for _ in range(3):  # sharp here, out of focus there: waves of half a frame to two frames
        wave_down, wave_over, phase = rng.random_sample(3) * (12.0, 12.0, 2 * math.pi)
        log_contrast += 0.55 * np.cos(wave_down * down + wave_over * over + phase)
    return planes, np.exp(log_contrast)


def _soften(plane: Plane) -> Plane:
    """Blur as a lens does: edges are a few pixels wide."""
    for _ in range(2):
        wide = np.pad(plane, 1, mode="edge")
        plane = (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] + 4.0 * wide[1:-1, 1:-1]) / 8.0
    return plane


def _detail(recipe: Recipe, rng: np.random.RandomState, contrast: Plane, planes: int) -> list[Plane]:
    """Return texture and noise of each plane, for gain 1."""
    # A periodic tile is repeated where the photograph is larger; a decoder has no memory of such distances.
    side = 2048 if max(recipe.width, recipe.height) > 2048 else 512
    luma, first = _field(rng, side, slope=1.15)
    fields = [luma]
    if planes == 3:
        second, third = _field(rng, side, slope=1.4)
        # Colour varies with brightness, and less finely.
        fields += [0.45 * second + 0.1 * first, 0.45 * third - 0.1 * first]
    rows, columns = np.arange(recipe.height) % side, np.arange(recipe.width) % side
    return [contrast * field[rows][:, columns] for field in fields]


def _field(rng: np.random.RandomState, side: int, slope: float) -> tuple[Plane, Plane]:
    """Return two independent fields of standard deviation 1, side x side."""
    white = rng.random_sample((side, side)) - 0.5 + 1j * (rng.random_sample((side, side)) - 0.5)
    fields = np.fft.ifft2(white * _amplitude(side, slope))
    # Each part has half the power of the whole; both random parts have variance 1/12.
    scale = side * math.sqrt(12.0)
    return np.real(fields) * scale, np.imag(fields) * scale


@lru_cache(maxsize=2)
def _amplitude(side: int, slope: float) -> Plane:
    """Return the amplitude of each frequency: frequency ** -slope plus some white noise, with a mean square of 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    power = frequency ** (-2.0 * slope)
    power = power / float(np.mean(power)) + 0.05**2
    return np.asarray(np.sqrt(power / float(np.mean(power))))


def _gain(recipe: Recipe, base: Sequence[Plane], detail: Sequence[Plane]) -> float:
    """Find how strong the detail must be for the photograph to have its bits per pixel."""
    target = recipe.bits_per_pixel * recipe.width * recipe.height
    parts = []
    for number, pair in enumerate(zip(base, detail, strict=True)):
        planes = pair if number == 0 else tuple(_subsample(plane, recipe.sampling) for plane in pair)
        height, width = planes[0].shape
        blocks = (height // 8) * (width // 8)
        steps = _steps(_LUMA_STEPS if number == 0 else _CHROMA_STEPS, recipe.quality)
        still, moving = (_coefficients(plane, every=max(1, blocks // 600)) / steps for plane in planes)
        parts.append((still, moving, blocks * 64 / still.size))
    low, high = 0.0, 120.0
    for _ in range(12):
        gain = (low + high) / 2.0
        bits = 0.0
        for still, moving, weight in parts:
            size = np.abs(np.rint(still + gain * moving))[:, 1:]
            bits += weight * (
                _BITS_PER_NONZERO * np.count_nonzero(size)
                + _BITS_PER_LOG * float(np.log2(1.0 + size).sum())
                + _BITS_PER_BLOCK * len(size)
            )
        low, high = (gain, high) if bits < target else (low, gain)
    return (low + high) / 2.0


def _subsample(plane: Plane, sampling: str) -> Plane:
    down, over = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}[sampling]
    height, width = plane.shape[0] // down, plane.shape[1] // over
    return np.asarray(plane[: height * down, : width * over].reshape(height, down, width, over).mean(axis=(1, 3)))


def _coefficients(plane: Plane, every: int) -> Plane:
    """Return the DCT of every n-th 8x8 block, a row of 64 each (the DC term first)."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    row, column = np.divmod(np.arange(0, rows * columns, every), columns)
    blocks = plane[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)[row, :, column, :].reshape(-1, 64)
    frequency, place = np.arange(8)[:, None], np.arange(8)[None, :]
    cosine = np.cos((2 * place + 1) * frequency * math.pi / 16) * np.where(frequency == 0, math.sqrt(0.125), 0.5)
    # einsum rather than @: a BLAS would start threads in every process, and rounds as its kernels like.
    coefficients: Plane = np.empty(blocks.shape)
    np.einsum("bi,ji->bj", blocks, np.kron(cosine, cosine), out=coefficients)
    return coefficients


def _steps(table: str, quality: int) -> Plane:
    """Return a quantiser table by the IJG's rule for qualities."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = np.array([int(word) for word in table.split()])
    return np.asarray(np.clip((base * scale + 50) // 100, 1, 255), dtype=np.float64)


def _bytes(plane: Plane) -> NDArray[np.uint8]:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    _help()
