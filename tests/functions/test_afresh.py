"""The user's code as it is when an iteration begins, and what it needs in each worker."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import probe
import pytest
import user_functions
from drive import encode, picture
from user_functions import Data, cannot_be_set_up, count_set_ups, each_counts_set_ups, set_up, square, walk

import fastfeed as ff

WORKERS = pytest.mark.parametrize("workers", [0, 1])


JPEG = encode(picture(0))
FEEDS: dict[str, Callable[..., ff.Feed]] = {
    "map": lambda data, **options: ff.map(data.__getitem__, [0, 1], **options),
    "stream": lambda data, **options: ff.parallel(data.walk, **options)(),
    "argument": lambda data, **options: ff.parallel(walk, **options)(data, [0, 1]),
    "run": lambda data, **options: ff.parallel(walk, split="indices", split_size=1, **options)(data, [0, 1]),
    "images": lambda data, **options: ff.images(
        [JPEG, JPEG], 8, transforms=[data.paint], labels=None, dtype="uint8", batch_size=1, **options
    ),
}


def numbers(feed: ff.Feed) -> list[float]:
    return [float(np.max(item)) for item in feed]


@WORKERS
@pytest.mark.parametrize("kind", FEEDS)
def test_a_change_between_epochs_is_seen(kind: str, workers: int) -> None:
    data = Data()
    with FEEDS[kind](data, num_workers=workers) as feed:
        one = 0 if kind == "images" else 1
        assert numbers(feed) == [0, one]
        data.epoch = 1
        assert numbers(feed) == [10, 10 + one]
        data.table[-1] = 100
        assert numbers(feed) == [110, 110 + one]
        stats = feed.stats()
        assert (stats.samples, stats.batches, stats.deaths) == (6, 6, 0)


@pytest.mark.parametrize("kind", [*FEEDS, "lambda", "partial", "module"])
def test_what_has_not_changed_keeps_its_workers(kind: str) -> None:
    data, scale, names = Data(), [2], {"a", "b", "c"}

    @functools.lru_cache
    def times(number: int) -> int:
        return number * scale[0] * len(names)

    makers = {
        "lambda": lambda _, **options: ff.map(lambda number: times(number) + 1, [0, 1], **options),
        "partial": lambda _, **options: ff.map(functools.partial(pow, exp=2), [0, 1], **options),
        "module": lambda _, **options: ff.map(square, [0, 1], **options),
    }
    with {**FEEDS, **makers}[kind](data, num_workers=1) as feed:
        first = numbers(feed)
        started = probe.workers(feed)
        assert numbers(feed) == numbers(feed) == first
        assert probe.workers(feed) == started


def test_a_loop_that_was_left_does_not_hold_a_change_back() -> None:
    data = Data()
    with ff.map(data.__getitem__, range(1000), num_workers=1, chunk_size=1) as feed:
        for expected in (0, 10, 20):
            assert next(iter(feed)) == expected
            data.epoch += 1


def test_a_random_generator_that_is_replaced_is_seeded_alike_everywhere() -> None:
    class Drawing:
        rng = None

        def draw(self, number: int) -> float:
            return float(self.rng.random())

    drawn = []
    for workers in (0, 1):
        drawing = Drawing()
        with ff.map(drawing.draw, range(3), num_workers=workers) as feed:
            for seed in (1, 2):
                drawing.rng = np.random.default_rng(seed)
                drawn.append(list(feed))
    assert drawn[:2] == drawn[2:]
    assert len(set(drawn[0] + drawn[1])) == 6


@WORKERS
def test_working_directory_and_environment_are_those_of_the_moment(
    here: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def facts(number: int) -> tuple[str, str | None, str]:
        return os.getcwd(), os.environ.get("OF_THIS_TEST"), sys.argv[-1]

    with ff.map(facts, [0], num_workers=workers) as feed:
        for name in ("a", "b"):
            (here / name).mkdir()
            monkeypatch.chdir(here / name)
            monkeypatch.setenv("OF_THIS_TEST", name)
            monkeypatch.setattr(sys, "argv", ["program", name])
            assert list(feed) == [(str(here / name), name, name)]


@pytest.mark.parametrize("kind", FEEDS)
def test_what_cannot_be_sent_any_more_is_said(kind: str) -> None:
    data = Data()
    with FEEDS[kind](data, num_workers=1) as feed:
        first = numbers(feed)
        data.lock = threading.Lock()
        with pytest.warns(RuntimeWarning, match=r"cannot be sent to the workers any more: .*lock.*as it was"):
            assert numbers(feed) == first


INITIALIZED: dict[str, Callable[..., ff.Feed]] = {
    "map": lambda **options: ff.map(count_set_ups, [0, 1], **options),
    "stream": lambda **options: ff.parallel(each_counts_set_ups, **options)([0, 1]),
    "decorator": lambda **options: ff.parallel(split="items", split_size=1, **options)(each_counts_set_ups)([0, 1]),
    "images": lambda **options: ff.images(
        [JPEG, JPEG], 8, transforms=[count_set_ups], labels=None, dtype="uint8", batch_size=1, **options
    ),
}


@WORKERS
@pytest.mark.parametrize("kind", INITIALIZED)
def test_an_initializer_is_called_once_in_each_worker(kind: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_functions, "set_ups", [])
    with INITIALIZED[kind](initializer=set_up, num_workers=workers) as feed:
        assert numbers(feed) == numbers(feed) == [1, 1]
    assert len(user_functions.set_ups) == (1 if workers == 0 else 0)


TOLD = INITIALIZED | {"plain images": lambda **options: ff.images([JPEG, JPEG], 8, labels=None, **options)}


@WORKERS
@pytest.mark.parametrize("kind", TOLD)
def test_an_initializer_that_raises_is_told(kind: str, workers: int) -> None:
    with TOLD[kind](initializer=cannot_be_set_up, num_workers=workers) as feed:
        for _ in range(2):
            with pytest.raises(ff.WorkerError, match=r"OSError: \[Errno 5\] no such device here") as caught:
                list(feed)
            assert "the initializer" in str(caught.value)
            assert isinstance(caught.value.__cause__, OSError)


def test_an_initializer_comes_before_the_function_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found_by_initializer.py").write_text("def function(number): return number + 1\n")
    folder = str(tmp_path)
    monkeypatch.syspath_prepend(folder)
    import found_by_initializer

    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "found_by_initializer", found_by_initializer)
    found_by_initializer.__spec__.name = "another"  # so that only the initializer leads there
    with ff.map(found_by_initializer.function, [1], initializer=lambda: sys.path.append(folder), num_workers=1) as feed:
        assert list(feed) == [2]


def test_what_is_no_initializer_is_refused() -> None:
    for make in INITIALIZED.values():
        with pytest.raises(ff.ConfigError, match=r"initializer=3: pass a function without arguments"):
            make(initializer=3)
