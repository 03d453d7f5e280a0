"""The kernel's random numbers: published vectors, keys that matter, an even spread."""

from __future__ import annotations

import numpy as np
import oracle
import pytest

from fastfeed._native import uniform

# Known answers for Philox4x32-10 published with the Random123 library: counter, key, result.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_the_oracle_gives_the_published_answers(counter: str, key: str, result: str) -> None:
    def words(text: str) -> tuple[int, ...]:
        return tuple(int(word, 16) for word in text.split())

    have, expected = oracle.philox4x32(words(counter), words(key)), words(result)
    assert have == expected, f"have {have}, expected {expected}"


def test_the_kernel_gives_the_oracles_numbers_bit_for_bit() -> None:
    keys = [(0, 0, 0, 0, 0), (1, 2, 3, 4, 5), (2**64 - 1, 2**64 - 1, 2**64 - 1, 2**32 - 1, 2**32 - 1)]
    keys += [(2**40 + 7, 3, 2**33, op, draw) for op in range(4) for draw in range(20)]
    for key in keys:
        have, expected = uniform(*key), oracle.uniform(*key)
        assert have == expected, f"{key}: have {have!r}, expected {expected!r}"


def test_every_part_of_the_key_changes_the_number() -> None:
    base = (11, 12, 13, 14, 15)
    changed = [
        tuple(v ^ (bit if k == part else 0) for k, v in enumerate(base)) for part in range(5) for bit in (1, 2**31)
    ]
    changed += [tuple(v ^ (2**63 if k == part else 0) for k, v in enumerate(base)) for part in range(3)]
    numbers = {uniform(*key) for key in [base, *changed]}
    assert len(numbers) == len(changed) + 1


def test_numbers_are_spread_evenly_over_samples_and_draws() -> None:
    numbers = np.array([[uniform(5, 0, index, 0, draw) for draw in range(4)] for index in range(5000)])
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    # Standard errors: 0.29 / sqrt(20000) = 0.002 for the mean, 1 / sqrt(5000) = 0.014 for a correlation.
    assert abs(numbers.mean() - 0.5) < 0.01
    histogram, _ = np.histogram(numbers, 20, (0.0, 1.0))
    assert abs(histogram - 1000).max() < 150, histogram
    assert abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.06
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.06
