"""RandomAffine: every pixel against the oracle, known turns by hand, all SIMD variants alike."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from drive import floats_of, on_pixels, photo, same

from fastfeed import RandomAffine, _native

SIZES = [(1, 1), (1, 9), (7, 1), (2, 2), (13, 29), (64, 47)]
CHAINS = {
    "rotation": RandomAffine(degrees=180),
    "shift": RandomAffine(translate=(0.4, 0.3)),
    "shear": RandomAffine(shear=(-40, 40, -30, 30)),
    "zoom": RandomAffine(scale=(0.3, 3.0), fill=(255, 0, 7)),
    "all": RandomAffine(30, (0.1, 0.2), (0.8, 1.2), (-10, 20), fill=(10, 200, 90)),
}


def expected(image: np.ndarray, transform: RandomAffine, key: tuple[int, int, int], op: int = 1) -> np.ndarray:
    floats = floats_of(transform)
    matrix = oracle.drawn_affine(oracle.Draws(*key, op), *image.shape[:2], floats)
    return oracle.affine(image.astype(float), matrix, transform.filter, floats[10:13])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CHAINS)
def test_bilinear_agrees_with_the_oracle_within_its_weights_precision(name: str, size: tuple[int, int]) -> None:
    image = photo(*size)
    for index in range(8):
        key = (3, 1, index)
        # Weights of 11 bits on two axes and 7 kept bits: 0.13 + 0.02 away from exact, then rounded.
        same(on_pixels(image, [CHAINS[name]], key=key), expected(image, CHAINS[name], key), within=0.5 + 0.15)


@pytest.mark.parametrize("name", CHAINS)
def test_nearest_takes_the_pixel_whose_square_holds_the_point(name: str) -> None:
    image = photo(31, 22)
    before = CHAINS[name]
    transform = RandomAffine(before.degrees, before.translate, before.scale, before.shear, "nearest", before.fill)
    for index in range(8):
        have, want = on_pixels(image, [transform], key=(4, 0, index)), expected(image, transform, (4, 0, index))
        # A point within rounding of the line between two pixels may go to either.
        wrong = (have != want).any(axis=-1).mean()
        assert wrong <= 0.003, f"{wrong:.2%} of the pixels differ\nhave\n{have}\nexpected\n{want}"


def test_no_change_keeps_every_pixel() -> None:
    image = photo(17, 23)
    for filter in ("nearest", "bilinear"):
        same(on_pixels(image, [RandomAffine(filter=filter, fill=99)]), image)


@pytest.mark.parametrize("filter", ["nearest", "bilinear"])
def test_positive_degrees_turn_clockwise(filter: str) -> None:
    image = photo(9, 9)
    have = on_pixels(image, [RandomAffine((90, 90), filter=filter)])
    same(have, np.rot90(image, -1), within=0 if filter == "nearest" else 1)


def test_a_shift_is_whole_pixels_and_uncovers_the_fill() -> None:
    image = photo(6, 8)
    seen = set()
    for index in range(60):
        have = on_pixels(image, [RandomAffine(translate=(0.25, 0.5), fill=(1, 2, 3))], key=(0, 0, index))
        padded = np.broadcast_to(np.array([1, 2, 3], np.uint8), (18, 24, 3)).copy()
        padded[6:12, 8:16] = image
        shifts = [
            (dx, dy)
            for dx in range(-8, 9)
            for dy in range(-6, 7)
            if np.array_equal(padded[6 - dy : 12 - dy, 8 - dx : 16 - dx], have)
        ]
        assert shifts, f"no whole shift of\n{image}\ngives\n{have}"
        seen.add(shifts[0])
    assert {dx for dx, _ in seen} == set(range(-2, 3))
    assert {dy for _, dy in seen} == set(range(-3, 4))


def test_the_edge_of_a_zoomed_out_image_blends_into_the_fill() -> None:
    white = np.full((8, 8, 3), 255, np.uint8)
    have = on_pixels(white, [RandomAffine(scale=(0.5, 0.5))])[:, :, 0]
    # Output column x reads input 2 x - 3.5: -1.5 and 8.5 lie outside, -0.5 + 1 = 0.5 and so on inside.
    edge = [0, 0, 255, 255, 255, 255, 0, 0]
    same(have[4], np.array(edge))
    have = on_pixels(np.full((1, 5, 3), 200, np.uint8), [RandomAffine(scale=(0.8, 0.8))])[0, :, 0]
    # Input positions -0.5, 0.75, 2, 3.25, 4.5: half of a pixel is left at both ends.
    same(have, np.array([100, 200, 200, 200, 100]))


@pytest.mark.parametrize("filter", ["nearest", "bilinear"])
def test_all_simd_variants_give_the_same_bytes(each_variant: list[str], filter: str) -> None:
    for size in [(5, 7), (33, 8), (40, 61)]:
        image = photo(*size)
        for index in range(6):
            rows = {}
            for name in each_variant:
                assert _native.simd_select(name)
                rows[name] = on_pixels(image, [RandomAffine(40, (0.1, 0.1), (0.7, 1.4), 10, filter)], key=(1, 1, index))
            for name, row in rows.items():
                same(row, rows["baseline"]), name


def test_maps_that_leave_the_world_give_fill_and_no_crash() -> None:
    image = photo(40, 3)
    have = on_pixels(image, [RandomAffine(shear=(89.999999, 89.999999), scale=(0.001, 0.001), fill=9)])
    assert np.isin(have, [9]).mean() > 0.9, have


def test_a_sample_is_drawn_by_its_key_and_nothing_else() -> None:
    image = photo(20, 20)
    chain = [RandomAffine(90, (0.2, 0.2))]
    first = on_pixels(image, chain, key=(1, 2, 3))
    same(on_pixels(image, chain, key=(1, 2, 3)), first)
    for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)]:
        assert not np.array_equal(on_pixels(image, chain, key=other), first), other


def test_two_affines_in_one_chain_draw_apart() -> None:
    image = photo(20, 20)
    transform = RandomAffine((0, 0), (0.4, 0.4), filter="nearest")
    key = (5, 0, 1)
    once = expected(image, transform, key, op=1)
    same(on_pixels(image, [transform, transform], key=key), expected(once, transform, key, op=2))


@pytest.mark.parametrize("option", ["degrees", "shear", "scale"])
def test_drawn_values_fill_their_range(option: str) -> None:
    ranges = {"degrees": (-30.0, 50.0), "shear": (-10.0, 40.0), "scale": (0.5, 1.5)}
    low, high = ranges[option]
    floats = floats_of(RandomAffine(**{"degrees": 0, option: (low, high)}))
    where, draw = {"degrees": (0, 0), "shear": (6, 4), "scale": (4, 3)}[option]
    drawn = [oracle.Draws(9, 0, index, 0)(draw, *floats[where : where + 2]) for index in range(400)]
    assert low <= min(drawn) < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < max(drawn) <= high
    assert abs(np.mean(drawn) - (low + high) / 2) < 0.05 * (high - low)
