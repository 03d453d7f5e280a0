"""The baseline reader: the pixels of libjpeg-turbo, bit for bit, of whatever it takes; and what it hands over."""

from __future__ import annotations

import io
from typing import Any

import jpegs
import numpy as np
import pytest
from drive import encode, kernel, noise, waves
from numpy.typing import NDArray
from PIL import Image

import fastfeed as ff
from fastfeed import _native
from fastfeed.image.plan import compile_plan

Array = NDArray[Any]

SAMPLINGS = ["grey", "4:4:4", "4:2:2", "4:2:0", "4:4:0"]


def jpeg(sampling: str, height: int, width: int, quality: int = 80, **options: Any) -> bytes:
    """Half noise, half waves, so that blocks are full in some places and empty in others; 4:4:0 of about that size."""
    if sampling == "4:4:0":
        made = jpeg("4:2:2", -(-height // 2), 2 * width, quality, **options)
        return jpegs.tall(made, odd=height % 2 == 1)
    pixels = waves(height, width)
    pixels[: height // 2] = noise(height, width)[: height // 2]
    if sampling == "grey":
        return encode(pixels[:, :, 0].copy(), quality=quality, **options)
    return encode(pixels, quality=quality, subsampling=SAMPLINGS.index(sampling) - 1, **options)


def expected(data: bytes) -> Array:
    """As libjpeg-turbo's defaults decode it; PIL's is another copy of the same library."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def reader_of(data: bytes, **options: Any) -> str:
    size = options.pop("size", expected(data).shape[:2])
    image, plan = _native.Image(), compile_plan(size, [], "uint8", "NHWC", **options).plan
    image.encoded(plan, data, 0, 0, 0, bytearray(_native.plan_row_bytes(plan)))
    return image.reader


def assert_same(data: bytes, what: object) -> None:
    right = expected(data)
    assert np.array_equal(kernel(data, [], right.shape[:2]), right), what


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_small_size_has_the_pixels_of_libjpeg_turbo(sampling: str, variant: str) -> None:
    sides = [*range(1, 20), 24, 25, 31, 32, 33, 39, 40]
    for height in sides:
        for width in sides:
            options = [{}, {"optimize": True}, {"restart_marker_blocks": 1 + width % 3}][(height + width) % 3]
            quality = 1 + (7 * width + 13 * height) % 100
            assert_same(jpeg(sampling, height, width, quality, **options), (height, width, quality, options))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_quality_has_the_pixels_of_libjpeg_turbo(sampling: str, variant: str) -> None:
    for quality in range(1, 101):
        assert_same(jpeg(sampling, 83, 131, quality, optimize=quality % 2 == 0), quality)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_window_has_the_pixels_of_the_whole_frame(sampling: str, variant: str) -> None:
    """Blocks around it are stepped over, and chroma at its edge is blended with what lies beside it."""
    for options in ({}, {"restart_marker_blocks": 5}):
        data = jpeg(sampling, 171, 213, 90, **options)
        frame = expected(data)
        height, width, _ = frame.shape
        random = np.random.default_rng(3)
        for _ in range(60):
            h, w = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
            top, left = round((height - h) / 2), round((width - w) / 2)
            window = kernel(data, [ff.CenterCrop((h, w))], (h, w))
            assert np.array_equal(window, frame[top : top + h, left : left + w]), (options, h, w)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_what_is_plain_is_decoded_by_our_own_reader(sampling: str) -> None:
    data = jpeg(sampling, 80, 120)
    assert reader_of(data) == "baseline"
    assert reader_of(data, size=(10, 15)) == "baseline"
    assert reader_of(data, size=(10, 15), exact=True) == "baseline"


# A block of grey takes 6 bits, so four of them, which a restart follows, are whole bytes.
ENDS_WITH_BYTES = encode(np.full((16, 64), 128, np.uint8), restart_marker_blocks=4)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(waves(40, 60), progressive=True), id="progressive"),
        pytest.param(jpeg("4:2:0", 40, 4), id="two columns of chroma"),
        pytest.param(jpegs.before_restarts(jpeg("4:2:0", 40, 60, restart_marker_blocks=2), b"\0\0"), id="padding"),
        pytest.param(jpegs.before_restarts(ENDS_WITH_BYTES, b"\0"), id="a byte of padding"),
    ],
)
def test_what_is_not_plain_is_decoded_by_libjpeg_turbo(data: bytes) -> None:
    assert reader_of(data) == "libjpeg-turbo"
    assert_same(data, "handed over")


def test_a_window_that_is_handed_over_in_mid_picture_has_the_pixels_of_the_whole_frame() -> None:
    """Padding before the last restart marker is seen when most lines have been given."""
    data = jpeg("4:2:0", 160, 96, restart_marker_blocks=6)
    last = data.rindex(b"\xff\xd0")
    data = data[:last] + b"\0\0" + data[last:]
    frame = expected(data)
    for h, w in ((160, 96), (150, 30), (159, 17)):
        top, left = round((160 - h) / 2), round((96 - w) / 2)
        image, plan = _native.Image(), compile_plan(None, [ff.CenterCrop((h, w))], "uint8", "NHWC").plan
        out = np.empty((h, w, 3), np.uint8)
        image.encoded(plan, data, 0, 0, 0, out.reshape(-1))
        assert np.array_equal(out, frame[top : top + h, left : left + w]), (h, w)
        assert image.reader == "libjpeg-turbo"


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_coefficients_that_no_picture_has_are_left_to_libjpeg_turbo(sampling: str, variant: str) -> None:
    """Quantisers of 255 over codes made for small ones: sums run out of 16 bits, and the library's wrap around."""
    data = jpegs.replaced(jpeg(sampling, 64, 64, 98), jpegs.DQT, b"\0" + b"\xff" * 64 + b"\1" + b"\xff" * 64)
    assert_same(data, "large")


def row_or_words(data: bytes, size: tuple[int, int]) -> Array | str:
    try:
        return kernel(data, [], size)
    except _native.KernelError as error:
        return error.text


def test_damage_is_damage_and_what_is_let_through_is_what_libjpeg_turbo_makes_of_it() -> None:
    random = np.random.default_rng(11)
    refused = []
    for sampling in SAMPLINGS:
        data = jpeg(sampling, 64, 80, 85, restart_marker_blocks=4)
        first = len(data) - len(jpegs.scan(data))
        size = expected(data).shape[:2]
        for _ in range(150):
            broken = bytearray(data)
            broken[int(random.integers(first, len(data) - 2))] ^= 1 << int(random.integers(8))
            got = row_or_words(bytes(broken), size)
            if isinstance(got, str):
                refused.append(got)
            else:
                assert np.array_equal(got, expected(bytes(broken)))
    assert all("corrupt" in words or "ends before" in words for words in refused)
    assert 50 < len(refused) < 700


@pytest.mark.parametrize("exact", [False, True])
def test_a_reader_that_gave_up_does_not_go_on(exact: bool) -> None:
    """Damage in the second of many rows of blocks, behind which all codes would be good again."""
    data = jpeg("4:2:0", 320, 320, restart_marker_rows=1)
    second = data.index(b"\xff\xd0")
    broken = data[: second + 9] + b"\x12\x34\x56" + data[second + 9 :]
    with pytest.raises(_native.KernelError, match="corrupt"):
        kernel(broken, [ff.Resize(40)], (40, 40), exact=exact)


def test_the_longest_codes_do_not_use_up_the_bits_at_hand() -> None:
    data = jpegs.steep(64)
    assert_same(data, "steep")
    for denominator in (1, 2, 4, 8):
        width = 512 // denominator
        row = kernel(data, [ff.Resize((8 // denominator, width), filter="box")], (8 // denominator, width), exact=False)
        means = expected(data)[:, :, 0].reshape(8 // denominator, denominator, width, denominator).mean((1, 3))
        assert np.abs(row[:, :, 0] - means).max() <= 4  # white is cut off before or behind the mean
    for sides in ((8, 512), (1, 64)):
        assert reader_of(data, size=sides) == "baseline"


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_tables_are_kept_and_never_mixed_up(sampling: str) -> None:
    """More pairs of codes than are kept, in turn, and again: each picture has its own."""
    made = [jpeg(sampling, 48, 48, quality, optimize=True) for quality in (5, 20, 40, 60, 75, 85, 90, 95, 99)]
    for data in [*made, *reversed(made), *made[::2], *made]:
        assert_same(data, "again")
