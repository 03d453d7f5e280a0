"""collate: items into batches, and the words for items that do not go together."""

from __future__ import annotations

import re
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pytest
from exactly import same
from numpy.typing import NDArray

from fastfeed.collate.batch import BatchMemory
from fastfeed.collate.collate import collate
from fastfeed.collate.pad import pad
from fastfeed.collate.structure import blank
from fastfeed.errors import ConfigError

Point = namedtuple("Point", "x y")


@dataclass(frozen=True, slots=True)
class Pair:
    image: Any
    text: Any


@dataclass
class Checked:
    value: Any
    twice: Any = field(init=False)

    def __post_init__(self) -> None:
        self.value = float(self.value)
        self.twice = 2 * self.value


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int64", "bool", "complex64", "datetime64[s]", "O"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_arrays_of_one_shape_are_stacked(dtype: str, shape: tuple[int, ...]) -> None:
    arrays = [np.full(shape, number).astype(dtype) for number in range(3)]
    same(collate(arrays), np.stack(arrays))


def test_arrays_of_any_memory_order_are_stacked_by_value() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    same(collate([array.transpose(2, 0, 1), np.asfortranarray(array.transpose(2, 0, 1))])[1], array.transpose(2, 0, 1))


def test_structured_arrays_are_stacked() -> None:
    kind = np.dtype([("id", "i4"), ("name", "U3")])
    same(collate([np.array([(1, "a")], kind), np.array([(2, "b")], kind)]), np.array([[(1, "a")], [(2, "b")]], kind))


def test_string_arrays_take_the_longest() -> None:
    same(collate([np.array(["a"]), np.array(["long"])]), np.array([["a"], ["long"]]))


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([1, 2, 3], np.array([1, 2, 3], np.int64)),
        ([1.5, 2], np.array([1.5, 2.0])),
        ([True, False], np.array([True, False])),
        ([1j, 2], np.array([1j, 2])),
        ([np.float32(1), np.float32(2)], np.array([1, 2], np.float32)),
        ([np.uint8(1)], np.array([1], np.uint8)),
        ([np.bool_(True)], np.array([True])),
    ],
)
def test_numbers_become_an_array(items: list[Any], expected: NDArray[Any]) -> None:
    same(collate(items), expected)


@pytest.mark.parametrize(
    "items",
    [
        ["a", "b"],
        [b"a", b"bc"],
        [None, None],
        ["a", None, b"c"],
        [[1, 2], [3]],
        [{1}, {2}],
        [Decimal(1), Decimal(2)],
        [2**70, 1],
        [2**63, -1],
        [np.str_("a"), np.str_("b")],
        [int, str],
        [Pair, Point],
    ],
)
def test_what_is_no_number_stays_in_a_list(items: list[Any]) -> None:
    batch = collate(items)
    assert type(batch) is list
    assert batch == items
    assert batch is not items


def test_masked_arrays_keep_their_masks() -> None:
    masked = np.ma.masked_array([1, 2], [True, False])
    batch = collate([masked, masked])
    assert [item.mask.tolist() for item in batch] == [[True, False]] * 2


def test_structures_are_collated_member_by_member() -> None:
    items = [
        (np.full(2, k, np.float32), {"label": k, "name": f"n{k}", "at": Point(k, [k])}, Pair(k / 2, None))
        for k in range(3)
    ]
    images, rest, pair = collate(items)
    same(images, np.array([[0, 0], [1, 1], [2, 2]], np.float32))
    assert list(rest) == ["label", "name", "at"]
    same(rest["label"], np.arange(3))
    assert rest["name"] == ["n0", "n1", "n2"]
    assert type(rest["at"]) is Point
    same(rest["at"].x, np.arange(3))
    assert rest["at"].y == [[0], [1], [2]]
    assert type(pair) is Pair
    same(pair.image, np.array([0.0, 0.5, 1.0]))
    assert pair.text == [None] * 3


def test_a_tuple_stays_a_tuple_and_an_empty_one_empty() -> None:
    assert type(collate([(1, "a"), (2, "b")])) is tuple
    assert collate([(), ()]) == ()
    assert collate([{}, {}]) == {}


def test_a_dataclass_is_not_constructed_again() -> None:
    batch = collate([Checked(1), Checked(2)])
    same(batch.value, np.array([1.0, 2.0]))
    same(batch.twice, np.array([2.0, 4.0]))


def test_dicts_may_have_their_keys_in_any_order() -> None:
    batch = collate([{"a": 1, "b": 2}, OrderedDict(b=4, a=3)])
    assert list(batch) == ["a", "b"]
    same(batch["a"], np.array([1, 3]))
    same(batch["b"], np.array([2, 4]))


