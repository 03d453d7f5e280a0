"""Random numbers of the user's code, in feeds of all kinds: they depend on (seed, epoch, item or stream) alone."""

from __future__ import annotations

import functools
import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import user_functions
from drive import encode, picture
from user_functions import (
    Holder,
    drawn_from,
    drawn_from_torch,
    noise,
    runs_from,
    runs_from_torch,
    streams_from,
    streams_from_torch,
)

import fastfeed as ff

# Enough of torch for drawing: generators that are alike in every fresh process, and one that is global.
TORCH = """
import random

class State(list):
    def tolist(self):
        return [repr(part) for part in self]

class Generator:
    def __init__(self, seed=67280421310721):
        self.draws = random.Random(seed)
    def __reduce__(self):
        return made, (self.get_state(),)
    def manual_seed(self, seed):
        self.draws.seed(seed)
        return self
    def get_state(self):
        return State(self.draws.getstate())
    def set_state(self, state):
        self.draws.setstate(tuple(state))

def made(state):
    generator = Generator()
    generator.set_state(state)
    return generator

default_generator = Generator()

def rand(generator=None):
    return (generator or default_generator).draws.random()
"""


@pytest.fixture
def torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of this name that can be imported, and is not yet."""
    (tmp_path / "torch.py").write_text(TORCH)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    yield tmp_path
    sys.modules.pop("torch", None)


def epochs(function: Any, items: int = 8, count: int = 2, **options: Any) -> list[list[Any]]:
    with ff.map(function, range(items), **options) as feed:
        return [list(feed) for _ in range(count)]


def alike(function: Any) -> list[Any]:
    """What a function draws, in two epochs, which must not depend on workers and chunks."""
    expected = epochs(function, num_workers=0)
    assert epochs(function, num_workers=0, chunk_size=3) == expected
    assert epochs(function, num_workers=2, chunk_size=1) == expected
    return list(itertools.chain(*expected))


def test_generators_that_a_function_holds_depend_on_seed_epoch_and_item_and_on_no_worker() -> None:
    drawn = alike(Holder())
    assert len({number for numbers in drawn for number in numbers}) == 2 * 8 * 6
    assert epochs(Holder(), num_workers=0, seed=1)[0] != drawn[:8]
    assert epochs(Holder(), num_workers=0, seed=0)[0] == drawn[:8]


def test_generators_in_a_closure_a_default_or_a_partial_are_found() -> None:
    rng, other = np.random.default_rng(1), np.random.default_rng(2)

    def function(item: int, defaulted: Any = other) -> tuple[float, float]:
        return float(rng.random()), float(defaulted.random())

    assert len({number for numbers in alike(function) for number in numbers}) == 32
    assert len(set(alike(functools.partial(drawn_from, rng)))) == 16


def test_generators_differ_as_their_own_seeds_do() -> None:
    def first(seed: int) -> float:
        return epochs(functools.partial(drawn_from, np.random.default_rng(seed)), 1, 1, num_workers=0)[0][0]

    assert first(1) == first(1) != first(2)


def test_a_generator_that_is_put_in_another_s_place_is_seeded_too() -> None:
    holder = Holder()

    def drawn() -> list[float]:
        feed.set_epoch(0)
        return [numbers[2] for numbers in feed]

    with ff.map(holder, range(4), num_workers=0) as feed:
        first = drawn()
        holder.rng.random()
        assert drawn() == first  # its base is its state when it was first seen
        holder.rng = np.random.default_rng(9)
        other = drawn()
    assert not set(other) & set(first)
    with ff.map(functools.partial(drawn_from, np.random.default_rng(9)), range(4), num_workers=1) as feed:
        assert list(feed) == other


def test_a_module_s_generator_begins_in_each_worker_where_it_stands_in_the_consumer() -> None:
    def drawn(item: int) -> float:
        return user_functions.OWN.random()

    before = user_functions.OWN.getstate()
    first = alike(drawn)
    user_functions.OWN.random()
    assert len({*first, *alike(drawn)}) == 32
    user_functions.OWN.setstate(before)
    assert alike(drawn) == first


def test_functions_taken_out_of_their_modules_draw_from_the_seeded_generators() -> None:
    rand, uniform = np.random.rand, random.uniform

    def drawn(item: int) -> tuple[float, float, float]:
        return rand(), uniform(0, 1), random.random()

    assert len({number for numbers in alike(drawn) for number in numbers}) == 48


def test_generators_of_a_collate_function_are_seeded_by_batch() -> None:
    rng = np.random.default_rng(1)

    def collate(items: list[int]) -> float:
        return float(rng.random())

    both = [epochs(int, batch_size=2, collate=collate, num_workers=workers) for workers in (0, 1)]
    assert both[0] == both[1]
    assert len({number for epoch in both[0] for number in epoch}) == 8


def taken(count: int, workers: int, copies: bool, *args: Any, seed: int = 0) -> list[list[Any]]:
    with ff.parallel(streams_from, copies=copies, num_workers=workers, seed=seed)(*args) as feed:
        return [list(itertools.islice(feed, count)) for _ in range(2)]


def test_generators_among_arguments_differ_between_streams_and_epochs_and_repeat_with_the_seed() -> None:
    drawn = taken(4, 2, True, np.random.default_rng(8), Holder())
    assert len({number for epoch in drawn for item in epoch for number in item}) == 2 * 4 * 7
    assert taken(4, 2, True, np.random.default_rng(8), Holder()) == drawn
    one = taken(4, 0, False, np.random.default_rng(8), Holder())
    assert taken(4, 0, False, np.random.default_rng(8), Holder(), seed=1)[0] != one[0]
    assert taken(4, 0, False, np.random.default_rng(9), Holder())[0] != one[0]
    assert [item for epoch in one for item in epoch[:2]] == [item for epoch in drawn for item in epoch[::2]]


def test_generators_of_runs_depend_on_the_run_and_in_a_split_argument_on_their_own_state() -> None:
    def drawn(workers: int) -> list[list[Any]]:
        make = ff.parallel(runs_from, split=("items", "rngs"), split_size=2, num_workers=workers)
        with make([0] * 6, np.random.default_rng(8), [np.random.default_rng(k) for k in range(6)]) as feed:
            return [list(feed) for _ in range(2)]

    expected = drawn(0)
    assert drawn(2) == expected
    assert len({number for epoch in expected for item in epoch for number in item}) == 2 * 6 * 2


@pytest.mark.parametrize("workers", [0, 1])
def test_the_consumer_s_own_generators_are_left_as_they_are(workers: int) -> None:
    def state(holder: Holder, rng: np.random.Generator) -> list[float]:
        return [float(rng.random()), random.random(), float(np.random.rand()), *holder(None)]

    def fresh() -> tuple[Holder, np.random.Generator]:
        random.seed(1)
        np.random.seed(1)
        user_functions.OWN.seed(5)
        Holder.shared.seed(6)
        return Holder(), np.random.default_rng(8)

    expected = state(*fresh())
    holder, rng = fresh()
    with ff.parallel(streams_from, num_workers=workers)(rng, holder) as feed:
        next(iter(feed))
        assert state(holder, rng) == expected
    holder, rng = fresh()
    epochs(holder, num_workers=workers)
    with ff.images([encode(picture(0))] * 2, 8, transforms=[noise], num_workers=workers) as images:
        list(images)
    assert state(holder, rng) == expected


def test_callables_of_images_draw_by_seed_epoch_and_index() -> None:
    encoded = [encode(picture(0))] * 6

    def drawn(batch_size: int, workers: int, seed: int = 0) -> list[list[int]]:
        options: Any = {"dtype": "uint8", "batch_size": batch_size, "num_workers": workers, "seed": seed}
        with ff.images(encoded, 8, transforms=[noise], labels=None, **options) as feed:
            return [np.concatenate(list(feed))[:, 0, 0].tolist() for _ in range(2)]

    expected = drawn(1, 1)
    assert drawn(4, 2) == drawn(2, 0) == expected
    assert len({tuple(pixel) for epoch in expected for pixel in epoch}) == 12
    assert drawn(6, 0, seed=1)[0] != expected[0]


@pytest.mark.parametrize("chunk_size", [1, 4])
def test_torch_s_global_generator_is_seeded_wherever_it_is_loaded(torch: Path, chunk_size: int) -> None:
    with_workers = epochs(drawn_from_torch, num_workers=2, chunk_size=chunk_size)
    assert "torch" not in sys.modules
    assert epochs(drawn_from_torch, num_workers=0, chunk_size=chunk_size) == with_workers
    assert len({number for epoch in with_workers for number in epoch}) == 16
    assert sys.modules["torch"].rand() == random.Random(67280421310721).random()  # the consumer's is as it was


def test_a_stream_or_run_that_loads_torch_begins_again_with_it_seeded(torch: Path) -> None:
    def drawn(workers: int) -> list[Any]:
        with ff.parallel(streams_from_torch, copies=workers > 1, num_workers=workers)() as feed:
            return [list(itertools.islice(feed, 4)) for _ in range(2)]

    def of_runs(workers: int) -> list[float]:
        with ff.parallel(runs_from_torch, split="items", split_size=2, num_workers=workers)(range(4)) as feed:
            return list(feed)

    late, late_runs = drawn(2), of_runs(1)
    assert "torch" not in sys.modules
    assert len({number for epoch in late for item in epoch for number in item}) == 2 * 4 * 2
    import torch as loaded

    one = drawn(0)
    assert [item for epoch in one for item in epoch[:2]] == [item for epoch in late for item in epoch[::2]]
    assert of_runs(0) == late_runs
    assert len(set(late_runs)) == 4
    generator = loaded.Generator(7)
    with ff.parallel(streams_from_torch, copies=True, num_workers=2)(generator) as feed:
        own = [list(itertools.islice(feed, 4)) for _ in range(2)]
    assert len({number for epoch in own for item in epoch for number in item}) == 2 * 4 * 2


def test_an_iteration_that_is_left_to_the_end_of_the_program_ends_without_a_word() -> None:
    program = """
import builtins, fastfeed
builtins.left = iter(fastfeed.map(float, range(3), num_workers=0))
builtins.circle = [builtins.left]
builtins.circle.append(builtins.circle)
next(builtins.left)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stderr == ""
