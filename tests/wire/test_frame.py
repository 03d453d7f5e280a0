"""Frames without a process: any value comes back as it was, arrays as views, and what cannot travel is named."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import threading

import numpy as np
import pytest

from fastfeed.wire import frame
from fastfeed.wire.arena import Arena
from fastfeed.wire.obstacle import refusal

Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass
class Record:
    name: str
    values: np.ndarray


class Colour(enum.Enum):
    RED = 1


def base() -> np.ndarray:
    return np.arange(60, dtype=np.int32).reshape(3, 4, 5)


ARRAYS = {
    "C": base(),
    "Fortran": np.asfortranarray(base()),
    "every second": base()[:, ::2],
    "backwards": base()[::-1],
    "transposed": base().transpose(2, 0, 1),
    "broadcast": np.broadcast_to(np.arange(5), (4, 5)),
    "no rows": np.empty((0, 3), np.float32),
    "no dimensions": np.array(3.5),
    "structured": np.array([(1, 2.0, b"x"), (3, 4.0, b"y")], dtype=[("a", "i4"), ("b", "f8"), ("c", "S3")]),
    "record": np.rec.array([(1, "a"), (2, "b")], dtype=[("n", int), ("s", "U3")]),
    "objects": np.array([None, "text", {"a": 1}], dtype=object),
    "dates": np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
    "spans": np.array([5, -5], dtype="timedelta64[ms]"),
    "big-endian": np.arange(5, dtype=">f8"),
    "strings": np.array(["a", "longer", ""]),
    "bytes": np.array([b"a", b"bc"]),
    "booleans": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "half": np.arange(5, dtype=np.float16),
    "not writable": np.frombuffer(b"12345678", np.uint8),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_any_kind_come_back_equal(kind: str) -> None:
    array = ARRAYS[kind]
    back = frame.copied({"at": [array]})["at"][0]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_masked_arrays_keep_their_mask() -> None:
    array = np.ma.masked_array(np.arange(5), mask=[0, 1, 0, 0, 1], fill_value=9)
    back = frame.copied(array)
    np.testing.assert_array_equal(back.mask, array.mask)
    np.testing.assert_array_equal(back.filled(), array.filled())


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**200),
        1.5,
        float("inf"),
        2j,
        "",
        "Grüße \ud800",
        b"",
        b"\0" * 100_000,
        bytearray(b"abc"),
        (),
        [],
        {},
        {1, "two"},
        frozenset({(1, 2)}),
        range(5),
        slice(1, None, 2),
        Ellipsis,
        Pair(1, [2]),
        {"a": {"b": [(1, None)]}},
        collections.OrderedDict(b=1, a=2),
        collections.Counter("aab"),
        Colour.RED,
        datetime.datetime(2020, 2, 29, tzinfo=datetime.UTC),
        decimal.Decimal("0.1"),
        fractions.Fraction(1, 3),
        np.float32(1.5),
        np.int64(7),
        np.dtype("f4"),
        int,
        len,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_any_kind_come_back_equal(value: object) -> None:
    back = frame.copied(value)
    assert back == value
    assert type(back) is type(value)


def test_exceptions_dataclasses_functions_and_local_classes_travel() -> None:
    @dataclasses.dataclass
    class Local:
        number: int

    error = frame.copied(ValueError("text", 3))
    assert (type(error), error.args) == (ValueError, ("text", 3))
    record = frame.copied(Record("n", np.arange(3)))
    assert (record.name, record.values.tolist()) == ("n", [0, 1, 2])
    assert frame.copied(Local(4)) == Local(4)
    offset = 10
    assert frame.copied(lambda number: number + offset)(5) == 15


def test_references_within_a_value_stay() -> None:
    array = np.arange(4)
    loop: list[object] = [array, array]
    loop.append(loop)
    back = frame.copied(loop)
    assert back[0] is back[1]
    assert back[2] is back


def framed(value: object) -> bytearray:
    memory = bytearray()

    def reserve(size: int) -> memoryview:
        memory.extend(bytes(size))
        return memoryview(memory)

    assert frame.write(value, reserve) == len(memory)
    return memory


def test_arrays_are_aligned_writable_views_of_the_frame_and_keep_it_alive() -> None:
    arrays = [
        np.arange(7, dtype=np.uint8),
        np.asfortranarray(np.ones((2, 3))),
        base()[:, ::2],
        base().transpose(1, 2, 0),
    ]
    memory = np.frombuffer(framed(arrays), np.uint8)
    small, large, gaps, turned = frame.read(memoryview(memory))
    assert np.shares_memory(small, memory)
    assert np.shares_memory(large, memory)
    assert np.shares_memory(gaps, memory)
    assert np.shares_memory(turned, memory)
    start = memory.__array_interface__["data"][0]
    assert (small.__array_interface__["data"][0] - start) % 64 == 0
    assert (large.__array_interface__["data"][0] - start) % 64 == 0
    assert large.flags.f_contiguous
    small[0] = 99
    del memory
    assert small.tolist() == [99, 1, 2, 3, 4, 5, 6]


def test_arrays_of_a_frame_that_will_be_overwritten_have_memory_of_their_own() -> None:
    memory = framed([np.arange(5), "text"])
    array, text = frame.read_copied(memoryview(memory))
    memory[:] = bytes(len(memory))
    assert (array.tolist(), text) == ([0, 1, 2, 3, 4], "text")


def test_only_a_frame_with_arrays_refers_to_its_memory() -> None:
    assert frame.has_buffers(memoryview(framed(np.arange(3))))
    assert not frame.has_buffers(memoryview(framed(["text", 1])))


def arena_of(memory: bytearray) -> Arena:
    return Arena(lambda size: memoryview(memory)[:size], frame.HEAD_BYTES)


def test_arrays_made_in_the_arena_stay_where_they_are() -> None:
    memory = bytearray(100_000)
    arena = arena_of(memory)
    one, two = arena.empty((3, 4), np.dtype("int32")), arena.empty((5,), np.dtype("float64"))
    nothing = arena.empty((0, 3), np.dtype("int8"))
    one[:], two[:] = np.arange(12).reshape(3, 4), 2.5
    elsewhere = np.arange(7)
    value = {"one": one, "part": one[1:], "two": [two, elsewhere], "nothing": nothing, "text": "x" * 100}
    used = frame.write(value, lambda size: memoryview(memory)[:size], False, arena)
    back = frame.read(memoryview(memory)[:used])
    assert np.shares_memory(back["one"], one)
    assert np.shares_memory(back["two"][0], two)
    assert np.shares_memory(back["part"], one)
    assert back["one"].tolist() == np.arange(12).reshape(3, 4).tolist()
    assert back["part"].tolist() == back["one"][1:].tolist()
    assert back["two"][0].tolist() == [2.5] * 5
    assert back["two"][1].tolist() == elsewhere.tolist()
    assert back["nothing"].shape == (0, 3)
    assert back["text"] == value["text"]
    arena.clear()
    used = frame.write(one, lambda size: memoryview(memory)[:size], False, arena)  # of the frame before: copied
    assert frame.read(memoryview(memory)[:used]).shape == (3, 4)


def test_what_is_sealed_is_as_it_was_and_can_be_written_to() -> None:
    memory = bytearray(100_000)
    arena = arena_of(memory)
    array = base()
    kept = []
    for number in range(3):
        array[:] = number
        kept.append(frame.sealed((array, array[:, ::2], np.zeros(0), number), arena))
    used = frame.write(kept, lambda size: memoryview(memory)[:size], True, arena)
    whole = np.frombuffer(memory, np.uint8)
    for number, item in enumerate(frame.read(memoryview(memory)[:used])):
        first, gaps, nothing, same_number = frame.opened(item)
        assert (first == number).all()
        assert gaps.shape == (3, 2, 5)
        assert (gaps == number).all()
        assert nothing.size == 0
        assert same_number == number
        assert np.shares_memory(first, whole)
        first[:] = -1


def test_small_is_for_what_needs_no_buffers_and_no_cloudpickle() -> None:
    assert frame.small((1, "a")) is not None
    assert frame.small(np.arange(3)) is None
    assert frame.small(lambda: 1) is None
    assert frame.small(threading.Lock()) is None


@pytest.mark.parametrize(
    ("value", "word"),
    [(threading.Lock(), "lock"), ((n for n in "ab"), "generator"), ([1, {"a": threading.Lock()}], "lock")],
)
def test_what_cannot_be_pickled_is_named_by_its_type(value: object, word: str) -> None:
    with pytest.raises(frame.UnpicklableError, match=f"{type(value).__name__} cannot be sent.*{word}"):
        frame.frame(value)
    assert word in refusal(value)


def test_an_open_file_cannot_travel(tmp_path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(frame.UnpicklableError, match="TextIOWrapper"):
        frame.frame(file)
