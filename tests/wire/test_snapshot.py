"""Snapshots: nothing that is filled again shows in them, and what they are made of stays."""

from __future__ import annotations

import collections
import dataclasses
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from fastfeed.wire.snapshot import snapshot


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    values: list[int]


class Pair(tuple):
    pass


class Keyed(dict):
    pass


class Rows(list):
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class Unset:
    kind: ClassVar[str] = "unset"
    values: Any
    never: Any = dataclasses.field(init=False)


Named = collections.namedtuple("Named", "values label")


@dataclasses.dataclass
class Holder:
    values: Any
    missing: Any = dataclasses.field(init=False)


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


@pytest.mark.parametrize(
    "value",
    [1, "text", None, (1, "a"), Path("a"), threading.Lock(), Frozen, len],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_change_or_be_copied_is_kept(value: object) -> None:
    assert snapshot(value) is value


def test_kinds_and_orders_of_arrays_stay() -> None:
    for array in (np.asfortranarray(np.ones((2, 3))), np.ma.masked_array([1, 2], [0, 1]), np.array([{}, 1], object)):
        made = snapshot(array)
        assert type(made) is type(array)
        assert made.flags.f_contiguous == array.flags.f_contiguous
        assert repr(made) == repr(array)
    assert snapshot([np.ones(2)], lambda array: array * 2)[0].tolist() == [2, 2]


def changed(value: Any, array: np.ndarray) -> Any:
    """A snapshot of value, after the array within value has changed."""
    array[:] = 0
    made = snapshot(value)
    array[:] = 9
    return made


def test_the_kind_of_every_container_stays() -> None:
    array = np.zeros(2)
    assert changed(Named(array, "a"), array).values.tolist() == [0, 0]
    assert type(snapshot(Named(array, "a"))) is Named
    made = changed(collections.defaultdict(list, a=array), array)
    assert (type(made), made.default_factory, made["a"].tolist()) == (collections.defaultdict, list, [0, 0])
    made = changed(Holder({"a": (array,)}), array)
    assert type(made) is Holder
    assert made.values["a"][0].tolist() == [0, 0]
    assert not hasattr(made, "missing")


def test_containers_of_other_classes_are_looked_into_and_keep_their_class() -> None:
    array = np.zeros(2)
    for value in (Pair([array]), Rows([array]), Keyed({0: array})):
        made = changed(value, array)
        assert type(made) is type(value)
        assert made[0].tolist() == [0, 0]
    keyed = Keyed()
    keyed.unit = "mm"
    assert snapshot(keyed).unit == "mm"


def test_class_variables_and_fields_never_set_are_no_members() -> None:
    array = np.zeros(2)
    made = changed(Unset(array), array)
    assert type(made) is Unset
    assert made.values.tolist() == [0, 0]
    assert not hasattr(made, "never")


def test_attributes_that_are_no_fields_stay() -> None:
    holder = Holder(np.zeros(2))
    holder.unit = "mm"
    assert snapshot(holder).unit == "mm"


class Sent:
    """What cannot be copied and can be sent."""

    def __init__(self, values: list[int]) -> None:
        self.values = values

    def __deepcopy__(self, memo: dict[int, Any]) -> Sent:
        raise TypeError("no copies")


def test_objects_of_any_class_are_copied_with_all_that_they_hold() -> None:
    array = np.zeros(2)
    holder = Holder([array])
    holder.more = [array]
    made = changed([Sent(array), collections.deque([array]), holder, np.array([array, None], object)], array)
    assert [type(value) for value in made] == [Sent, collections.deque, Holder, np.ndarray]
    parts = [made[0].values, made[1][0], made[2].values[0], made[2].more[0], made[3][0]]
    assert [part.tolist() for part in parts] == [[0, 0]] * 5


def test_arrays_of_any_object_are_copied_where_the_caller_says() -> None:
    sent = Keyed(a=np.zeros(2))
    sent.b = np.zeros(3)
    made = snapshot(sent, lambda array: array + 1)
    assert (made["a"].tolist(), made.b.tolist()) == ([1, 1], [1, 1, 1])


def test_a_loop_through_every_container_is_closed_again() -> None:
    for loop in ([], {}, Holder(None)):
        inner = (np.zeros(2), loop)
        if isinstance(loop, list):
            loop.append(inner)
        elif isinstance(loop, dict):
            loop["a"] = inner
        else:
            loop.values = inner
        made = snapshot(loop)
        again = made[0] if isinstance(made, list) else made["a"] if isinstance(made, dict) else made.values
        assert made is not loop
        assert again[1] is made
        assert again[0] is not inner[0]
