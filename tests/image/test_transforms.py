"""Transforms by their options, and what each makes of pixels."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import oracle
import pytest
from drive import MEAN, PIL_FILTERS, STD, encode, floats_of, on_bytes, on_pixels, photo, run, same
from PIL import Image, ImageOps

import fastfeed as ff
from fastfeed.image import transforms
from fastfeed.image.plan import compile_plan

# How far fixed point may be from exact, in levels of 255, before the result is rounded: the vertical sum is kept to
# 1/128 of a level (1/64 where a filter overshoots), and coefficients have 14 bits.
EXACT = {"nearest": 0.0, "box": 0.1, "bilinear": 0.1, "bicubic": 0.2, "lanczos": 0.25}


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ff.Resize(0), r"^Resize\(size=0\): pass a whole number of pixels"),
        (lambda: ff.Resize(-3), r"Resize\(size=-3"),
        (lambda: ff.Resize(2.5), r"Resize\(size=2\.5"),
        (lambda: ff.Resize(True), r"Resize\(size=True"),
        (lambda: ff.Resize("224"), r"Resize\(size='224'"),
        (lambda: ff.Resize(None), r"Resize\(size=None"),
        (lambda: ff.Resize((1, 2, 3)), r"Resize\(size=\(1, 2, 3\).*\(height, width\)"),
        (lambda: ff.Resize((10, 0)), r"Resize\(size=\(10, 0\)"),
        (lambda: ff.Resize(70_000), r"Resize\(size=70000.*to 65535"),
        (lambda: ff.Resize(8, fit="fill"), r"fit='fill'.*'stretch', 'cover', 'contain'"),
        (lambda: ff.Resize(8, filter="cubic"), r"filter='cubic'.*'bicubic'"),
        (lambda: ff.Resize(8, filter=2), r"filter=2"),
        (lambda: ff.Resize(8, fill=256), r"fill=256.*0 to 255"),
        (lambda: ff.Resize(8, fill=(1, 2)), r"fill=\(1, 2\)"),
        (lambda: ff.CenterCrop(0), r"CenterCrop\(size=0"),
        (lambda: ff.RandomResizedCrop(8, scale=(0, 1)), r"RandomResizedCrop\(scale=\(0, 1\).*0 < low"),
        (lambda: ff.RandomResizedCrop(8, scale=(0.5, 1.5)), r"scale=\(0\.5, 1\.5\)"),
        (lambda: ff.RandomResizedCrop(8, scale=(0.9, 0.5)), r"scale=\(0\.9, 0\.5\)"),
        (lambda: ff.RandomResizedCrop(8, scale=0.5), r"scale=0\.5"),
        (lambda: ff.RandomResizedCrop(8, ratio=(0, 1)), r"ratio=\(0, 1\)"),
        (lambda: ff.RandomHorizontalFlip(1.5), r"RandomHorizontalFlip\(p=1\.5.*probability, from 0 to 1"),
        (lambda: ff.RandomVerticalFlip("half"), r"RandomVerticalFlip\(p='half'"),
        (lambda: ff.RandomVerticalFlip(math.nan), r"RandomVerticalFlip\(p=nan"),
        (lambda: ff.RandomAffine(-1), r"RandomAffine\(degrees=-1.*degrees"),
        (lambda: ff.RandomAffine((3, 1)), r"degrees=\(3, 1\)"),
        (lambda: ff.RandomAffine(translate=(0.1, 1.1)), r"translate=\(0\.1, 1\.1\).*0 to 1"),
        (lambda: ff.RandomAffine(translate=0.1), r"translate=0\.1"),
        (lambda: ff.RandomAffine(scale=(0, 1)), r"scale=\(0, 1\)"),
        (lambda: ff.RandomAffine(shear=90), r"shear=90.*between -90 and 90"),
        (lambda: ff.RandomAffine(shear=(1, 2, 3)), r"shear=\(1, 2, 3\)"),
        (lambda: ff.RandomAffine(filter="bicubic"), r"filter='bicubic'.*'nearest', 'bilinear'"),
        (lambda: ff.ColorJitter(-0.1), r"ColorJitter\(brightness=-0\.1"),
        (lambda: ff.ColorJitter(contrast=(-1, 1)), r"contrast=\(-1, 1\)"),
        (lambda: ff.ColorJitter(saturation=math.inf), r"saturation=inf"),
        (lambda: ff.ColorJitter(hue=0.6), r"hue=0\.6.*0 to 0\.5"),
        (lambda: ff.ColorJitter(hue=-0.1), r"hue=-0\.1"),
        (lambda: ff.Normalize((0.5, 0.5), 1), r"Normalize\(mean=\(0\.5, 0\.5\).*three"),
        (lambda: ff.Normalize(0, (1, 0, 1)), r"Normalize\(std=\(1, 0, 1\).*above 0"),
        (
            lambda: ff.Normalize((124, 116, 104), 58),
            r"mean=\(124, 116, 104\)\): pass mean and std divided by 255",
        ),
        (lambda: ff.Normalize(-127.5, 127.5), r"Normalize\(mean=-127\.5\): pass mean and std divided by 255"),
        (lambda: ff.Normalize("a", 1), r"Normalize\(mean='a'"),
    ],
)
def test_a_wrong_option_names_itself_and_the_remedy(make: Any, words: str) -> None:
    with pytest.raises(ff.ConfigError, match=words) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_transforms_are_frozen_equal_by_value_and_print_as_written() -> None:
    crop = ff.RandomResizedCrop(8)
    assert crop == ff.RandomResizedCrop(size=8, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), filter="bilinear")
    with pytest.raises(dataclasses.FrozenInstanceError):
        crop.size = 9  # type: ignore[misc]
    assert repr(ff.RandomHorizontalFlip()) == "RandomHorizontalFlip(p=0.5)"


def test_numpy_numbers_and_lists_are_as_good_as_python_ones() -> None:
    array = compile_plan(np.int64(8), [ff.ColorJitter(np.float32(0.5)), ff.Normalize(np.array(MEAN), list(STD))])
    assert array.plan == compile_plan((8, 8), [ff.ColorJitter(0.5), ff.Normalize(MEAN, STD)]).plan


# ---- the kernel: resizing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", list(transforms.FILTERS))
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((1, 1), (3, 4)),
        ((5, 7), (5, 7)),
        ((5, 7), (3, 2)),
        ((5, 7), (11, 13)),
        ((37, 23), (8, 9)),
        ((97, 61), (13, 31)),
        ((64, 3), (5, 41)),
    ],
)
def test_resize_agrees_with_the_oracle_and_with_pil(
    filter: str, source: tuple[int, int], target: tuple[int, int]
) -> None:
    image = photo(*source)
    chain = [ff.Resize(target, filter=filter)]
    expected = oracle.resize(image.astype(float), target, filter)
    same(on_pixels(image, chain, "float32") * 255.0, expected, within=EXACT[filter] + 1e-4)
    same(on_pixels(image, chain), expected, within=EXACT[filter] + 0.5)
    pil = Image.fromarray(image).resize(target[::-1], PIL_FILTERS[filter])
    # Pillow rounds and clips between its two passes, which shows where a filter overshoots.
    allowed = {"nearest": 0, "bicubic": 4, "lanczos": 4}.get(filter, 1)
    same(on_pixels(image, chain), np.asarray(pil), within=allowed)


@pytest.mark.parametrize("source", [(40, 60), (60, 40), (33, 33), (7, 90)])
@pytest.mark.parametrize("target", [(16, 16), (12, 31), (50, 20)])
def test_fit_cover_keeps_the_ratio_and_cuts(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = photo(*source)
    pil = ImageOps.fit(Image.fromarray(image), target[::-1], Image.Resampling.BILINEAR)
    same(on_pixels(image, [ff.Resize(target, "cover")]), np.asarray(pil), within=1)


@pytest.mark.parametrize("source", [(40, 60), (60, 40), (33, 33), (7, 90)])
@pytest.mark.parametrize("target", [(16, 16), (12, 31), (50, 20)])
def test_fit_contain_keeps_the_ratio_and_fills(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = photo(*source)
    fill = (10, 200, 30)
    pil = ImageOps.pad(Image.fromarray(image), target[::-1], Image.Resampling.BILINEAR, color=fill)
    same(on_pixels(image, [ff.Resize(target, "contain", fill=fill)]), np.asarray(pil), within=1)


# ---- the kernel: crops and flips -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [(9, 12), (4, 12), (9, 3), (2, 2)])
@pytest.mark.parametrize("size", [(5, 6), (6, 5), (9, 12), (4, 3), (1, 1)])
def test_center_crop_takes_the_middle_and_pads_with_zeros(source: tuple[int, int], size: tuple[int, int]) -> None:
    image = photo(*source)
    same(on_pixels(image, [ff.CenterCrop(size)]), oracle.center_crop(image, size))


def test_random_resized_crop_takes_the_drawn_part() -> None:
    image = photo(53, 71)
    for index in range(25):
        transform = ff.RandomResizedCrop((12, 15), scale=(0.05, 0.9))
        key = (1, 2, index)
        top, left, h, w = oracle.drawn_crop(oracle.Draws(*key, 0), 53, 71, floats_of(transform))
        part = image[top : top + h, left : left + w].astype(float)
        same(on_pixels(image, [transform], key=key), oracle.resize(part, (12, 15)), within=0.5 + EXACT["bilinear"])


@pytest.mark.parametrize("source", [(100, 4), (4, 100)])
def test_random_resized_crop_falls_back_to_the_middle(source: tuple[int, int]) -> None:
    image = photo(*source)
    transform = ff.RandomResizedCrop(6, scale=(0.9, 1.0))
    top, left, h, w = oracle.drawn_crop(oracle.Draws(0, 0, 0, 0), *source, floats_of(transform))
    assert {h, w} in ({4, 5}, {4, 3})
    part = image[top : top + h, left : left + w].astype(float)
    same(on_pixels(image, [transform]), oracle.resize(part, (6, 6)), within=0.5 + EXACT["bilinear"])


def test_drawn_crops_fill_their_ranges() -> None:
    floats = floats_of(ff.RandomResizedCrop(8, (0.25, 0.5), (0.5, 2.0)))
    crops = [oracle.drawn_crop(oracle.Draws(0, 0, index, 0), 400, 400, floats) for index in range(500)]
    areas = np.array([h * w for _, _, h, w in crops]) / 160_000
    ratios = np.log2([w / h for _, _, h, w in crops])
    assert 0.245 < areas.min() < 0.26
    assert 0.49 < areas.max() < 0.505
    assert abs(ratios.mean()) < 0.1
    assert -1.02 < ratios.min() < -0.95
    assert 0.95 < ratios.max() < 1.02
    assert all(top + h <= 400 and left + w <= 400 for top, left, h, w in crops)


@pytest.mark.parametrize(("transform", "axis"), [(ff.RandomHorizontalFlip, 1), (ff.RandomVerticalFlip, 0)])
def test_flips_mirror_as_often_as_their_probability_says(transform: Any, axis: int) -> None:
    image = photo(6, 5)
    flipped = np.flip(image, axis)
    for p, low, high in [(0.0, 0, 0), (1.0, 400, 400), (0.5, 160, 240), (0.25, 65, 135)]:
        times = 0
        for index in range(400):
            have = on_pixels(image, [transform(p)], key=(3, 0, index))
            turned = np.array_equal(have, flipped)
            assert turned or np.array_equal(have, image), have
            # The plan's transform 0 is the Resize to the image's own size.
            assert turned == (oracle.uniform(3, 0, index, 1, 0) < p)
            times += turned
        assert low <= times <= high, f"{times} of 400 for p={p}"


# ---- the kernel: the stored row --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("dtype", "within"), [("uint8", 0), ("float16", 1e-3), ("float32", 1e-6)])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 1), (7, 19)])
def test_every_dtype_and_layout(size: tuple[int, int], dtype: str, within: float, layout: str) -> None:
    image = photo(*size)
    same(on_pixels(image, [], dtype, layout), oracle.stored(image.astype(float), dtype, layout), within=within)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("dtype", "within"), [("float16", 2e-3), ("float32", 2e-6)])
def test_normalize_is_in_the_scale_where_white_is_one(dtype: str, within: float, layout: str) -> None:
    image = photo(9, 11)
    have = on_pixels(image, [ff.Normalize(MEAN, STD)], dtype, layout)
    same(have, oracle.stored(image.astype(float), dtype, layout, MEAN, STD), within=within)


def test_floats_are_between_zero_and_one_unless_normalized() -> None:
    image = np.array([[[0, 255, 51]]], np.uint8)
    same(on_pixels(image, [], "float32"), np.array([[[0.0, 1.0, 0.2]]]), within=1e-7)


def test_the_border_of_contain_is_normalized_like_pixels() -> None:
    have = on_pixels(
        np.full((2, 4, 3), 255, np.uint8), [ff.Resize(4, "contain", fill=51), ff.Normalize(0.2, 2)], "float32"
    )
    same(have[:, 0, 0], np.array([0.0, 0.4, 0.4, 0.0]), within=1e-6)


# ---- the kernel: chains ----------------------------------------------------------------------------------------------


def reference(image: np.ndarray, chain: list[Any], key: tuple[int, int, int]) -> np.ndarray:
    """The chain by the oracle, rounded to bytes after each transform."""
    image = image.astype(float)
    for number, transform in enumerate(chain):
        draws = oracle.Draws(*key, number)
        match transform:
            case ff.Resize():
                image = oracle.resize(image, transform._output_size(), transform.filter)
            case ff.CenterCrop():
                image = oracle.center_crop(image, transform._output_size())
            case ff.RandomResizedCrop():
                top, left, h, w = oracle.drawn_crop(draws, *image.shape[:2], floats_of(transform))
                image = oracle.resize(image[top : top + h, left : left + w], transform._output_size(), transform.filter)
            case ff.RandomHorizontalFlip():
                image = image[:, ::-1] if draws(0) < np.float32(transform.p) else image
            case ff.RandomVerticalFlip():
                image = image[::-1] if draws(0) < np.float32(transform.p) else image
            case ff.RandomAffine():
                floats = floats_of(transform)
                matrix = oracle.drawn_affine(draws, *image.shape[:2], floats)
                image = oracle.affine(image, matrix, transform.filter, floats[10:13])
            case ff.ColorJitter():
                image = oracle.jitter(image, *oracle.drawn_jitter(draws, floats_of(transform)))
        image = oracle.to_bytes(image)
    return image


FLIPS = [ff.RandomHorizontalFlip(), ff.RandomVerticalFlip()]
CHAINS: dict[str, list[Any]] = {
    "flips first": [*FLIPS, ff.Resize((9, 14))],
    "flips last": [ff.Resize((9, 14)), *FLIPS],
    "flips around": [*FLIPS, ff.Resize((9, 14)), *FLIPS],
    "resize and crop": [ff.Resize((20, 25)), ff.CenterCrop((11, 16))],
    "crop, flip, resize": [ff.CenterCrop((20, 30)), *FLIPS, ff.Resize((9, 14))],
    "crop that pads, flip, resize": [ff.CenterCrop((50, 30)), *FLIPS, ff.Resize((9, 14))],
    "resize, flip, crop that pads, flip": [ff.Resize((10, 9)), *FLIPS, ff.CenterCrop((13, 8)), *FLIPS],
    "flip, random crop, flip": [*FLIPS, ff.RandomResizedCrop((9, 14)), *FLIPS],
    "two crops": [ff.RandomResizedCrop((22, 31)), ff.RandomResizedCrop((9, 14))],
    "two resizes": [ff.Resize((21, 17)), ff.Resize((9, 14))],
    "affine in the middle": [ff.Resize((21, 17)), ff.RandomAffine(30, (0.1, 0.1)), *FLIPS, ff.CenterCrop(13)],
    "affine first": [ff.RandomAffine(30, fill=90), ff.Resize((9, 14))],
    "jitter in the middle": [ff.RandomResizedCrop((9, 14)), ff.ColorJitter(0.4, 0.4, 0.4), *FLIPS],
    "jitter first": [ff.ColorJitter(0.4, 0.4, 0.4), *FLIPS, ff.Resize((9, 14))],
    "two jitters": [ff.Resize((9, 14)), ff.ColorJitter(0.3), ff.ColorJitter(saturation=0.5)],
    "everything": [
        *FLIPS,
        ff.RandomResizedCrop((24, 21)),
        ff.RandomAffine(20, (0.1, 0.1), (0.9, 1.1), 5),
        ff.ColorJitter(0.3, 0.3, 0.3),
        ff.CenterCrop((20, 18)),
        *FLIPS,
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_do_their_transforms_in_order(name: str) -> None:
    image = photo(41, 37)
    for index in range(8):
        have = on_pixels(image, CHAINS[name], key=(6, 1, index))
        expected = reference(image, CHAINS[name], (6, 1, index))
        # The kernel rounds less often than the reference: each rounding may be half a level, and jitter enlarges it.
        same(have, expected, within=4)
        assert np.abs(have - expected).mean() < 0.6


@pytest.mark.parametrize("name", CHAINS)
def test_encoded_bytes_and_their_pixels_give_the_same_row(name: str) -> None:
    data = encode(photo(41, 37), quality=92, subsampling=0)
    decoded = on_bytes(data, [ff.Resize((41, 37))])
    for index in range(8):
        key = (6, 1, index)
        have = on_bytes(data, CHAINS[name], key=key, exact=True)
        # A fused pass and one over stored pixels may round differently where a mirror changes the order of a sum.
        same(have, on_pixels(decoded, CHAINS[name], key=key), within=1)


def test_a_row_depends_on_its_key_alone() -> None:
    image = photo(41, 37)
    compiled = compile_plan(None, CHAINS["everything"], "uint8")

    def row(index: int) -> bytes:
        return run(compiled.plan, image, (compiled.out_h, compiled.out_w), key=(9, 9, index)).tobytes()

    forwards = [row(index) for index in range(12)]
    backwards = [row(index) for index in reversed(range(12))][::-1]
    assert forwards == backwards
    assert len(set(forwards)) == 12
