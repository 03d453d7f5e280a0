"""map and parallel as their tests call them, and what they are called with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from user_functions import batches

import fastfeed as ff


def results(*args, **options) -> list[object]:
    with ff.map(*args, **{"num_workers": 2, **options}) as feed:
        return list(feed)


class Counted:
    """Whole numbers for ever, counted as they are pulled."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.pulled = 0
        self.fail_at = fail_at

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count():
            if number == self.fail_at:
                raise OSError(5, "the iterable's own")
            self.pulled += 1
            yield number


def lists(feed: Iterable[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in feed]


def serial(*args, **kwargs) -> list[list[int]]:
    return lists(batches(*args, **kwargs))


def wrapped(function: Callable[..., object] = batches, **options) -> Callable[..., ff.Feed]:
    return ff.parallel(function, **{"num_workers": 2, **options})


MODES = {"one stream": {}, "parts": {"split": "items"}, "runs": {"split": "items", "split_size": 4}}
