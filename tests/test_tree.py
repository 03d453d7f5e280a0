"""The walk over nested values: what is a node, what it is called, and what is made of it."""

from __future__ import annotations

import copy
import time
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from fastfeed import tree

Point = namedtuple("Point", "x y")


class Pair(tuple):
    pass


class Keyed(dict):
    pass


class Row(list):
    pass


@dataclass(frozen=True, slots=True)
class Frozen:
    kind: ClassVar[str] = "frozen"
    image: Any
    never: Any = field(init=False)


@dataclass
class Strict:
    value: float

    def __new__(cls, value: float) -> Strict:
        return super().__new__(cls)

    def __post_init__(self) -> None:
        self.value = float(self.value)


@dataclass
class Trouble(Exception):
    reason: Any


@dataclass
class Output(OrderedDict):
    """Its fields are its items, as in the outputs of Hugging Face's models."""

    logits: Any = None
    loss: Any = None

    def __post_init__(self) -> None:
        self.update({name: value for name, value in vars(self).items() if value is not None})


def doubled(value: Any) -> Any:
    return tree.mapped(value, lambda leaf: 2 * leaf)


@pytest.mark.parametrize("leaf", [1, "text", b"x", None, [1], {1}, range(3), Frozen, Point, object], ids=str)
def test_what_has_no_members_is_a_leaf(leaf: object) -> None:
    assert tree.is_leaf(leaf)
    assert list(tree.leaves(leaf)) == [leaf]
    assert list(tree.paths(leaf)) == [("", leaf)]
    assert tree.mapped(leaf, lambda same: (same,)) == (leaf,)


@pytest.mark.parametrize(
    ("node", "keys", "members"),
    [
        ((), [], []),
        ((1, 2), [0, 1], [1, 2]),
        (Point(1, 2), ["x", "y"], [1, 2]),
        (Pair([1, 2]), [0, 1], [1, 2]),
        ({"a": 1, 5: 2}, ["a", 5], [1, 2]),
        (OrderedDict(b=1, a=2), ["b", "a"], [1, 2]),
        (Frozen(3), ["image"], [3]),
        (Output(logits=1), ["logits"], [1]),
        (Trouble(7), ["reason"], [7]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_node_has_keys_and_members(node: Any, keys: list[Any], members: list[Any]) -> None:
    assert not tree.is_leaf(node)
    assert list(tree.keys(node)) == keys
    assert list(tree.members(node)) == members
    assert list(tree.items(node)) == list(zip(keys, members, strict=True))
    made = doubled(node)
    assert type(made) is type(node)
    assert list(tree.members(made)) == [2 * member for member in members]
    assert list(tree.members(node)) == members
    assert [list(column) for column in tree.columns([node, made])] == [[m, 2 * m] for m in members]


def test_paths_are_as_one_would_write_them() -> None:
    value = {"a": (Point(1, [2]), Frozen({"b": 3})), 0: ()}
    paths = dict(tree.paths(value))
    assert paths == {"['a'][0].x": 1, "['a'][0].y": [2], "['a'][1].image['b']": 3}
    assert {path: eval(f"value{path}", {"value": value}) for path in paths} == paths
    assert list(tree.leaves(value)) == list(paths.values())


def test_lists_are_walked_where_a_caller_asks() -> None:
    value = [1, Row([2, (3,)])]
    assert list(tree.leaves(value)) == [value]
    assert list(tree.leaves(value, lists=True)) == [1, 2, 3]
    assert list(tree.paths(value, lists=True)) == [("[0]", 1), ("[1][0]", 2), ("[1][1][0]", 3)]
    made = tree.mapped(value, str, lists=True)
    assert made == ["1", ["2", ("3",)]]
    assert type(made[1]) is Row
    assert value == [1, [2, (3,)]]


def test_leaves_are_mapped_by_the_keys_down_to_them() -> None:
    value = {"a": (1, Point(2, 3)), "b": Frozen(4)}
    made = tree.mapped_by_path(value, lambda path, leaf: (leaf, *path))
    assert made == {"a": ((1, "a", 0), Point((2, "a", 1, "x"), (3, "a", 1, "y"))), "b": made["b"]}
    assert made["b"].image == (4, "b", "image")


def test_dicts_keep_their_class_and_what_else_they_have() -> None:
    keyed = Keyed(a=1)
    keyed.unit = "mm"
    made = doubled(keyed)
    assert (type(made), made, made.unit) == (Keyed, {"a": 2}, "mm")
    made = doubled(defaultdict(list, a=1))
    assert (type(made), made.default_factory, made["a"]) == (defaultdict, list, 2)
    assert doubled(Counter("aab")) == Counter(a=4, b=2)


def test_fields_of_a_dataclass_that_is_a_dict_go_with_its_items() -> None:
    made = doubled(Output(logits=3))
    assert (type(made), dict(made), made.logits, made.loss) == (Output, {"logits": 6}, 6, None)


def test_no_constructor_sees_other_members() -> None:
    made = tree.mapped(Strict(1), lambda leaf: [leaf, leaf])
    assert (type(made), made.value) == (Strict, [1.0, 1.0])


def test_a_field_that_was_never_set_stays_so() -> None:
    made = doubled(Frozen(1))
    assert made.image == 2
    assert not hasattr(made, "never")
    with pytest.raises(AttributeError):
        copy.copy(Frozen(1))
    assert tree.shallow(Frozen(1)).image == 1


def test_a_tuple_with_a_layout_of_its_own_becomes_a_plain_one() -> None:
    now = time.gmtime(0)
    assert doubled(now) == tuple(2 * part for part in now)


def test_a_class_that_refuses_to_be_copied_becomes_a_plain_dict() -> None:
    class Refusing(dict):
        def __reduce_ex__(self, protocol: object) -> Any:
            raise TypeError("no copies")

    made = doubled(Refusing(a=1))
    assert (type(made), made) == (dict, {"a": 2})


class Attributes(dict):
    """Its items are its attributes."""

    def __init__(self, **items: Any) -> None:
        super().__init__(**items)
        self.__dict__ = self


class Locked(dict):
    def __setitem__(self, key: object, value: object) -> None:
        raise TypeError("it cannot be changed")


class Single(dict):
    def __copy__(self) -> Single:
        return self


def test_items_that_are_attributes_as_well_stay_so() -> None:
    given = Attributes(a=1)
    made = doubled(given)
    assert (type(made), made.a, made["a"], given.a) == (Attributes, 2, 2, 1)
    made.b = 3
    assert made["b"] == 3


def test_a_dict_that_cannot_be_changed_becomes_a_plain_one() -> None:
    made = doubled(Locked(a=1))
    assert (type(made), made) == (dict, {"a": 2})


def test_what_is_its_own_copy_is_left_alone() -> None:
    single = Single(a=1)
    made = doubled(single)
    assert (type(made), made, single) == (dict, {"a": 2}, {"a": 1})


def test_a_tuple_keeps_its_attributes() -> None:
    pair = Pair([1, 2])
    pair.unit = "mm"
    assert doubled(pair).unit == "mm"


def test_members_can_be_set_in_whatever_has_them() -> None:
    for node, key in (({"a": 1}, "a"), ([1], 0), (Frozen(1), "image"), (Output(logits=1), "logits")):
        tree.put(node, key, 5)
        assert 5 in tree.members(node)
    assert Output(logits=1).logits == 1
