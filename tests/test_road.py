"""The road of a batch: which files it enters in the consumer, how often it climbs, and that its page is true."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from test_package import ROOT, floor_of, room_of
from user_functions import count_up, square

import fastfeed as ff

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
# File of the caller, file of the called function: of calls from one file to another.
Call = tuple[str, str]


def file_of(frame: FrameType | None) -> str:
    """The file of ours that a frame runs in, or the nearest one that called it."""
    while frame is not None and not frame.f_code.co_filename.startswith(str(ROOT)):
        frame = frame.f_back
    return "" if frame is None else str(Path(frame.f_code.co_filename).relative_to(ROOT))


def is_opening(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_qualname != "Feed._open":
        frame = frame.f_back
    return frame is not None


def road_of(feed: ff.Feed) -> tuple[set[Call], set[Call]]:
    """Calls on the way out, and on the way home, while a warm feed opens and delivers some batches."""
    out: set[Call] = set()
    home: set[Call] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            caller, called = file_of(frame.f_back), file_of(frame)
            if caller and caller != called:
                (out if is_opening(frame) else home).add((caller, called))

    batches = iter(feed)
    for _ in range(8):
        next(batches)
    sys.setprofile(note)
    try:
        for _ in range(4):
            next(batches)
        while not out or not home:  # a slot may carry several items
            next(batches)
    finally:
        sys.setprofile(None)
    return out, home


def climbs(calls: set[Call]) -> set[tuple[str, str]]:
    """Pairs of rooms of which the lower one calls the upper one."""
    rooms = {(room_of(caller), room_of(called)) for caller, called in calls}
    return {(low, high) for low, high in rooms if floor_of(high) < floor_of(low)}


def images(folder: Path) -> ff.Feed:
    return ff.images(folder, 16, labels=os.path.basename, batch_size=4, shuffle=True, num_workers=1)


FEEDS: dict[str, Callable[[Path], Any]] = {
    "An image batch": images,
    "A chunk of `map`": lambda folder: ff.map(square, range(10**6), chunk_size=4, num_workers=1),
    "An item of a stream": lambda folder: ff.parallel(count_up, num_workers=1)(),
}


@pytest.fixture(params=FEEDS)
def road(request: pytest.FixtureRequest, photos: Path) -> Iterator[tuple[str, set[Call], set[Call]]]:
    """Its heading on the page, and the calls out and home."""
    with FEEDS[request.param](photos) as feed:
        yield request.param, *road_of(feed)


def test_a_batch_climbs_at_most_three_times(road: tuple[str, set[Call], set[Call]]) -> None:
    _, out, home = road
    assert out
    assert len(climbs(out)) + len(climbs(home)) <= 3


def test_what_a_job_reaches_calls_nothing_of_the_engine(road: tuple[str, set[Call], set[Call]]) -> None:
    _, out, home = road
    assert {room_of(caller) for caller, called in out | home if room_of(called) == "engine"} == {"engine"}


def test_the_page_names_every_file_that_a_batch_enters(road: tuple[str, set[Call], set[Call]]) -> None:
    heading, out, home = road
    text = PAGE.read_text().partition(f"**{heading}**")[2].partition("\n**")[0]
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    assert {called for _, called in out | home} - named == set()
