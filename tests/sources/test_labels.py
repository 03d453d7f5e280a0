"""Labels: whose label is whose, in whatever form they are given."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from given import refusal, touch

from fastfeed.errors import ConfigError
from fastfeed.sources.choose import as_source, files

if TYPE_CHECKING:
    from collections.abc import Sequence


PATHS = ["in/b/1.jpg", "in/a/2.png", "in/a/3.jpg"]


def labelled(labels: Any, paths: Sequence[str] = PATHS) -> Any:
    made = files(list(paths), labels=labels).labels
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([3, 1, 2], "int64"),
        (range(3), "int64"),
        (array("f", [1, 2, 3]), "float32"),
        ([True, False, True], "bool"),
        ([1, 2.5, True], "float64"),
        ([np.float32(1), np.float32(2), np.float32(3)], "float32"),
        (np.array([1, 2, 3], np.uint8), "uint8"),
        (np.arange(12.0).reshape(3, 2, 2), "float64"),
        (np.array([1, 2, 3], ">i4"), "int32"),
        ([2**63] * 3, "uint64"),
        ([1j, 2, 3], "complex128"),
    ],
)
def test_numbers_become_an_array(labels: Any, dtype: str) -> None:
    batch = labelled(labels).gather(np.array([2, 0, 2]))
    assert batch.dtype == dtype
    assert batch.dtype.isnative
    assert batch.tolist() == [np.asarray(labels)[k].tolist() for k in (2, 0, 2)]


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "dog", "cat"],
        np.array(["cat", "dog", "cat"]),
        np.array(["cat", 1, None], object),
        [None, 1, 2],
        [(1, 2), (3, 4), (5, 6)],
        [[1], [1, 2], []],
        [{"x": 1}, {"x": 2}, {"x": 3}],
        [2**64, 1, 2],
        [2**63, -1, 0],
        [np.zeros(2), np.zeros(3), np.zeros(2)],
        [np.datetime64("2020-01-01")] * 3,
        np.array(["2020-01-01"] * 3, "M8[D]"),
    ],
)
def test_other_objects_stay_a_list(labels: Any) -> None:
    batch = labelled(labels).gather(np.array([1, 2]))
    assert type(batch) is list
    assert all(have is want or have == want for have, want in zip(batch, list(labels)[1:], strict=True))


def test_arrays_of_one_shape_are_stacked() -> None:
    masks = [np.full((2, 3), k, np.int16) for k in range(3)]
    batch = labelled(masks).gather([2, 0])
    assert batch.shape == (2, 2, 3)
    assert batch.dtype == np.int16
    assert batch[:, 0, 0].tolist() == [2, 0]
    assert labelled([np.zeros(2, np.int8), np.zeros(2, np.float32), np.zeros(2)]).gather([0]).dtype == np.float64


def test_a_dict_of_aligned_sequences_gives_a_dict_of_columns() -> None:
    labels = labelled({"name": ["x", "y", "z"], "age": [1, 2, 3]})
    batch = labels.gather([1, 2])
    assert batch.keys() == {"name", "age"}
    assert batch["name"] == ["y", "z"]
    assert batch["age"].tolist() == [2, 3]
    assert labels[0] == {"name": "x", "age": 1}


@pytest.mark.parametrize("indices", [[2, 1], array("q", [2, 1]), memoryview(array("q", [2, 1])), np.array([2, 1])])
def test_indices_may_come_in_any_buffer(indices: Any) -> None:
    assert labelled([5, 6, 7]).gather(indices).tolist() == [7, 6]
    assert labelled(["5", "6", "7"]).gather(indices) == ["7", "6"]


@pytest.mark.parametrize("label", [1, [1.5, 2.5], np.ones((3, 5), np.uint8)], ids=["number", "list", "array"])
def test_the_arrays_of_a_batch_are_aligned(label: Any) -> None:
    labels = labelled([label] * 3)
    batches = [labels.gather([2] * rows) for rows in range(1, 9)]
    assert [batch.ctypes.data % 64 for batch in batches] == [0] * 8
    assert [batch.tolist() for batch in batches] == [[np.asarray(label).tolist()] * rows for rows in range(1, 9)]


def test_a_batch_of_labels_is_always_new_and_writable() -> None:
    given = np.array([1, 2, 3])
    given.flags.writeable = False
    labels = labelled(given)
    batch = labels.gather([0, 1, 2])
    batch[:] = 9
    assert labels.gather([0, 1, 2]).tolist() == [1, 2, 3]
    stacked = labelled([given, given, given])
    stacked.gather([0])[:] = 9
    assert stacked.gather([0]).tolist() == [[1, 2, 3]]


def test_labels_can_be_read_one_by_one() -> None:
    labels = labelled(["x", "y", "z"])
    assert len(labels) == 3
    assert labels[1] == "y"
    assert labels[-1] == "z"
    assert list(labels) == ["x", "y", "z"]
    assert repr(labels) == "Labels(3)"
    assert labels.missing == frozenset()
    with pytest.raises(IndexError):
        labels[3]


@pytest.mark.parametrize(
    "keys",
    [
        ["in/b/1.jpg", "in/a/2.png", "in/a/3.jpg"],
        [Path("in/b/1.jpg"), Path("in/a/2.png"), Path("in/a/3.jpg")],
        ["1.jpg", "2.png", "3.jpg"],
        ["1", "2", "3"],
        ["in/b/1.jpg", "2", "3.jpg"],
    ],
)
def test_a_mapping_is_looked_up_by_path_name_and_stem(keys: list[Any]) -> None:
    labels = dict(zip(keys, [10, 20, 30], strict=True))
    assert labelled({**labels, "unused": 5}).gather([0, 1, 2]).tolist() == [10, 20, 30]


def test_a_mapping_may_hold_paths_below_the_folder_or_the_wildcards(here: Path) -> None:
    touch("p/q/cat/1.jpg", "p/q/dog/1.jpg")
    labels = {"cat/1.jpg": 1, "dog/1.jpg": 2}
    for place in ("p/q", here / "p/q", "p/q/*/*.jpg"):
        found = files(place, labels=labels)
        assert list(found.labels or []) == [1, 2]
        assert found.classes is None


def test_the_closest_key_wins() -> None:
    labels = {"in/b/1.jpg": "path", "1.jpg": "name", "1": "stem", "2": "stem", "2.png": "name", "3": "stem"}
    assert labelled(labels).gather([0, 1, 2]) == ["path", "name", "stem"]


def test_a_name_that_fits_two_files_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        labelled({"1.jpg": 0}, ["a/1.jpg", "b/1.jpg"])
    assert "the key '1.jpg' of labels fits both 'a/1.jpg' and 'b/1.jpg': use paths as keys" in str(caught.value)
    assert labelled({"1.jpg": 0}, ["a/1.jpg", "a/1.jpg"]).gather([0, 1]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "placeholder"),
    [
        ([4, 5], 0),
        (["x", "y"], None),
        ([float("inf"), 2.0], 0.0),
        ([np.ones(2), np.ones(2)], [0, 0]),
        ([True, True], False),
    ],
)
def test_files_without_an_entry_are_missing_and_keep_the_kind_of_the_rest(values: list[Any], placeholder: Any) -> None:
    labels = labelled({"1.jpg": values[0], "3.jpg": values[1]})
    assert labels.missing == {1}
    assert repr(labels) == "Labels(3, 1 missing)"
    kind = type(labelled([values[0], values[0], values[1]]).gather([0]))
    assert type(labels.gather([0, 2])) is kind
    np.testing.assert_array_equal(labels.gather([0, 2]), values)
    if placeholder is None:
        assert labels[1] is None
    else:
        np.testing.assert_array_equal(labels[1], placeholder)


def test_a_callable_is_called_with_each_path_as_given() -> None:
    seen: list[str] = []
    assert labelled(lambda path: seen.append(path) or len(seen)).gather([0, 1, 2]).tolist() == [1, 2, 3]
    assert seen == PATHS
    assert labelled(lambda path: Path(path).parent.name).gather([0, 1, 2]) == ["b", "a", "a"]


class Frame:
    """As much of a pandas Series, or of a DataFrame where rows are lists, as labels are asked for."""

    def __init__(self, index: list[Any], rows: list[Any]) -> None:
        self.index, self.rows = index, rows
        self.ndim = 2 if isinstance(rows[0], list) else 1

    def to_dict(self) -> dict[Any, Any]:
        return dict(zip(self.index, self.rows, strict=True))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, key: Any) -> Any:
        return self.to_dict()[key]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        mixed = any(isinstance(cell, str) for row in self.rows if self.ndim == 2 for cell in row)
        return np.array(self.rows, object if mixed else None)


@pytest.mark.parametrize("rows", [[30, 10, 20], [[3, 0], [1, 0], [2, 1]], [[3, "c"], [1, "a"], [2, "b"]]])
def test_a_series_or_data_frame_goes_by_name_where_it_has_names_and_by_position_otherwise(rows: list[Any]) -> None:
    def gathered(index: list[Any]) -> list[Any]:
        labels = labelled(Frame(index, rows)).gather([0, 1, 2])
        return labels if isinstance(labels, list) else labels.tolist()

    by_name = [rows[1], rows[2], rows[0]]
    assert gathered(["3", "1", "2"]) == gathered([Path("3"), Path("1"), "2"]) == by_name
    assert gathered([0, 1, 2]) == gathered([9, 4, 2]) == rows


def test_a_name_that_an_index_has_twice_or_that_is_a_tuple_is_refused() -> None:
    for rows in ([30, 10, 20], [[3], [1], [2]]):
        with pytest.raises(ConfigError, match=r"the index of labels has '1' more than once.*group the rows"):
            labelled(Frame(["3", "1", "1"], rows))
        with pytest.raises(ConfigError, match=r"labels has the key \('b', '1'\), which is no file name"):
            labelled(Frame([("b", "1"), ("a", "2"), ("a", "3")], rows))


def test_lists_of_numbers_of_one_length_are_rows_of_an_array() -> None:
    rows = [[1, 0, 1], [0, 1, 0], [1, 1, 0]]
    objects = np.empty(3, object)
    objects[:] = rows
    for labels in (rows, dict(zip("123", rows, strict=True)), objects, lambda path: rows[int(Path(path).stem) - 1]):
        gathered = labelled(labels).gather([2, 0])
        assert gathered.dtype == np.int64
        assert gathered.tolist() == [rows[2], rows[0]]
    columns = labelled({"hot": rows, "weights": [[0.5, 1], [1, 2], [2, 3]]}).gather([1])
    assert {name: column.tolist() for name, column in columns.items()} == {"hot": [rows[1]], "weights": [[1, 2]]}


@pytest.mark.parametrize(
    "rows",
    [[[1], [1, 2], [3]], [[], [], []], [["a"], ["b"], ["c"]], [[2**70, 1]] * 3, [(1, 0)] * 3, [[[1]], [[2]], [[3]]]],
)
def test_other_lists_are_kept_as_they_are(rows: list[Any]) -> None:
    assert labelled(rows).gather([0, 2]) == [rows[0], rows[2]]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ("classes", "labels='classes': pass 'auto', None, a mapping"),
        (b"abc", "labels=b'abc': pass 'auto'"),
        (5, "labels=5: pass 'auto'"),
        ((k for k in range(3)), "or a callable; a generator cannot be indexed, list(labels) can"),
        ({1, 2, 3}, "labels={1, 2, 3}: pass 'auto'"),
        ([1, 2], "labels has 2 entries for 3 files: pass one per sample, in the order of the source (that of ff.files"),
        (np.zeros((4, 3)), "labels has 4 entries for 3 files"),
        (np.array(1), "labels has no entries for 3 files"),
        ({}, "labels={}: pass a mapping with an entry per file, or None"),
        ({"x.jpg": 1}, "no key of labels fits a file: a key is 'x.jpg', a file is 'in/b/1.jpg'"),
        ({"x.jpg": [1, 2]}, "no key of labels fits a file"),
        ({"x": [1, 2, 3], "y": [1, 2]}, "labels['y'] has 2 entries for 3 files"),
        ({"x": [1, 2, 3], "y": 1}, "no key of labels fits a file"),
        ({1: "cat"}, "labels has the key 1, which is no file name or path; use strings or Path objects"),
        (lambda path: {}[path], "labels('in/b/1.jpg') raised KeyError: 'in/b/1.jpg'; a callable has to return a label"),
    ],
)
def test_labels_that_cannot_work_are_refused_with_the_remedy(labels: Any, text: str) -> None:
    assert text in refusal(PATHS, labels)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (lambda path: 1, ": pass a list: a callable is called with paths, and these samples have none"),
        ({"a.jpg": 1}, "labels is a mapping (with the key 'a.jpg'), but these samples have no paths to look up"),
        ([1], "labels has 1 entries for 2 samples: pass one per sample, in the order of the source"),
        ({"x": [1]}, "labels['x'] has 1 entries for 2 samples"),
    ],
)
def test_labels_that_need_paths_are_refused_for_encoded_images(labels: Any, text: str) -> None:
    assert text in refusal([b"x", b"y"], labels)


def test_encoded_images_take_columns() -> None:
    made = as_source([b"x", b"y"], {"a": [1, 2], "b": ["x", "y"]})
    assert (made.labels or [])[1] == {"a": 2, "b": "y"}
