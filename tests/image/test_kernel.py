"""The image kernel behind its native wall: decoding, geometry, dtypes, SIMD variants, hostile bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drive import PIL_FILTERS, encode, grey, kernel, noise, waves
from jpegs import FILES
from numpy.typing import NDArray
from PIL import Image, ImageOps

import fastfeed as ff
from fastfeed import _native
from fastfeed.image.transforms import Transform

Array = NDArray[Any]

# As in csrc/base/codes.h.
NOT_JPEG, CORRUPT, TRUNCATED, LIMIT, PLAN = -1, -2, -3, -4, -6
FILTERS = ["nearest", "box", "bilinear", "bicubic", "lanczos"]


def resize(height: int, width: int, **options: Any) -> Transform:
    return ff.Resize((height, width), **options)


def center_crop(height: int, width: int) -> Transform:
    return ff.CenterCrop((height, width))


def random_resized_crop(size: int, scale: tuple[float, float] = (0.08, 1.0)) -> Transform:
    return ff.RandomResizedCrop(size, scale)


def hflip(p: float = 1.0) -> Transform:
    return ff.RandomHorizontalFlip(p)


def vflip(p: float = 1.0) -> Transform:
    return ff.RandomVerticalFlip(p)


def jitter(brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0) -> Transform:
    return ff.ColorJitter((brightness,) * 2, (contrast,) * 2, (saturation,) * 2)


def decoded(data: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def resized(pixels: Array, height: int, width: int, filter: str = "bilinear") -> Array:
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), PIL_FILTERS[filter]))


def assert_close(have: Array, expected: Array, *, worst: float = 1.01, mean: float = 0.4) -> None:
    error = np.abs(have.astype(np.float64) - expected.astype(np.float64))
    assert have.shape == expected.shape
    assert error.max() <= worst, f"worst pixel at {np.unravel_index(error.argmax(), error.shape)}: {error.max()}"
    assert error.mean() <= mean


# ---- tiny pictures, by hand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "ops", "expected"),
    [
        ([[10, 20]], [resize(1, 1)], [[15]]),
        ([[0, 100, 200, 100]], [resize(1, 2, filter="box")], [[50, 150]]),
        ([[0, 100, 200, 100]], [resize(1, 2, filter="nearest")], [[100, 100]]),
        ([[0], [64]], [resize(4, 1)], [[0], [16], [48], [64]]),
        ([[7]], [resize(3, 2, filter="lanczos")], [[7, 7], [7, 7], [7, 7]]),
        ([[1, 2, 3], [4, 5, 6]], [hflip()], [[3, 2, 1], [6, 5, 4]]),
        ([[1, 2, 3], [4, 5, 6]], [vflip()], [[4, 5, 6], [1, 2, 3]]),
        ([[1, 2, 3], [4, 5, 6]], [hflip(), center_crop(1, 2)], [[3, 2]]),
        ([[1, 2, 3], [4, 5, 6]], [center_crop(2, 2), hflip()], [[2, 1], [5, 4]]),
        ([[1, 2]], [center_crop(2, 4)], [[0, 1, 2, 0], [0, 0, 0, 0]]),
        ([[1, 2]], [center_crop(3, 4), hflip(), center_crop(1, 3)], [[0, 2, 1]]),
        ([[8, 8]], [resize(3, 2, fit="contain", fill=(5, 5, 5))], [[5, 5], [8, 8], [5, 5]]),
        ([[1, 2, 3]], [resize(1, 1, fit="cover")], [[2]]),
        ([[1, 2, 3]], [], [[1, 2, 3]]),
    ],
)
def test_tiny_pictures_come_out_as_worked_out_by_hand(
    variant: str, source: list[list[int]], ops: list[Transform], expected: list[list[int]]
) -> None:
    have = kernel(grey(source), ops, np.asarray(expected).shape)
    assert have[:, :, 0].tolist() == expected, f"have {have[:, :, 0].tolist()}"
    assert (have == have[:, :, :1]).all()


def test_channels_stay_apart(variant: str) -> None:
    source = np.empty((5, 9, 3), np.uint8)
    source[:] = (10, 100, 200)
    assert kernel(source, [resize(3, 4)], (3, 4)).reshape(-1, 3).tolist() == [[10, 100, 200]] * 12


@pytest.mark.parametrize("filter", ["box", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (64, 3), (200, 211)])
def test_a_flat_picture_stays_flat(variant: str, filter: str, size: tuple[int, int]) -> None:
    for value in (0, 1, 127, 255):
        have = kernel(np.full((61, 83, 3), value, np.uint8), [resize(*size, filter=filter)], size, dtype="float32")
        assert (have == value).all()


# ---- variants --------------------------------------------------------------------------------------------------------


PLANS: list[tuple[list[Transform], tuple[int, int]]] = [
    ([], (71, 97)),
    ([resize(29, 31)], (29, 31)),
    ([resize(131, 67, filter="lanczos"), hflip()], (131, 67)),
    ([resize(5, 3, filter="bicubic"), vflip()], (5, 3)),
    ([random_resized_crop(37), hflip(0.5)], (37, 37)),
    ([resize(40, 50, fit="contain", fill=(1, 2, 3)), center_crop(45, 20), jitter(0.7, 1.0, 1.4)], (45, 20)),
    ([resize(19, 23), jitter(1.1, 1.3, 0.2)], (19, 23)),
]


@pytest.mark.parametrize(("ops", "size"), PLANS)
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_every_variant_gives_the_bytes_of_the_plain_reference(
    each_variant: list[str], ops: list[Transform], size: tuple[int, int], dtype: str, layout: str
) -> None:
    pixels = noise(71, 97)
    sources = [pixels, encode(pixels, quality=90), encode(pixels[:, :, 0])]
    scale, bias = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)) if dtype == "uint8" else ((0.017, 0.018, -0.02), (-2.1, -2.0, 1.8))
    results: dict[str, list[bytes]] = {}
    for name in each_variant:
        assert _native.simd_select(name)
        results[name] = [
            kernel(source, ops, size, dtype=dtype, layout=layout, scale=scale, bias=bias).tobytes()
            for source in sources
        ]
    for name, rows in results.items():
        assert rows == results["baseline"], name


def test_a_variant_that_is_not_there_is_refused() -> None:
    name = _native.simd_name()
    assert not _native.simd_select("sse17")
    assert _native.simd_name() == name


# ---- decoding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (8, 8), (16, 16), (37, 53)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_whole_frame_has_the_pixels_that_pil_decodes(
    size: tuple[int, int], subsampling: int, progressive: bool
) -> None:
    data = encode(noise(*size), quality=80, subsampling=subsampling, progressive=progressive)
    assert np.array_equal(kernel(data, [], size), decoded(data))


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_jpeg_has_the_pixels_that_pil_decodes(name: str) -> None:
    assert np.array_equal(kernel(FILES[name], [], (37, 53)), decoded(FILES[name]))


def test_grey_becomes_three_equal_channels(variant: str) -> None:
    data = encode(waves(37, 53)[:, :, 0])
    assert np.array_equal(kernel(data, [], (37, 53)), decoded(data))
    assert_close(kernel(data, [resize(16, 11)], (16, 11)), resized(decoded(data), 16, 11))


@pytest.mark.parametrize("name", [*FILES, "4:4:4", "4:2:2", "4:2:0"])
def test_a_crop_has_the_pixels_of_the_whole_frame(name: str) -> None:
    """Columns and rows around the crop are skipped in the decoder; its edge pixels must not show it."""
    if name in FILES:
        data = FILES[name]
    else:
        data = encode(noise(75, 91), quality=80, subsampling=("4:4:4", "4:2:2", "4:2:0").index(name))
    frame = decoded(data)
    height, width, _ = frame.shape
    random = np.random.default_rng(1)
    for _ in range(150):
        h, w = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
        top, left = round((height - h) / 2), round((width - w) / 2)
        assert np.array_equal(kernel(data, [center_crop(h, w)], (h, w)), frame[top : top + h, left : left + w]), (h, w)


# ---- geometry against PIL --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(1, 1), (7, 97), (61, 67), (113, 40), (250, 300)])
def test_resizing_has_pils_geometry(filter: str, size: tuple[int, int]) -> None:
    # Gentle slopes: PIL rounds and clips between its two passes, and the kernel does not.
    source = waves(127, 149) // 2 + 60
    for dtype in ("uint8", "float32"):
        have = kernel(source, [resize(*size, filter=filter)], size, dtype=dtype)
        worst = {"nearest": 0.0, "box": 1.01, "bilinear": 1.01}.get(filter, 1.3)  # lobes enlarge PIL's first rounding
        assert_close(have, resized(source, *size, filter), worst=worst, mean=0.5)


@pytest.mark.parametrize("size", [(60, 60), (20, 90), (90, 20)])
def test_cover_and_contain_are_those_of_pils_imageops(size: tuple[int, int]) -> None:
    source = waves(100, 130)
    height, width = size
    picture = Image.fromarray(source)
    cover = ImageOps.fit(picture, (width, height), Image.BILINEAR)
    assert_close(kernel(source, [resize(*size, fit="cover")], size), np.asarray(cover))
    contain = ImageOps.pad(picture, (width, height), Image.BILINEAR, color=(9, 80, 200))
    have = kernel(source, [resize(*size, fit="contain", fill=(9, 80, 200))], size)
    assert_close(have, np.asarray(contain))


def drawn_crop(index: int, op: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The box (left, top, width, height) of RandomResizedCrop's first fitting attempt."""
    for attempt in range(10):
        area, ratio, top, left = (_native.uniform(7, 3, index, op, 4 * attempt + k) for k in range(4))
        low = np.float64(np.float32(0.08))
        target = height * width * (low + (1 - low) * area)
        log_low, log_high = np.log(np.float64(np.float32(3 / 4))), np.log(np.float64(np.float32(4 / 3)))
        aspect = np.exp(log_low + (log_high - log_low) * ratio)
        w, h = round(float(np.sqrt(target * aspect))), round(float(np.sqrt(target / aspect)))
        if 0 < w <= width and 0 < h <= height:
            return int(left * (width - w + 1)), int(top * (height - h + 1)), w, h
    raise AssertionError("no attempt fits")


