"""Snapshots: nothing that is filled again shows in them, and what they are made of stays."""

from __future__ import annotations

import collections
import dataclasses
import threading

import numpy as np
import pytest

from fastfeed.wire.snapshot import snapshot


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    values: list[int]


def test_arrays_and_containers_are_copied_all_the_way_down() -> None:
    array = np.zeros(3)
    value = [array, (1, {"a": array[1:]}), {2}, bytearray(b"x"), Frozen([1]), collections.OrderedDict(k=[array])]
    made = snapshot(value)
    array[:] = 9
    value[2].add(3)
    value[3][:] = b"y"
    value[4].values.append(2)
    value[5]["k"].append(4)
    assert made[0].tolist() == [0, 0, 0]
    assert made[1][1]["a"].tolist() == [0, 0]
    assert made[2:5] == [{2}, bytearray(b"x"), Frozen([1])]
    assert type(made[5]) is collections.OrderedDict
    assert [part.tolist() for part in made[5]["k"]] == [[0, 0, 0]]


def test_references_within_a_value_stay() -> None:
    array = np.zeros(3)
    loop: list[object] = [array, array, (array,)]
    loop.append(loop)
    made = snapshot(loop)
    assert made is not loop
    assert made[0] is made[1] is made[2][0] is not array
    assert made[3] is made


@pytest.mark.parametrize("value", [1, "text", None, (1, "a"), threading.Lock(), Frozen, len], ids=str)
def test_what_cannot_change_or_is_unknown_is_kept(value: object) -> None:
    assert snapshot(value) is value


def test_kinds_and_orders_of_arrays_stay() -> None:
    for array in (np.asfortranarray(np.ones((2, 3))), np.ma.masked_array([1, 2], [0, 1]), np.array([{}, 1], object)):
        made = snapshot(array)
        assert type(made) is type(array)
        assert made.flags.f_contiguous == array.flags.f_contiguous
        assert repr(made) == repr(array)
    assert snapshot([np.ones(2)], lambda array: array * 2)[0].tolist() == [2, 2]
