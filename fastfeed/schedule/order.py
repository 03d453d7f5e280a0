"""What the user said about the order of the samples, made one."""

from __future__ import annotations

from typing import Any

from fastfeed import options
from fastfeed.schedule.sampler import SamplerOrder
from fastfeed.schedule.weights import WeightedOrder


def order_of(
    sampler: Any, weights: Any, shuffle: object, samples: int, batch_size: int, seed: int, labels: Any = None
) -> WeightedOrder | SamplerOrder | None:
    """Return the order of a sampler, or by weights; None where `shuffle` says all.

    Raises
    ------
    ConfigError
        Options that contradict each other, or cannot work.
    """
    if sampler is None:
        if weights is not None and shuffle is True:
            raise options.wrong("shuffle", True, "leave it out: weights draw samples at random anyway", weights="...")
        return None if weights is None else WeightedOrder(weights, samples, seed, labels)
    for name, value in (("shuffle", shuffle), ("weights", None if weights is None else "...")):
        if value:
            raise options.wrong(name, value, "leave it out: the sampler decides the order", sampler="...")
    return SamplerOrder(sampler, samples, options.whole("batch_size", batch_size, 1))
