"""What is given as a source: paths, encoded images, a source; and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from given import refusal, table, touch

from fastfeed.errors import ConfigError
from fastfeed.sources.choose import as_source, files
from fastfeed.sources.encoded import Bytes


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_sequence_of_paths_keeps_its_order_and_repeats(here: Path, kind: Any) -> None:
    found = files(kind(["b.jpg", "a.jpg", "b.jpg"]))
    assert found.paths == ["b.jpg", "a.jpg", "b.jpg"]
    assert all(type(path) is str for path in found.paths)
    assert found.labels is None


def test_paths_may_be_of_several_types(here: Path) -> None:
    assert files(["a.jpg", Path("b.jpg")]).paths == ["a.jpg", "b.jpg"]


def test_encoded_images_are_taken_as_they_are() -> None:
    items = [b"abc", bytearray(b"d"), memoryview(b"ef"), np.frombuffer(b"ghi", np.uint8), b""]
    made = as_source(items, ["a", "b", "c", "d", "e"])
    assert isinstance(made, Bytes)
    assert len(made) == 5
    assert made.name(3) == "sample 3"
    assert repr(made) == "Bytes(5 samples)"
    assert list(made.labels or []) == ["a", "b", "c", "d", "e"]
    assert table(made) == (5, 1, [b"abc", b"d", b"ef", b"ghi", b""])


def test_a_source_is_taken_as_it_is_or_with_other_labels(here: Path) -> None:
    touch("p/cat/1.jpg", "p/dog/2.jpg")
    found = files("p")
    assert as_source(found) is found
    assert files(found) is found
    bare = as_source(found, None)
    assert bare.labels is None
    assert bare.classes is None
    named = as_source(found, {"cat/1.jpg": "x", "dog/2.jpg": "y"})
    assert list(named.labels or []) == ["x", "y"]
    assert named.classes is None
    assert found.classes == ["cat", "dog"]


class Table(list[str]):
    """As a data frame: a list of it would be that of its columns' names."""

    @property
    def columns(self) -> list[str]:
        return list(self)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"\xff\xd8", "a single bytes object: pass [data] for one encoded image, or a path as str"),
        (bytearray(b"x"), "a single bytearray object"),
        (memoryview(b"x"), "a single memoryview object"),
        ((path for path in ["a.jpg"]), "a generator, which can be walked once and not indexed: pass list(...) of it"),
        (map(str, [1]), "a map, which can be walked once"),
        ({"a.jpg", "b.jpg"}, "a set, which has no order: pass sorted(...) of it"),
        ({"a.jpg": 1}, "a mapping: pass its keys as the source and itself as labels"),
        (Table(["path", "label"]), "a Table, a table: pass its column of paths as the source, and that of labels"),
        ([], "the source is an empty list; pass a folder, a glob"),
        (np.zeros((0,), "U1"), "the source is an empty ndarray"),
        (None, "the source is a NoneType: pass a folder, a glob, a sequence of paths"),
        (17, "the source is a int: pass a folder"),
        (["a.jpg", b"x"], "sample 0 of the source is a str and sample 1 a bytes: pass either paths or encoded images"),
        ([b"x", "a.jpg"], "sample 0 of the source is a bytes and sample 1 a str"),
        ([b"x", None], "sample 1 of the source is a NoneType: pass a folder"),
        ([1, 2], "sample 0 of the source is a int"),
        (["a.jpg", ""], "sample 1 of the source is '', which is no path"),
        (["a\0.jpg"], "sample 0 of the source is 'a\\x00.jpg', which is no path"),
        (np.zeros((2, 4, 4, 3), np.uint8), "sample 0 of the source is a buffer of shape (4, 4, 3) and format 'B'"),
        ([memoryview(b"abcd")[::2]], "not an encoded image as bytes: for pixels use ff.arrays"),
    ],
)
def test_what_is_no_source_is_refused_with_the_remedy(here: Path, source: Any, text: str) -> None:
    assert text in refusal(source)


def test_paths_as_bytes_are_not_taken_for_images(here: Path) -> None:
    Path("a.jpg").touch()
    assert "sample 0 of the source is b'a.jpg', the path of a file" in refusal([b"a.jpg"])


def test_files_refuses_encoded_images() -> None:
    with pytest.raises(ConfigError, match=r"pass them to ff.images as they are"):
        files([b"x"])
