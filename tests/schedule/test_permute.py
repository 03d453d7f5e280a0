"""The keyed permutation: a bijection for every n, well mixed down to the smallest, and the same for ever."""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter

import numpy as np
import pytest

from fastfeed import _native


def order(n: int, seed: int = 0, epoch: int = 0) -> list[int]:
    out = array("q", bytes(8 * n))
    _native.permute_fill(memoryview(out), n, seed, epoch, 0, 1)
    return out.tolist()


def values(n: int, start: int, count: int, *, seed: int = 0, epoch: int = 0, step: int = 1) -> list[int]:
    """Read as unsigned: an index column is int64, and the largest n are past it."""
    out = array("q", bytes(8 * count))
    _native.permute_fill(memoryview(out), n, seed, epoch, start, step)
    return array("Q", out.tobytes()).tolist()


def chi_square_is_ordinary(counts: np.ndarray, expected: float, freedom: int) -> bool:
    """Within 4.5 standard deviations of what chance gives; the normal approximation, freedom is never small here."""
    chi = float(((counts - expected) ** 2 / expected).sum())
    return abs(chi - freedom) < 4.5 * math.sqrt(2 * freedom)


def test_every_index_comes_exactly_once() -> None:
    for n in [*range(1, 300), 511, 512, 513, 1000, 4095, 4096, 4097]:
        assert sorted(order(n, seed=n, epoch=3)) == list(range(n))


def test_a_large_epoch_holds_every_index_exactly_once() -> None:
    n = 300_007
    out = np.empty(n, np.int64)
    _native.permute_fill(memoryview(out), n, 1, 2, 0, 1)
    assert (np.bincount(out, minlength=n) == 1).all()


def test_huge_n_stay_in_range_and_collide_nowhere() -> None:
    for n in (2**31, 2**32 - 1, 2**32 + 1, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1):
        seen = values(n, 0, 500) + values(n, n - 500, 500) + values(n, n // 2, 500)
        assert len(set(seen)) == 1500
        assert max(seen) < n
        assert abs(sum(seen) / 1500 / n - 0.5) < 0.04  # spread over all of the range


def test_one_sample_stays_where_it_is() -> None:
    assert order(1, seed=2**64 - 1, epoch=2**64 - 1) == [0]


def test_start_and_step_pick_positions_of_the_same_order() -> None:
    n = 1003
    whole = order(n, seed=5, epoch=6)
    assert values(n, 7, 100, seed=5, epoch=6, step=9) == whole[7 : 7 + 900 : 9]


def test_the_order_is_the_same_in_every_release_and_on_every_machine() -> None:
    # A saved state says only how far an epoch has come, so these numbers may never change.
    assert order(10) == [9, 1, 3, 0, 7, 4, 6, 5, 2, 8]
    assert order(10, seed=1, epoch=2) == [2, 0, 4, 5, 3, 7, 8, 9, 6, 1]
    assert values(1_281_167, 1_000_000, 4, seed=42, epoch=7) == [102754, 588187, 1009042, 852009]
    assert values(2**64 - 1, 2**63, 2, seed=2**64 - 1, epoch=2**64 - 1) == [5268465630246512493, 5078566108619606765]


@pytest.mark.parametrize("n", [5, 10, 100])
def test_every_index_is_as_likely_at_every_position(n: int) -> None:
    orders = 20_000
    seen = np.array([order(n, seed=11, epoch=e) for e in range(orders)])
    counts = np.stack([np.bincount(seen[:, position], minlength=n) for position in range(n)])
    # Rows and columns of the table both add up, hence (n - 1) squared degrees of freedom.
    assert chi_square_is_ordinary(counts, orders / n, (n - 1) ** 2)


@pytest.mark.parametrize("by", ["epoch", "seed"])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_all_orders_of_a_few_samples_are_as_likely(n: int, by: str) -> None:
    rounds = 24_000
    seen = Counter(tuple(order(n, **{by: k})) for k in range(rounds))
    assert set(seen) == set(itertools.permutations(range(n)))
    counts = np.array(list(seen.values()))
    assert chi_square_is_ordinary(counts, rounds / math.factorial(n), math.factorial(n) - 1)


@pytest.mark.parametrize("n", [5, 10, 100])
@pytest.mark.parametrize("by", ["epoch", "seed"])
def test_successive_epochs_and_seeds_are_unrelated(n: int, by: str) -> None:
    rounds = 20_000 if n < 100 else 50_000
    position = np.array(
        [order(n, **{by: k})[n // 2] if n < 100 else values(n, 50, 1, **{by: k})[0] for k in range(rounds)]
    )
    counts = np.bincount(position[:-1] * n + position[1:], minlength=n * n)
    assert chi_square_is_ordinary(counts, (rounds - 1) / n**2, n * n - 1)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_neighbours_in_the_source_are_not_neighbours_in_an_epoch(n: int) -> None:
    epochs = 200_000 // n
    seen = np.array([order(n, seed=2, epoch=e) for e in range(epochs)])
    follow = int((np.diff(seen, axis=1) == 1).sum())
    expected = epochs * (n - 1) / n  # a pair follows in a uniform order with probability 1/n
    assert abs(follow - expected) < 5 * math.sqrt(expected)


def test_correlation_of_an_epoch_with_the_next_is_that_of_chance() -> None:
    n = 2000
    orders = [np.array(order(n, seed=9, epoch=e), float) for e in range(40)]
    correlations = [float(np.corrcoef(a, b)[0, 1]) for a, b in itertools.pairwise(orders)]
    assert max(map(abs, correlations)) < 4.5 / math.sqrt(n)


def test_a_source_that_grows_by_one_gets_another_order() -> None:
    shorter, longer = order(1000), order(1001)
    assert sum(a == b for a, b in zip(shorter, longer, strict=False)) < 10