@pytest.mark.parametrize("index", range(8))
def test_random_resized_crop_sees_nothing_outside_its_box(index: int) -> None:
    data = encode(waves(90, 110), quality=90, subsampling=2)
    left, top, w, h = drawn_crop(index, 1, 110, 90)
    have = kernel(data, [hflip(), random_resized_crop(40)], (40, 40), index=index)
    piece = decoded(data)[:, ::-1][top : top + h, left : left + w]
    assert_close(have, resized(piece, 40, 40))


def test_random_resized_crop_falls_back_to_the_centre() -> None:
    source = noise(4, 400)  # no crop of half the area has an allowed ratio; at most 4/3 times 4 is 5 wide
    have = kernel(source, [random_resized_crop(8, (0.5, 1.0))], (8, 8))
    assert_close(have, resized(source[:, 197:202], 8, 8))


def test_transforms_that_cannot_fuse_go_through_a_picture_between() -> None:
    data = encode(waves(90, 110), quality=90)
    have = kernel(data, [resize(70, 80), center_crop(60, 60), hflip(), resize(30, 33)], (30, 33))
    between = resized(decoded(data), 70, 80)[5:65, 10:70][:, ::-1]
    assert_close(have, resized(between, 30, 33), worst=2.0, mean=0.5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_first(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(noise(30, 44), quality=90, subsampling=2, exif=exif.tobytes())
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(kernel(data, [], upright.shape[:2], orient=True), upright)
    assert_close(kernel(data, [resize(17, 13)], (17, 13), orient=True), resized(upright, 17, 13))
    assert np.array_equal(kernel(data, [], (30, 44)), decoded(data))


def test_a_large_frame_is_decoded_at_a_reduced_scale_unless_exact() -> None:
    data = encode(waves(600, 803), quality=90, subsampling=2)
    expected = resized(decoded(data), 40, 50)
    exact = kernel(data, [resize(40, 50)], (40, 50), exact=True)
    reduced = kernel(data, [resize(40, 50)], (40, 50), exact=False)
    assert_close(exact, expected)
    assert_close(reduced, expected, worst=6.0, mean=1.0)
    assert not np.array_equal(exact, reduced)
    # Twice the target in both directions is the least; below that the frame is decoded in full.
    assert np.array_equal(
        kernel(data, [resize(200, 50)], (200, 50), exact=False), kernel(data, [resize(200, 50)], (200, 50), exact=True)
    )


REDUCED_KINDS: list[tuple[str, dict[str, Any]]] = [
    ("4:4:4", {"subsampling": 0}),
    ("4:2:2", {"subsampling": 1}),
    ("4:2:0", {"subsampling": 2}),
    ("grey", {}),
    ("progressive", {"subsampling": 2, "progressive": True}),
    ("tables of its own", {"subsampling": 2, "optimize": True}),
]


def large_jpeg(name: str, options: dict[str, Any]) -> bytes:
    """Smooth waves with a little noise: 451 x 603 pixels, sides that no block size divides."""
    pixels = resized(waves(57, 76), 451, 603).astype(np.int16) + noise(451, 603) // 16
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return encode(pixels[:, :, 0] if name == "grey" else pixels, quality=92, **options)


@pytest.mark.parametrize(("name", "options"), REDUCED_KINDS)
@pytest.mark.parametrize("size", [(110, 120), (50, 60), (25, 30)])
def test_reduced_frames_stay_within_a_level_of_the_exact_ones(
    name: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    """Decoded at 1/2, 1/4 and 1/8; the latter two of a baseline file read its low frequencies alone."""
    data = large_jpeg(name, options)
    exact = kernel(data, [resize(*size)], size)
    assert_close(kernel(data, [resize(*size)], size, exact=False), exact, worst=8.0, mean=1.0)


@pytest.mark.parametrize(("name", "options"), REDUCED_KINDS)
def test_damage_shows_in_reduced_frames_too(name: str, options: dict[str, Any]) -> None:
    data = large_jpeg(name, options)
    for size in (len(data) // 2, len(data) - 30, len(data) - 2):
        with pytest.raises(_native.KernelError) as caught:
            kernel(data[:size], [resize(25, 30)], (25, 30), exact=False)
        assert caught.value.code == TRUNCATED
    with pytest.raises(_native.KernelError) as caught:
        kernel(overwritten(data, b"\xff\xd3" * 8), [resize(25, 30)], (25, 30), exact=False)
    assert caught.value.code == CORRUPT


@pytest.mark.parametrize("index", range(4))
def test_a_reduced_crop_lies_where_the_exact_one_does(index: int) -> None:
    data = encode(resized(waves(60, 80), 600, 803), quality=90, subsampling=2)
    ops = [hflip(0.5), vflip(0.5), random_resized_crop(24, (0.5, 1.0))]
    exact = kernel(data, ops, (24, 24), index=index)
    assert_close(kernel(data, ops, (24, 24), index=index, exact=False), exact, worst=12.0, mean=1.0)


# ---- colours, dtypes, layouts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_normalisation_is_a_scale_and_a_bias(variant: str, dtype: str, layout: str) -> None:
    source = noise(33, 47)
    scale, bias = (0.017, 0.018, 0.02), (-2.1, -2.0, 1.8)
    plain = kernel(source, [resize(20, 21)], (20, 21), dtype="float32")
    have = kernel(source, [resize(20, 21)], (20, 21), dtype=dtype, layout=layout, scale=scale, bias=bias)
    have = have if layout == "NHWC" else have.transpose(1, 2, 0)
    expected = plain.astype(np.float64) * np.float32(scale) + np.float32(bias)
    assert np.allclose(
        have, expected, rtol=1e-6 if dtype == "float32" else 1e-3, atol=1e-6 if dtype == "float32" else 1e-3
    )


def test_bytes_are_the_rounded_floats(variant: str) -> None:
    source = noise(61, 47)
    exact = kernel(source, [resize(20, 33)], (20, 33), dtype="float32")
    have = kernel(source, [resize(20, 33)], (20, 33), dtype="uint8")
    assert np.abs(have - exact.astype(np.float64)).max() <= 0.5 + 1e-4


def test_a_jitter_at_the_end_is_not_rounded(variant: str) -> None:
    source = noise(33, 47)
    plain = kernel(source, [resize(20, 21)], (20, 21), dtype="float32")
    have = kernel(source, [resize(20, 21), jitter(0.37), hflip()], (20, 21), dtype="float32")
    assert np.allclose(have[:, ::-1], plain * np.float32(0.37), atol=1e-3)


def test_a_jitter_is_clipped_before_the_normalisation(variant: str) -> None:
    have = kernel(
        noise(33, 47), [jitter(50.0)], (33, 47), dtype="float32", scale=(-1.0, 1.0, 2.0), bias=(0.0, 1.0, 0.0)
    )
    assert (have[..., 0].min(), have[..., 1].max(), have[..., 2].max()) == (-255.0, 256.0, 510.0)


# ---- the decoder refuses, and goes on --------------------------------------------------------------------------------


GOOD = encode(waves(37, 53), quality=90)
PROGRESSIVE = encode(waves(37, 53), quality=90, progressive=True)


def huge_header(data: bytes) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + b"\xff\x00\xff\x00" + data[at + 4 :]


def overwritten(data: bytes, middle: bytes) -> bytes:
    at = len(data) - len(data) // 3
    return data[:at] + middle + data[at + len(middle) :]


@pytest.mark.parametrize(
    ("data", "options", "code", "word"),
    [
        (b"", {}, NOT_JPEG, "FF D8 FF"),
        (b"GIF89a and so on", {}, NOT_JPEG, "FF D8 FF"),
        (GOOD[:3], {}, TRUNCATED, "ends before"),
        (GOOD[:200], {}, TRUNCATED, "ends before"),
        (GOOD[: len(GOOD) // 2], {}, TRUNCATED, "ends before"),
        (GOOD[:-40], {}, TRUNCATED, "ends before"),
        (GOOD[:-2], {}, TRUNCATED, "ends before"),
        (PROGRESSIVE[: len(PROGRESSIVE) // 2], {}, TRUNCATED, "ends before"),
        (PROGRESSIVE[:-2], {}, TRUNCATED, "ends before"),
        (overwritten(GOOD, b"\xff\xd9" * 8), {}, CORRUPT, "corrupt"),
        (overwritten(PROGRESSIVE, b"\xff\xc0" * 8), {}, CORRUPT, "corrupt"),
        (GOOD[:2] + b"\xff\xc0\x00\x02" + GOOD[2:], {}, CORRUPT, "corrupt"),
        (huge_header(GOOD), {}, LIMIT, "max_pixels"),
        (GOOD, {"max_pixels": 37 * 53 - 1}, LIMIT, "max_pixels"),
        (GOOD, {"max_bytes": len(GOOD) - 1}, LIMIT, "max_bytes"),
        (PROGRESSIVE, {"max_scans": 3}, LIMIT, "max_scans"),
    ],
)
def test_a_bad_file_is_an_error_in_words_and_the_next_one_is_fine(
    data: bytes, options: dict[str, Any], code: int, word: str
) -> None:
    with pytest.raises(_native.KernelError) as caught:
        kernel(data, [resize(16, 16)], (16, 16), **options)
    assert caught.value.code == code
    assert word in caught.value.text
    assert np.array_equal(kernel(GOOD, [], (37, 53)), decoded(GOOD))


def test_limits_are_inclusive() -> None:
    kernel(PROGRESSIVE, [resize(8, 8)], (8, 8), max_pixels=37 * 53, max_bytes=len(PROGRESSIVE), max_scans=10)


def test_bytes_after_the_end_marker_do_no_harm() -> None:
    assert np.array_equal(kernel(GOOD + b"whatever" * 9, [], (37, 53)), decoded(GOOD))


def test_a_plan_that_does_not_reach_its_size_says_so() -> None:
    with pytest.raises(_native.KernelError) as caught:
        kernel(GOOD, [resize(16, 16)], (17, 16))
    assert caught.value.code == PLAN
    assert "16 x 16" in caught.value.text
    assert "17 x 16" in caught.value.text


def random_damage(random: np.random.Generator, data: bytes) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    for _ in range(int(random.integers(1, 5))):
        damaged[random.integers(2, len(data))] = random.choice([0x00, 0xFF, random.integers(0, 256)])
    return damaged[: random.integers(2, len(data) + 1)].tobytes() if random.random() < 0.3 else damaged.tobytes()


@pytest.mark.parametrize("name", ["baseline", "progressive", *FILES])
def test_damaged_bytes_give_a_row_or_an_error_and_never_a_crash(name: str) -> None:
    data = {"baseline": GOOD, "progressive": PROGRESSIVE}.get(name) or FILES[name]
    random = np.random.default_rng(5)
    attempts: list[Callable[[bytes], Array]] = [
        lambda damaged: kernel(damaged, [resize(4, 5)], (4, 5), exact=False),
        lambda damaged: kernel(damaged, [resize(9, 14)], (9, 14), exact=False),
        lambda damaged: kernel(damaged, [random_resized_crop(12)], (12, 12), exact=False, dtype="float32"),
        lambda damaged: kernel(damaged, [center_crop(20, 60)], (20, 60), orient=True),
    ]
    refused = 0
    for number in range(120):
        try:
            attempts[number % 4](random_damage(random, data))
        except _native.KernelError:
            refused += 1
    assert refused > 0
    assert np.array_equal(kernel(GOOD, [], (37, 53)), decoded(GOOD))


def test_the_header_alone_gives_the_size() -> None:
    assert _native.jpeg_size(GOOD) == (53, 37)
    with pytest.raises(_native.KernelError):
        _native.jpeg_size(GOOD[:30])


@pytest.mark.parametrize("decode", [_native.floor_decode, _native.Image().decode])
def test_what_the_benchmark_compares_decodes_the_whole_frame(decode: Callable[[bytes, Array], None]) -> None:
    out = np.empty((37, 53, 3), np.uint8)
    for data in (GOOD, encode(waves(37, 53)[:, :, 0]), encode(noise(37, 53), progressive=True)):
        decode(data, out.reshape(-1))
        assert np.array_equal(out, decoded(data))
    for data, room in ((GOOD, out.reshape(-1)[:-1]), (FILES["cmyk"], out.reshape(-1)), (GOOD[:200], out.reshape(-1))):
        with pytest.raises(_native.KernelError):
            decode(data, room)
