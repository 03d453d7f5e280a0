"""What is said about a value that cannot travel: where in it the obstacle is, and of which type."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drive import encode, picture

import fastfeed as ff
from fastfeed.wire.obstacle import refusal, travels

LOCK = threading.Lock()


class Loader:
    """What people write: it goes through itself, and holds on to what it goes through."""

    def __init__(self) -> None:
        self.feeds = [ff.map(self.load, [1], num_workers=1)]
        self.running = self.walk()

    def walk(self) -> Iterator[int]:
        yield 1

    def load(self, number: int) -> int:
        return number


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = LOCK


def within(value: Any) -> Callable[[int], Any]:
    return lambda number: (number, value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Loader().load, " (self.running is of type generator)"),
        (within({"deep": [Slotted()]}), " (value['deep'][0].lock is of type lock)"),
        (functools.partial(within, key=LOCK), " (key is of type lock)"),
        (functools.partial(within, LOCK), " ([0] is of type lock)"),
        ([1, {2: LOCK}], " ([1][2] is of type lock)"),
        (within(within(n for n in "ab")), " (value.value is of type generator)"),
        (LOCK, "cannot pickle '_thread.lock' object"),
    ],
    ids=["self", "closure", "keyword", "argument", "container", "function in function", "itself"],
)
def test_the_obstacle_is_found(value: object, place: str) -> None:
    assert not travels(value)
    assert refusal(value).endswith(place)


def test_a_feed_names_it_with_the_remedy(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as log:

        def logged(value: object) -> object:
            log.write(f"{value}\n")
            return value

        remedy = r"log' is open for writing.* \(log is of type TextIOWrapper\); make it inside the function or in an in"
        for feed in (
            ff.map(logged, [1], num_workers=1),
            ff.parallel(logged, num_workers=1)(1),
            ff.map(abs, [1], initializer=functools.partial(logged, 1), num_workers=1),
            ff.images([encode(picture(0))], 8, labels=None, transforms=[logged], num_workers=1),
        ):
            with feed, pytest.raises(ff.ConfigError, match=remedy):
                list(feed)
        with ff.map(logged, [1], num_workers=0) as feed:
            assert list(feed) == [1]
    assert (tmp_path / "log").read_text() == "1\n"


def test_a_file_that_is_open_for_reading_travels(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("some words")
    with (tmp_path / "words").open() as words, ff.map(words.read, [4], num_workers=1) as feed:
        assert list(feed) == ["some"]
