"""The search for generators in callables: what is found, by which path, and what is neither found nor disturbed."""

from __future__ import annotations

import functools
import random
import sys
import types
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fastfeed.randomness.search import held_by
from fastfeed.randomness.seeds import seed_held

NAMED = random.Random(1)
UNNAMED = random.Random(2)
MODULE = types.ModuleType("own_module")
MODULE.rng = random.Random(3)
MODULE.other = random.Random(4)


def found(value: object) -> dict[str, Any]:
    return {held.path: held.generator for held in held_by({"f": value}, {})}


def names_it() -> float:
    return NAMED.random()


def names_one_that_does() -> float:
    return names_it()


def names_it_within() -> object:
    return lambda low: low + NAMED.random()


def asks_a_module() -> float:
    return MODULE.rng.random()


@pytest.mark.parametrize(
    ("function", "path", "generator"),
    [
        (names_it, "f.NAMED", NAMED),
        (names_it_within, "f.NAMED", NAMED),
        (names_one_that_does, "f.names_it.NAMED", NAMED),
        (functools.lru_cache(names_it), "f.__wrapped__.NAMED", NAMED),
        (asks_a_module, "f.MODULE.rng", MODULE.rng),
        (NAMED.random, "f.__self__", NAMED),
        (functools.partial(max, NAMED), "f.args[0]", NAMED),
    ],
)
def test_what_a_function_names_is_found_and_nothing_else(function: object, path: str, generator: object) -> None:
    assert found(function) == {path: generator}


@dataclass
class Data:
    inner: Any


class Slotted:
    __slots__ = ("__hidden", "empty")

    def __init__(self, inner: object) -> None:
        self.__hidden = inner


class Dict(dict[str, Any]):
    pass


class Shares:
    of_the_class = UNNAMED

    def method(self) -> float:
        return self.of_the_class.random()


@pytest.mark.parametrize(
    ("around", "path"),
    [
        (Data, "f.inner"),
        (Slotted, "f._Slotted__hidden"),
        (lambda inner: Dict(x=inner), "f['x']"),
        (lambda inner: [{"a": (1, inner)}], "f[0]['a'][1]"),
        (lambda inner: deque([0, inner]), "f[1]"),
        (lambda inner: {3: types.SimpleNamespace(x=inner)}, "f[3].x"),
        (lambda inner: [*range(500), inner], "f[500]"),
    ],
)
def test_what_an_object_holds_is_found(around: Any, path: str) -> None:
    assert found(around(UNNAMED)) == {path: UNNAMED}


def test_what_a_class_holds_is_found_through_its_objects_and_methods() -> None:
    assert list(found(Shares()).values()) == list(found(Shares().method).values()) == [UNNAMED]


@pytest.mark.parametrize(
    "value",
    [
        names_it.__code__,
        random.random,
        np.random.rand,
        np.random.mtrand._rand,
        random.SystemRandom(),
        sys,
        len,
        {"x", 1},
        iter([NAMED]),
    ],
)
def test_the_global_generators_and_what_has_no_state_are_left_out(value: object) -> None:
    assert found(value) == {}


def test_one_that_is_reached_twice_or_shares_its_bits_is_found_once() -> None:
    bits = np.random.PCG64(1)
    value = [np.random.Generator(bits), bits, np.random.Generator(bits)]
    assert found(value) == {"f[0]": bits}
    value.append(value)
    assert found(value) == {"f[0]": bits}


def test_no_code_of_the_user_s_runs() -> None:
    class Wakes:
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(name)

        def __iter__(self) -> object:
            raise AssertionError

    class Listed(list[object]):
        __iter__ = __len__ = None  # type: ignore[assignment]

        @property
        def woken(self) -> object:
            raise AssertionError

    assert found([Wakes(), Listed([NAMED])]) == {"f[1][0]": NAMED}


def test_data_is_not_walked_for_ever() -> None:
    samples = [(str(number), [number]) for number in range(10**5)]
    assert found(types.SimpleNamespace(samples=samples, table=dict(samples), rng=NAMED)) == {"f.rng": NAMED}


@pytest.mark.parametrize(
    "make",
    [
        random.Random,
        np.random.default_rng,
        np.random.RandomState,
        lambda seed: np.random.Generator(np.random.PCG64DXSM(seed)),
        lambda seed: np.random.Generator(np.random.MT19937(seed)),
        lambda seed: np.random.Generator(np.random.SFC64(seed)),
        lambda seed: np.random.RandomState(np.random.PCG64(seed)),
    ],
)
def test_each_kind_of_generator_begins_at_its_base_and_a_key_and_can_be_put_back(make: Any) -> None:
    def drawn(generator: Any) -> list[float]:
        kind = type(generator)
        normal = generator.gauss if kind is random.Random else generator.normal
        return [normal(0, 1) for _ in range(3)]  # of which one is kept back

    def begun(seed: int, *key: int, drawing: int = 0) -> list[float]:
        generator = make(seed)
        held = held_by({"f": generator}, {})
        for _ in range(drawing):
            drawn(generator)
        seed_held(held, *key)
        return drawn(generator)

    numbers = begun(1, 0, 0)
    assert begun(1, 0, 0, drawing=3) == numbers
    others = [begun(2, 0, 0), begun(1, 0, 1), begun(1, 1, 0), begun(1, 0, 2**64 - 1)]
    assert len({tuple(each) for each in [numbers, *others]}) == 5
    generator = make(1)
    (held,) = held_by({"f": generator}, {})
    drawn(generator)
    state = held.state()
    expected = drawn(generator)
    seed_held([held], 5)
    held.restore(state)
    assert drawn(generator) == expected


def test_a_base_that_is_known_counts_and_not_the_state() -> None:
    (here,) = held_by({"f": [random.Random(1)]}, {})
    (there,) = held_by({"f": [random.Random(2)]}, {here.path: here.base})
    seed_held([here, there], 1)
    assert here.generator.random() == there.generator.random()
