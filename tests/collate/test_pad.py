"""pad: ragged sequences into arrays of equal rows."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from exactly import same

from fastfeed.collate.pad import Pad, pad
from fastfeed.errors import ConfigError

RAGGED = [[1, 2, 3], [4], [], [5, 6]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 2, 3], [4, 0, 0], [0, 0, 0], [5, 6, 0]]),
        ({"side": "left"}, [[1, 2, 3], [0, 0, 4], [0, 0, 0], [0, 5, 6]]),
        ({"value": -1}, [[1, 2, 3], [4, -1, -1], [-1, -1, -1], [5, 6, -1]]),
        ({"maxlen": 5}, [[1, 2, 3, 0, 0], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0], [5, 6, 0, 0, 0]]),
        ({"maxlen": 2}, [[1, 2], [4, 0], [0, 0], [5, 6]]),
        ({"maxlen": 2, "truncate": "left"}, [[2, 3], [4, 0], [0, 0], [5, 6]]),
        ({"maxlen": 2, "side": "left"}, [[1, 2], [0, 4], [0, 0], [5, 6]]),
        ({"maxlen": 2, "side": "left", "truncate": "left"}, [[2, 3], [0, 4], [0, 0], [5, 6]]),
    ],
)
def test_sequences_are_padded_and_truncated(options: dict[str, Any], expected: list[list[int]]) -> None:
    same(pad(**options)(RAGGED), np.array(expected, np.int64))
    same(pad(**options)([np.array(row, np.int64) for row in RAGGED]), np.array(expected, np.int64))
    same(pad(**options, dtype="int32")(RAGGED), np.array(expected, np.int32))


@pytest.mark.parametrize(
    ("items", "value", "dtype"),
    [
        ([np.array([1], np.uint8), np.array([1, 2], np.uint8)], 0, np.uint8),
        ([np.array([1], np.uint8), np.array([1, 2], np.int32)], 0, np.int32),
        ([np.array([1], np.float32)], 0, np.float32),
        ([np.array([1], np.float32)], 0.5, np.float32),
        ([np.array([1], np.float32), []], -1, np.float32),
        ([[1], [2]], 0.5, np.float64),
        ([[1], [2.5]], 0, np.float64),
        ([[True], []], False, np.bool_),
        ([[True], []], 0, np.int64),
        ([[], []], 0, np.int64),
        ([np.array([], np.float32), []], 0, np.float32),
        ([range(3), [7]], 0, np.int64),
    ],
)
def test_the_dtype_is_the_one_that_holds_sequences_and_value(items: list[Any], value: Any, dtype: type) -> None:
    assert pad(3, value=value)(items).dtype == dtype


def test_strings_are_padded_with_strings() -> None:
    same(pad(value="")([["a", "bcd"], ["e"]]), np.array([["a", "bcd"], ["e", ""]]))
    same(pad(value="<pad>")([["a", "b"], ["e"]]), np.array([["a", "b"], ["e", "<pad>"]]))
    with pytest.raises(ConfigError, match="value=0 does not go with"):
        pad()([["a"], ["b", "c"]])
    with pytest.raises(ConfigError, match="value='' does not go with"):
        pad(value="")([[1], [2, 3]])


def test_members_that_are_sequences_are_padded_and_the_others_collated() -> None:
    items = [
        {"ids": [1, 2], "image": np.zeros((2, 2)), "label": 1, "name": "a", "pair": ([1.5], np.arange(1))},
        {"ids": [3], "image": np.ones((2, 2)), "label": 0, "name": "b", "pair": ([2.5, 3.5], np.arange(3))},
    ]
    batch = pad(3)(items)
    same(batch["ids"], np.array([[1, 2, 0], [3, 0, 0]]))
    same(batch["image"], np.stack([np.zeros((2, 2)), np.ones((2, 2))]))
    same(batch["label"], np.array([1, 0]))
    assert batch["name"] == ["a", "b"]
    same(batch["pair"][0], np.array([[1.5, 0, 0], [2.5, 3.5, 0]]))
    same(batch["pair"][1], np.array([[0, 0, 0], [0, 1, 2]]))


@pytest.mark.parametrize(
    ("make", "items", "words"),
    [
        (pad(), [([1], 2), ([1], None)], r"item 1 at \[1\] is None"),
        (pad(), [[[1, 2], [3]]], r"item 0 is no flat sequence"),
        (pad(), [[1], [[1, 2], [3, 4]]], r"item 1 is no flat sequence"),
        (pad(), [[1], [object()]], r"item 1 is no flat sequence"),
        (pad(), [[1, None]], r"item 0 is no flat sequence"),
        (pad(), [[1], 5], r"item 1 is a number"),
        (pad(dtype="uint8"), [[1], [255, 256]], r"item 1 holds int64 values that uint8 cannot"),
        (pad(dtype="uint8"), [[1], np.array([-1], np.int32)], r"item 1 holds int32 values that uint8 cannot"),
        (pad(dtype="int32"), [[1], [0.5]], r"item 1 holds float64 values that int32 cannot"),
        (pad(value=-1), [np.array([1], np.uint8)], r"value=-1 holds int64 values that uint8 cannot"),
        (pad(dtype="U2", value=""), [["abc"]], r"item 0 holds <U3 values that <U2 cannot"),
    ],
)
def test_what_cannot_be_padded_is_named(make: Pad, items: list[Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(items)


def test_whole_numbers_may_be_narrowed_where_they_fit() -> None:
    same(pad(2, dtype="uint8")([[255], np.array([1, 2])]), np.array([[255, 0], [1, 2]], np.uint8))
    same(pad(2, dtype="float32")([[1], [0.5]]), np.array([[1, 0], [0.5, 0]], np.float32))


def test_the_items_are_not_changed() -> None:
    item = np.array([1, 2, 3])
    batch = pad(2)([item])
    batch[:] = 9
    same(item, np.array([1, 2, 3]))


def test_pad_is_a_value() -> None:
    made = pad(20, value=1, side="left", truncate="left", dtype="int32")
    assert pickle.loads(pickle.dumps(made)) == made == pad(20, value=1, side="left", truncate="left", dtype=np.int32)
    assert hash(made) == hash(pad(20, value=1, side="left", truncate="left", dtype=np.int32))
    with pytest.raises(FrozenInstanceError):
        made.maxlen = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"maxlen": 0}, "maxlen=0"),
        ({"maxlen": 2.0}, "maxlen=2.0"),
        ({"maxlen": True}, "maxlen=True"),
        ({"side": "post"}, "side='post': pass one of 'left', 'right'"),
        ({"truncate": None}, "truncate=None: pass one of"),
        ({"value": None}, "value=None"),
        ({"value": [0]}, r"value=\[0\]"),
        ({"dtype": "int33"}, "dtype='int33'"),
        ({"dtype": object}, "dtype=<class 'object'>: pass a dtype of numbers or strings"),
        ({"dtype": "uint8", "value": -1}, "value=-1 holds int64 values that uint8 cannot"),
        ({"dtype": "int32", "value": 0.5}, "value=0.5 holds float64 values that int32 cannot"),
        ({"dtype": "U3"}, "value=0 holds int64 values"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        pad(**options)
