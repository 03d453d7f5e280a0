"""The native copy: every byte of the piece, none beside it, whether the batch is large or not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastfeed import _native

LARGE = 32 << 20  # of a batch; from here on it goes past the caches


@pytest.mark.parametrize("whole", [0, LARGE - 1, LARGE])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 4095, 4096, 4097, 4159, 4160, 100_003])
def test_a_piece_arrives_whole_wherever_it_begins(size: int, whole: int, each_variant: list[str]) -> None:
    source = np.random.default_rng(size).integers(0, 256, size + 128, np.uint8)
    target = np.zeros(size + 256, np.uint8)
    for variant, to, start in itertools.product(each_variant, (0, 1, 17, 63, 64), (0, 5, 64)):
        assert _native.simd_select(variant)
        target[:] = 0xA5
        piece = source[start : start + size]
        _native.copy(target[to : to + size], piece, whole)
        np.testing.assert_array_equal(target[to : to + size], piece)
        assert (target[:to] == 0xA5).all()
        assert (target[to + size :] == 0xA5).all()


def test_a_piece_and_its_place_must_be_of_one_length() -> None:
    with pytest.raises(ValueError, match="length"):
        _native.copy(bytearray(3), bytes(4), 4)