def test_a_batch_of_one_item() -> None:
    same(collate([np.zeros((2, 2))]), np.zeros((1, 2, 2)))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 4))], r"item 2 has shape \(2, 4\), item 0 has \(2, 3\)"),
        ([np.zeros(2), np.zeros(2, np.float32)], r"item 1 has dtype float32, item 0 has float64"),
        ([np.zeros(2), 5], r"item 1 is a number \(5\), item 0 is an array of shape \(2,\)"),
        ([1, None], r"item 1 is None, item 0 is a number \(1\)"),
        ([1, "x"], r"item 1 is of type str, item 0 is a number \(1\)"),
        ([(1, 2), (1, 2, 3)], r"item 1 has 3 members, item 0 has 2"),
        ([(1, 2), 3], r"item 1 is a number \(3\), item 0 is of type tuple"),
        ([3, (1, 2)], r"item 1 is a tuple, item 0 is a int"),
        ([Point(1, 2), (1, 2)], r"item 1 is of type tuple, item 0 is of type Point"),
        ([(1, 2), Point(1, 2)], r"item 1 is of type Point, item 0 is of type tuple"),
        ([{"a": 1}, {"a": 1, "b": 2}], r"item 1 has the keys a, b, item 0 has a"),
        ([{"a": 1}, [1]], r"item 1 is of type list, item 0 is of type dict"),
        ([Pair(1, 2), Checked(1)], r"item 1 is of type Checked, item 0 is of type Pair"),
        ([{"x": (1, np.zeros(2))}, {"x": (1, np.zeros(3))}], r"item 1 at \['x'\]\[1\] has shape \(3,\)"),
        ([Pair(Point(1, 2), 0), Pair(Point(1, None), 0)], r"item 1 at \.image\.y is None"),
    ],
)
def test_items_that_differ_are_named_with_the_remedy(items: list[Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        collate(items)
    assert "ff.pad(...)" in str(caught.value)
    assert "collate=" in str(caught.value)


def test_no_items_make_no_batch() -> None:
    with pytest.raises(ConfigError, match="no items"):
        collate([])
    with pytest.raises(ConfigError, match="no items"):
        pad()([])


def test_arrays_can_be_stacked_where_the_caller_wants_them() -> None:
    given: list[NDArray[Any]] = []

    def allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        given.append(np.zeros(shape, dtype))
        return given[-1]

    images, numbers = collate([(np.full((2, 2), k, np.uint8), k) for k in range(3)], rows=BatchMemory(3, allocate))
    assert images is given[0]
    same(images[:, 0, 0], np.arange(3, dtype=np.uint8))
    same(numbers, np.arange(3))
    rows = pad(4, dtype="int16")([[1], [2, 3]], rows=BatchMemory(2, allocate))
    assert rows is given[1]


Named = namedtuple("Named", "image rest")


@dataclass(frozen=True)
class Sample:
    image: NDArray[Any]
    number: int


def image(number: int, *, dtype: str = "float32") -> NDArray[Any]:
    return (np.arange(30 * 40).reshape(30, 40) * (number + 1)).astype(dtype)


STRUCTURES: dict[str, Callable[[int], Any]] = {
    "array": image,
    "tuple": lambda k: (image(k), k, f"name {k}"),
    "named tuple": lambda k: Named(image(k), (image(k + 1, dtype="uint8"), None)),
    "dict": lambda k: {"a": image(k), "b": {"c": image(k)[0]}},
    "dataclass": lambda k: Sample(image(k), k),
    "twice the same": lambda k: (image(k),) * 2,
    "transposed": lambda k: image(k).T,
    "gaps": lambda k: image(k)[:, ::2],
    "dates": lambda k: image(k).astype("datetime64[s]"),
    "records": lambda k: np.array([(k, 2.5)] * 200, "u1,f8"),
    "objects": lambda k: np.array([k, "text"] * 200, object),
    "strings": lambda k: np.array(["x" * (k + 1)] * 500),
    "masked": lambda k: np.ma.masked_array(image(k), image(k) > 5),
    "large and small": lambda k: (image(k), image(k)[:2, :2]),
}


def flat(batch: Any) -> list[Any]:
    if isinstance(batch, np.ma.MaskedArray):
        return [batch.tolist()]
    if isinstance(batch, np.ndarray):
        return [batch.dtype.str, batch.shape, batch.flags.c_contiguous, batch.tolist()]
    if is_dataclass(batch):
        batch = [type(batch).__name__, *vars(batch).values()]
    if isinstance(batch, dict):
        batch = ["dict", *batch.items()]
    if isinstance(batch, list | tuple):
        return [type(batch).__name__, *(part for member in batch for part in flat(member))]
    return [batch]


@pytest.mark.parametrize("function", [collate, pad(50)], ids=["collate", "pad"])
@pytest.mark.parametrize("kind", STRUCTURES)
def test_items_put_into_rows_one_by_one_make_the_same_batch(kind: str, function: Callable[..., Any]) -> None:
    items = [STRUCTURES[kind](k) for k in range(5)]

    def from_rows() -> Any:
        rows = BatchMemory(8, ndim=0 if function is collate else 2)
        return function([rows.put(item, number) for number, item in enumerate(items)], rows=rows)

    try:
        expected = flat(function(items))
    except ConfigError as error:
        with pytest.raises(ConfigError, match=re.escape(str(error))):
            from_rows()
    else:
        assert flat(from_rows()) == expected


def test_a_row_holds_what_was_put_there_and_other_shapes_are_refused_as_ever() -> None:
    rows = BatchMemory(3)
    buffer = image(0)
    put = []
    for number in range(3):
        buffer[:] = number
        put.append(rows.put(buffer, number))
    batch = collate(put, rows=rows)
    assert np.shares_memory(batch, put[2])
    assert batch[:, 0, 0].tolist() == [0, 1, 2]
    rows = BatchMemory(3)
    for odd in (image(1)[:20], image(1, dtype="float64")):
        with pytest.raises(ConfigError, match=r"item 1 has (shape|dtype)"):
            collate([rows.put(image(0), 0), rows.put(odd, 1)], rows=rows)
    swapped = [rows.put(image(k), k) for k in range(2)][::-1]
    assert collate(swapped, rows=rows)[:, 0, 1].tolist() == [2, 1]


def test_an_array_without_dimensions_has_its_row_too() -> None:
    kind = np.dtype([("image", "f4", (32, 32)), ("label", "i8")])
    rows = BatchMemory(2)
    values = np.zeros(2, kind)
    values["label"] = 3, 4
    batch = collate([rows.put(np.array(value), number) for number, value in enumerate(values)], rows=rows)
    assert batch.dtype == kind
    assert batch["label"].tolist() == [3, 4]


def test_a_dataclass_that_is_a_dict_is_collated_as_a_dict() -> None:
    @dataclass
    class Output(OrderedDict):
        logits: Any = None

        def __post_init__(self) -> None:
            self["logits"] = self.logits

    rows = BatchMemory(2)
    batch = collate([rows.put(Output(np.full(300, k)), k) for k in range(2)], rows=rows)
    assert {key: value[:, 0].tolist() for key, value in batch.items()} == {"logits": [0, 1]}
    assert type(batch) is Output
    assert batch.logits is batch["logits"]


class Frozen(NamedTuple):
    image: Any
    rest: Any


@dataclass(frozen=True)
class Missing:
    value: Any
    never: Any = field(init=False)


def put_and_collated(items: list[Any]) -> list[Any]:
    """The batch of items as they are, and of items that were put into rows before."""
    rows = BatchMemory(len(items))
    return [collate(items), collate([rows.put(item, number) for number, item in enumerate(items)], rows=rows)]


def test_a_nested_mix_keeps_its_kinds() -> None:
    for batch in put_and_collated([Frozen({"a": (Pair(k, [k]), np.full(300, k))}, ()) for k in range(3)]):
        assert type(batch) is Frozen
        assert type(batch.rest) is tuple
        pair, images = batch.image["a"]
        assert type(pair) is Pair
        same(pair.image, np.arange(3))
        assert pair.text == [[0], [1], [2]]
        same(images[:, 0], np.arange(3))


class Keyed(dict):
    pass


class Couple(tuple):
    pass


def test_a_batch_is_of_the_class_that_its_items_are_of() -> None:
    for batch in put_and_collated([OrderedDict(a=k, b=Keyed(c=Couple((k, "x")))) for k in range(2)]):
        assert (type(batch), type(batch["b"]), type(batch["b"]["c"])) == (OrderedDict, Keyed, Couple)
        same(batch["a"], np.arange(2))
        same(batch["b"]["c"][0], np.arange(2))
    for batch in put_and_collated([defaultdict(list, a=k) for k in range(2)]):
        assert (type(batch), batch.default_factory) == (defaultdict, list)


def test_fields_that_no_item_has_set_are_left_out() -> None:
    for batch in put_and_collated([Missing(1), Missing(2)]):
        assert type(batch) is Missing
        same(batch.value, np.array([1, 2]))
        assert not hasattr(batch, "never")
    assert vars(blank(Missing(1.5), sequences=False)) == {"value": 0.0}
    full = Missing(2)
    object.__setattr__(full, "never", 3)
    with pytest.raises(
        ConfigError, match=r"item 1 has the fields never, value, item 0 has value: make the items alike"
    ):
        collate([Missing(1), full])


def test_a_blank_has_the_structure_and_says_nothing() -> None:
    item = {"a": Frozen(np.ones(2), (3, "x")), "b": Pair(2.5, [1]), "c": None}
    made = blank(item, sequences=False)
    same(made["a"].image, np.zeros(2))
    assert made["a"].rest == (0, None)
    assert made["b"] == Pair(0.0, None)
    assert made["c"] is None
    assert blank({"a": [1, 2], "b": np.ones(3)}, sequences=True)["a"] == []
    assert len(blank({"a": [1, 2], "b": np.ones(3)}, sequences=True)["b"]) == 0
