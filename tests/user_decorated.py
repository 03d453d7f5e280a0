"""Generator functions as people decorate them; apart from user_functions, since they import the doors of fastfeed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from user_functions import batches

import fastfeed as ff

if TYPE_CHECKING:
    import numpy as np


class Loader:
    def __init__(self, items: list[int]) -> None:
        self.items = items

    def train(self, size: int) -> Iterator[np.ndarray]:
        yield from batches(self.items, size)

    @ff.parallel(num_workers=1)
    def decorated(self, size: int) -> Iterator[np.ndarray]:
        yield from batches(self.items, size)

    def __call__(self, items: list[int]) -> Iterator[int]:
        yield from items


def traced(function: Callable[..., Iterator]) -> Callable[..., Iterator]:
    @functools.wraps(function)
    def wrapper(*args, **kwargs) -> Iterator:
        yield from function(*args, **kwargs)

    return wrapper


@traced
def decorated_batches(items: list[int], size: int = 2) -> Iterator[np.ndarray]:
    yield from batches(items, size)


@ff.parallel
def plain_decorator(items: list[int]) -> Iterator[int]:
    """Give the items back."""
    yield from items


@ff.parallel(split="items", split_size=2, num_workers=2)
def decorator_with_options(items: list[int]) -> Iterator[int]:
    yield from items
