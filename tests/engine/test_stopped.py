"""Workers that somebody has stopped: they are named, and what nobody has in hand is done by the others."""

from __future__ import annotations

import os
import re
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import probe
import pytest
from user_functions import square

import fastfeed as ff


def stops_at_3_once(item: tuple[int, str]) -> int:
    number, path = item
    if number == 3 and not os.path.exists(path):
        open(path, "x").close()
        os.kill(os.getpid(), signal.SIGSTOP)
    return number * number


@pytest.fixture(params=[signal.SIGCONT, signal.SIGKILL], ids=["continued", "killed"])
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The workers that warnings have named; each is continued or killed then."""
    pids: list[int] = []

    def end_it(message: Warning | str, *_: object) -> None:
        pid = re.search(
            r"worker \d+ \(pid (\d+)\) is stopped .*SIGSTOP.*`kill -CONT \1`.*`kill -KILL \1`", str(message)
        )
        assert pid is not None
        pids.append(int(pid[1]))
        os.kill(pids[-1], request.param)

    probe.doubt_at_once(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", end_it)
        yield pids


@pytest.fixture
def items(tmp_path: Path) -> list[tuple[int, str]]:
    return [(number, str(tmp_path / "stopped")) for number in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_stopped_with_an_item_in_hand_is_named(
    workers: int, named: list[int], items: list[tuple[int, str]]
) -> None:
    with ff.map(stops_at_3_once, items, chunk_size=1, num_workers=workers) as feed:
        got = [next(batches := iter(feed))]
        pids = probe.workers(feed)
        got += batches
    assert got == list(map(square, range(20)))
    assert len(named) == 1
    assert named[0] in pids


def test_a_source_that_is_held_off_hides_no_stopped_worker(
    named: list[int], items: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.hold_off(monkeypatch)
    with ff.map(stops_at_3_once, iter(items), chunk_size=1, num_workers=1) as feed:
        assert list(feed) == list(map(square, range(20)))
    assert len(named) == 1
