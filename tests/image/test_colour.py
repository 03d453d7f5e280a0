"""ColorJitter: each adjustment and their compositions against the oracle, the draws, all SIMD variants alike."""

from __future__ import annotations

from collections import Counter

import numpy as np
import oracle
import pytest
from drive import floats_of, on_pixels, photo, same

from fastfeed import ColorJitter, Normalize, RandomHorizontalFlip, _native

SIZES = [(1, 1), (1, 7), (3, 8), (9, 17), (24, 31)]
JITTERS = {
    "brightness": ColorJitter(brightness=0.9),
    "contrast": ColorJitter(contrast=0.9),
    "saturation": ColorJitter(saturation=0.9),
    "hue": ColorJitter(hue=0.5),
    "linear": ColorJitter(0.8, 0.8, 0.8),
    "all": ColorJitter(0.4, 0.4, 0.4, 0.1),
    "strong": ColorJitter((0, 3), (0, 3), (0, 3), 0.5),
}


def expected(image: np.ndarray, transform: ColorJitter, key: tuple[int, int, int], op: int = 1) -> np.ndarray:
    floats = floats_of(transform)
    return oracle.jitter(image.astype(float), *oracle.drawn_jitter(oracle.Draws(*key, op), floats))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", JITTERS)
def test_jitter_agrees_with_the_oracle(name: str, size: tuple[int, int]) -> None:
    image = photo(*size)
    turns_hue = floats_of(JITTERS[name])[6:8] != (0, 0)
    for index in range(12):
        want = oracle.to_bytes(expected(image, JITTERS[name], (7, 0, index)))
        # Ties may fall either way; after a turn of the hue, a tie there is multiplied by what follows (at most 3 x 3).
        have = on_pixels(image, [JITTERS[name]], key=(7, 0, index))
        same(have, want, within=9 if turns_hue else 1)
        assert (have != want).mean() < 0.02, f"have\n{have}\nexpected\n{want}"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("dtype", "within"), [("float32", 2e-5), ("float16", 2e-3)])
def test_linear_jitter_is_not_rounded_where_floats_are_stored(dtype: str, layout: str, within: float) -> None:
    image = photo(6, 9)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for index in range(6):
        want = oracle.stored(expected(image, JITTERS["linear"], (2, 0, index)), dtype, layout, mean, std)
        have = on_pixels(image, [JITTERS["linear"], Normalize(mean, std)], dtype, layout, key=(2, 0, index))
        same(have, want, within=within)


def test_nothing_in_the_ranges_keeps_every_pixel() -> None:
    image = photo(11, 13)
    same(on_pixels(image, [ColorJitter()]), image)


def test_fixed_factors_by_hand() -> None:
    image = np.array([[[100, 100, 100], [200, 0, 40]]], np.uint8)
    same(on_pixels(image, [ColorJitter(brightness=(0.5, 0.5))]), np.array([[[50, 50, 50], [100, 0, 20]]]))
    # Greys are 100 and 64.36, their mean 82.18.
    same(on_pixels(image, [ColorJitter(contrast=(0, 0))]), np.full((1, 2, 3), 82))
    same(on_pixels(image, [ColorJitter(contrast=(2, 2))]), np.array([[[118, 118, 118], [255, 0, 0]]]))
    same(on_pixels(image, [ColorJitter(saturation=(0, 0))]), np.array([[[100, 100, 100], [64, 64, 64]]]))
    same(on_pixels(image, [ColorJitter(saturation=(2, 2))]), np.array([[[100, 100, 100], [255, 0, 16]]]))


@pytest.mark.parametrize(
    ("turn", "colour"),
    [(1 / 3, (0, 255, 0)), (-1 / 3, (0, 0, 255)), (0.5, (0, 255, 255)), (-0.5, (0, 255, 255)), (1 / 6, (255, 255, 0))],
)
def test_red_turns_through_the_colour_circle(turn: float, colour: tuple[int, int, int]) -> None:
    red = np.full((2, 9, 3), (255, 0, 0), np.uint8)
    same(on_pixels(red, [ColorJitter(hue=(turn, turn))]), np.full((2, 9, 3), colour))


def test_every_hue_of_the_circle_agrees_with_the_standard_library() -> None:
    levels = np.array([0, 1, 100, 254, 255], np.uint8)
    image = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(5, 25, 3)
    for turn in (-0.5, -0.37, -0.01, 0.001, 0.1, 0.25, 0.49):
        want = oracle.turn_hue(image.astype(float), float(np.float32(turn)))
        same(on_pixels(image, [ColorJitter(hue=(turn, turn))]), want, within=0.5 + 1e-3)


def test_greys_have_no_hue_to_turn() -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    same(on_pixels(greys, [ColorJitter(hue=0.5)], key=(1, 1, 1)), greys)


def test_contrast_uses_the_mean_at_its_place_in_the_chain() -> None:
    image = photo(10, 10)
    chain = [ColorJitter(brightness=(0.5, 0.5)), RandomHorizontalFlip(1.0), ColorJitter(contrast=(0, 0))]
    have = on_pixels(image, chain)
    grey = (image.astype(float) @ oracle.GREY).mean() / 2
    same(have, np.full(image.shape, grey), within=1)


def test_all_simd_variants_give_the_same_bytes(each_variant: list[str]) -> None:
    for width in (1, 7, 8, 9, 40, 43):
        image = photo(5, width)
        for name, transform in JITTERS.items():
            for index in range(4):
                rows = []
                for variant in each_variant:
                    assert _native.simd_select(variant)
                    rows.append(on_pixels(image, [transform], key=(0, 0, index)))
                for variant, row in zip(each_variant, rows, strict=True):
                    assert np.array_equal(row, rows[0]), (
                        f"{name} {width}: {variant}\n{row}\n{each_variant[0]}\n{rows[0]}"
                    )


def test_a_sample_is_drawn_by_its_key_and_nothing_else() -> None:
    image = photo(20, 20)
    chain = [JITTERS["all"]]
    first = on_pixels(image, chain, key=(1, 2, 3))
    same(on_pixels(image, chain, key=(1, 2, 3)), first)
    for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)]:
        assert not np.array_equal(on_pixels(image, chain, key=other), first), other


def test_orders_come_up_equally_often_and_factors_fill_their_ranges() -> None:
    floats = floats_of(ColorJitter(0.4, (0.5, 2.0), 0.2, 0.1))
    drawn = [oracle.drawn_jitter(oracle.Draws(3, 0, index, 0), floats) for index in range(2400)]
    orders = Counter(order for order, _ in drawn)
    assert len(orders) == 24
    assert 60 <= min(orders.values()) <= max(orders.values()) <= 140, orders  # 100, standard deviation 10
    for name, low, high in [
        ("brightness", 0.6, 1.4),
        ("contrast", 0.5, 2.0),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
    ]:
        factors = np.array([factor[name] for _, factor in drawn])
        assert low - 1e-6 <= factors.min() <= factors.max() <= high + 1e-6
        assert abs(factors.mean() - (low + high) / 2) < 0.03 * (high - low)
