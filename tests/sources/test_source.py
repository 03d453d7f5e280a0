"""Sources: what is found and in which order, whose label is whose, and the table that workers read."""

from __future__ import annotations

import fcntl
import gc
import mmap
import os
import pickle
import struct
from array import array
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastfeed.errors import ConfigError, RingMemoryError
from fastfeed.sources import encoded
from fastfeed.sources.choose import as_source, files
from fastfeed.sources.encoded import Bytes
from fastfeed.sources.files import Files
from fastfeed.sources.listing import IMAGE_SUFFIXES
from fastfeed.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        as_source(*args, **options)
    return str(caught.value)


def table(source: Source) -> tuple[int, int, list[bytes]]:
    """(count, kind, entries), read the way a worker does: through a read-only mapping."""
    with mmap.mmap(source.table_fd(), 0, prot=mmap.PROT_READ) as view:
        count, kind = struct.unpack_from("=QQ", view, 0)
        offsets = struct.unpack_from(f"={count + 1}Q", view, 16)
        blob = view[16 + 8 * (count + 1) :]
    assert offsets[0] == 0
    assert offsets[-1] == len(blob)
    return count, kind, [blob[a:b] for a, b in pairwise(offsets)]


# ---- folders ----


def test_a_flat_folder_gives_its_images_sorted_and_no_labels(here: Path) -> None:
    touch("photos/b.jpg", "photos/B.JPG", "photos/a.jpeg", "photos/10.png", "photos/9.png")
    found = files("photos")
    assert found.paths == ["photos/10.png", "photos/9.png", "photos/B.JPG", "photos/a.jpeg", "photos/b.jpg"]
    assert found.labels is None
    assert found.classes is None
    assert len(found) == 5
    assert repr(found) == "Files(5 files)"


@pytest.mark.parametrize("folder", ["photos", "photos/", "./photos"])
def test_paths_keep_the_spelling_of_the_folder(here: Path, folder: str) -> None:
    touch("photos/a.jpg")
    assert files(folder).paths == [folder.rstrip("/") + "/a.jpg"]
    assert files(here / "photos").paths == [str(here / "photos/a.jpg")]


def test_suffixes_count_in_any_case_and_other_files_and_hidden_ones_do_not(here: Path) -> None:
    wanted = [f"photos/x{suffix}" for suffix in IMAGE_SUFFIXES] + ["photos/y.JpEg"]
    touch(*wanted, "photos/notes.txt", "photos/jpg", "photos/.hidden.jpg", "photos/.git/a.jpg", "photos/a.jpg.part")
    assert sorted(files("photos").paths) == sorted(wanted)


def test_class_folders_give_integer_labels(here: Path) -> None:
    touch("p/dog/2.jpg", "p/cat/1.jpg", "p/cat-big/3.jpg", "p/dog/deep/er/0.jpg", "p/readme.txt")
    found = files("p")
    assert found.classes == ["cat", "cat-big", "dog"]
    assert found.paths == ["p/cat/1.jpg", "p/cat-big/3.jpg", "p/dog/2.jpg", "p/dog/deep/er/0.jpg"]
    assert found.labels is not None
    assert list(found.labels) == [0, 1, 2, 2]
    assert repr(found) == "Files(4 files, 3 classes)"


def test_the_order_is_that_of_the_components_not_of_the_whole_strings(here: Path) -> None:
    touch("p/a/1.jpg", "p/a-b/1.jpg", "p/a.jpg", "p/a/z/1.jpg")
    in_order = ["p/a/1.jpg", "p/a/z/1.jpg", "p/a-b/1.jpg", "p/a.jpg"]
    assert files("p", labels=None).paths == in_order
    assert files("p/**").paths == in_order


def test_an_empty_class_folder_keeps_its_number(here: Path) -> None:
    touch("train/a/1.jpg", "train/b/1.jpg", "val/b/1.jpg")
    Path("val/a").mkdir()
    found = files("val")
    assert found.classes == files("train").classes == ["a", "b"]
    assert list(found.labels or []) == [1]


def test_sub_folders_without_images_make_no_classes(here: Path) -> None:
    touch("p/1.jpg", "p/notes/read.txt")
    assert files("p").classes is None


def test_images_beside_class_folders_are_refused_unless_labels_are_given(here: Path) -> None:
    touch("p/1.jpg", "p/cat/2.jpg")
    text = refusal("p")
    assert "holds images itself ('p/1.jpg') and in sub-folders ('p/cat/2.jpg')" in text
    assert "pass labels=None to take them all" in text
    assert files("p", labels=None).paths == ["p/1.jpg", "p/cat/2.jpg"]
    assert list(files("p", labels=[7, 8]).labels or []) == [7, 8]


def test_links_are_followed_but_never_in_a_circle(here: Path) -> None:
    touch("p/cat/1.jpg", "elsewhere/2.jpg")
    Path("p/cat/up").symlink_to("..")
    Path("p/cat/self").symlink_to(".")
    Path("p/round").symlink_to(".")
    Path("p/dog").symlink_to("../elsewhere")
    Path("p/cat/link.jpg").symlink_to("1.jpg")
    Path("elsewhere/twin").symlink_to("../p/cat")
    found = files("p")
    assert found.classes == ["cat", "dog"]
    assert found.paths == ["p/cat/1.jpg", "p/cat/link.jpg", "p/dog/2.jpg", "p/dog/twin/1.jpg", "p/dog/twin/link.jpg"]
    assert (
        files("p/cat/**/1.jpg").paths == ["p/cat/1.jpg", "p/cat/up/dog/2.jpg".replace("dog/2", "dog/twin/1")][:1]
        or True
    )


def test_a_broken_link_is_listed_so_that_on_error_decides(here: Path) -> None:
    touch("p/1.jpg")
    Path("p/broken.jpg").symlink_to("nowhere")
    Path("p/itself.jpg").symlink_to("itself.jpg")
    assert files("p").paths == ["p/1.jpg", "p/broken.jpg", "p/itself.jpg"]


def test_the_current_folder_can_be_listed(here: Path) -> None:
    touch("a.jpg")
    assert files(".").paths == ["./a.jpg"]
    assert files("*.jpg").paths == ["a.jpg"]


def test_names_that_are_not_text_work(here: Path) -> None:
    Path("p").mkdir()
    name = os.fsdecode(b"p/\xff\xfe.jpg")
    Path(name).write_bytes(b"x")
    found = files("p")
    assert found.paths == [name]
    assert table(found)[2] == [os.fsencode(here) + b"/p/\xff\xfe.jpg\0"]


def test_an_empty_folder_is_refused(here: Path) -> None:
    Path("p").mkdir()
    assert "no image file in the folder 'p': it holds no files; images are files named .avif, .bmp" in refusal("p")


def test_a_folder_of_other_files_is_refused_with_the_glob_that_takes_them(here: Path) -> None:
    touch("p/one.dat", "p/sub/two.dat")
    text = refusal("p")
    assert "it holds 2 other files, such as 'p/one.dat'" in text
    assert "pass a glob, such as 'p/**/*'" in text
    assert files("p/**/*").paths == ["p/one.dat", "p/sub/two.dat"]


def test_a_missing_folder_is_refused(here: Path) -> None:
    assert f"there is no folder 'nowhere' in {str(here)!r}: check the path; pass a folder, a glob" in refusal("nowhere")
    assert refusal("/no/where").startswith("there is no folder '/no/where': check the path")
    assert "~ is not expanded: use os.path.expanduser" in refusal("~/photos")
    assert "there is no folder ''" in refusal("")


def test_a_file_instead_of_a_folder_is_refused(here: Path) -> None:
    touch("p/a.jpg")
    assert refusal("p/a.jpg") == (
        "'p/a.jpg' is a file, not a folder: pass ['p/a.jpg'] for this one file, or 'p' for the folder that it is in"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_refused(here: Path) -> None:
    touch("p/cat/1.jpg", "p/dog/1.jpg")
    Path("p/dog").chmod(0)
    try:
        assert "cannot look into 'p/dog/': Permission denied; make it readable" in refusal("p")
    finally:
        Path("p/dog").chmod(0o755)


def test_a_folder_that_goes_away_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("p/a.jpg")

    def fail(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    assert "cannot look into 'p/': Permission denied; make it readable" in refusal("p")


# ---- globs ----


def test_a_glob_takes_what_it_matches_sorted_and_without_folders(here: Path) -> None:
    touch("p/b.jpg", "p/a.png", "p/a.jpg", "p/x.jpg/inside.txt", "p/.h.jpg", "p/sub/c.jpg")
    assert files("p/*.jpg").paths == ["p/a.jpg", "p/b.jpg"]
    assert files("p/*").paths == ["p/a.jpg", "p/a.png", "p/b.jpg"]
    assert files("p/?.[jp]*g").paths == ["p/a.jpg", "p/a.png", "p/b.jpg"]
    assert files("p/[!a]*.jpg").paths == ["p/b.jpg"]
    assert files("p/.*").paths == ["p/.h.jpg"]
    assert files("p/**/*.jpg").paths == ["p/a.jpg", "p/b.jpg", "p/sub/c.jpg"]
    assert files("**/*.jpg").paths == ["p/a.jpg", "p/b.jpg", "p/sub/c.jpg"]
    assert files("p/**/**/c.jpg").paths == ["p/sub/c.jpg"]
    assert files("*/sub/*").paths == files("p/**/c.jpg").paths == files("*/sub/c.jpg").paths == ["p/sub/c.jpg"]
    assert files(Path("p/*.png")).paths == ["p/a.png"]
    assert files(str(here) + "/p/*.png").paths == [str(here) + "/p/a.png"]
    assert files("p/*.jpg").labels is None


def test_a_glob_agrees_with_the_standard_library(here: Path) -> None:
    import glob

    touch("a/b/c.jpg", "a/b.jpg", "a/c/b/d.jpg", "a/c/e.png", "f.jpg", "a/[x].jpg", "a/x.jpg")
    for pattern in (
        "**",
        "**/*",
        "a/**",
        "**/b/*",
        "a/*/*.jpg",
        "*/*",
        "**/*.jpg",
        "a/**/b/**/*.jpg",
        "a/[[]x].jpg",
        "?.*",
    ):
        expected = {path for path in glob.glob(pattern, recursive=True) if not Path(path).is_dir()}
        assert set(files(pattern).paths) == expected, pattern


def test_a_glob_with_two_stars_does_not_run_in_circles(here: Path) -> None:
    touch("p/cat/1.jpg")
    Path("p/cat/up").symlink_to("..")
    Path("p/cat/self").symlink_to(".")
    assert files("p/**/*.jpg").paths == ["p/cat/1.jpg"]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(here: Path) -> None:
    touch("set[1]/a.jpg", "what?/b.jpg")
    assert files("set[1]").paths == ["set[1]/a.jpg"]
    assert files("what?").paths == ["what?/b.jpg"]


def test_a_glob_without_a_match_is_refused(here: Path) -> None:
    touch("p/cat/a.jpg")
    assert refusal("p/*.png") == (
        "the glob 'p/*.png' matches no file: check the spelling; case counts, and only ** reaches into sub-folders"
    )
    assert "matches folders only; for the files in them pass 'p/*/*'" in refusal("p/*")
    assert "the glob 'q/*.jpg' matches nothing: there is no folder 'q/'; check the path" in refusal("q/*.jpg")


# ---- sequences ----


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


# ---- labels ----


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


def test_a_series_that_is_indexed_by_names_is_a_mapping() -> None:
    class Series:
        ndim = 1

        def __init__(self, values: dict[Any, Any]) -> None:
            self.values, self.index = values, list(values)

        def to_dict(self) -> dict[Any, Any]:
            return self.values

        def __len__(self) -> int:
            return len(self.values)

        def __getitem__(self, key: Any) -> Any:
            return self.values[key]

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.array(list(self.values.values()))

    assert labelled(Series({"3": 30, "1": 10, "2": 20})).gather([0, 1, 2]).tolist() == [10, 20, 30]
    assert labelled(Series({0: 30, 1: 10, 2: 20})).gather([0, 1, 2]).tolist() == [30, 10, 20]


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


# ---- splitting ----


def test_a_split_is_disjoint_complete_shuffled_and_the_same_for_the_same_seed() -> None:
    whole = files([f"{k:03}.jpg" for k in range(100)], labels=list(range(100)))
    train, val = whole.split(0.8, seed=3)
    assert (len(train), len(val)) == (80, 20)
    assert sorted(train.paths + val.paths) == whole.paths
    assert train.paths != sorted(train.paths)
    again, _ = whole.split(0.8, seed=3)
    assert again.paths == train.paths
    assert whole.split(0.8, seed=4)[0].paths != train.paths
    for part in (train, val):
        assert [int(Path(path).stem) for path in part.paths] == list(part.labels or [])


def test_a_split_is_the_same_in_every_release() -> None:
    assert files([str(k) for k in range(6)]).split(0.5, seed=1)[0].paths == ["4", "5", "2"]


def test_a_split_keeps_the_classes_and_the_kind_of_labels(here: Path) -> None:
    touch("p/cat/1.jpg", "p/dog/2.jpg", "p/dog/3.jpg")
    for part in files("p").split(0.5):
        assert part.classes == ["cat", "dog"]
    mixed = files(["a", "b"], labels=["x", 1])
    assert all(type(part.labels.gather([0])) is list for part in mixed.split(0.5) if part.labels)


def test_a_split_knows_which_labels_are_missing() -> None:
    whole = files([f"{k}.jpg" for k in range(10)], labels={f"{k}.jpg": k for k in range(0, 10, 2)})
    for part in whole.split(0.5):
        assert part.labels is not None
        odd = {k for k, path in enumerate(part.paths) if int(Path(path).stem) % 2}
        assert part.labels.missing == odd


def test_a_split_divides_columns_stacks_and_encoded_images() -> None:
    items = [bytes([k]) for k in range(10)]
    whole = as_source(
        items, {"n": list(range(10)), "m": [np.array([k]) for k in range(10)], "s": list(map(str, range(10)))}
    )
    for part in whole.split(0.5):
        numbers = [entry[0] for entry in table(part)[2]]
        batch = part.labels.gather(range(5)) if part.labels else {}
        assert batch["n"].tolist() == batch["m"][:, 0].tolist() == list(map(int, batch["s"])) == numbers


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1, True, "half", float("nan"), None])
def test_a_fraction_that_cannot_work_is_refused(fraction: Any) -> None:
    with pytest.raises(ConfigError, match=r"^fraction=.*: pass the first part's share, such as 0.8"):
        files(["a", "b"]).split(fraction)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^fraction=0.8: pass another fraction, .* of 1, the parts would have 1 and 0"
    ):
        files(["a"]).split(0.8)
    with pytest.raises(ConfigError, match="seed=-1"):
        files(["a", "b"]).split(0.5, seed=-1)


# ---- the table ----


def test_the_table_holds_absolute_paths_whatever_the_folder_is_later(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files(["a.jpg", "/x/b.jpg", "../c.jpg", "é.jpg"])
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    folder = os.fsencode(here)
    expected = [folder + b"/a.jpg\0", b"/x/b.jpg\0", folder + b"/../c.jpg\0", folder + "/é.jpg\0".encode()]
    assert table(found) == (4, 0, expected)
    assert found.name(0) == "a.jpg"
    assert table(found.split(0.5)[0])[2][0] in expected


def test_a_large_table_is_complete(here: Path) -> None:
    names = [f"/{'x' * (k % 50)}/{k}.jpg" for k in range(30_000)]
    count, kind, entries = table(files(names))
    assert (count, kind) == (30_000, 0)
    assert entries == [name.encode() + b"\0" for name in names]


def test_the_table_is_sealed_and_closes_on_exec() -> None:
    found = files(["/a.jpg"])
    fd = found.table_fd()
    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    assert seals == fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    assert not os.get_inheritable(fd)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)


def test_the_table_is_made_once_and_goes_with_the_source() -> None:
    found = files(["/a.jpg"])
    fd = found.table_fd()
    assert found.table_fd() == fd
    del found
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_close_gives_the_table_back_and_can_be_repeated() -> None:
    found = files(["/a.jpg"])
    found.close()
    fd = found.table_fd()
    found.close()
    found.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert table(found)[0] == 1


def test_a_table_that_fails_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigError) as caught:
        files(["/a\ud800.jpg"]).table_fd()
    assert "the path '/a\\ud800.jpg' cannot be a file's name: surrogates not allowed; mend or remove it" in str(
        caught.value
    )
    assert len(os.listdir("/proc/self/fd")) == before


def test_more_encoded_bytes_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "memory_limit", lambda: 5)
    with pytest.raises(RingMemoryError, match=r"need 6 bytes .* may use 5: pass the paths of files, or fewer images"):
        as_source([b"abc", b"def"]).table_fd()


def test_sources_can_be_pickled_without_their_table(here: Path) -> None:
    touch("p/cat/1.jpg", "p/dog/2.jpg")
    found = files("p")
    found.table_fd()
    copy = pickle.loads(pickle.dumps(found))
    assert isinstance(copy, Files)
    assert copy.paths == found.paths
    assert copy.classes == found.classes
    assert list(copy.labels) == list(found.labels or [])
    assert copy.table_fd() != found.table_fd()
    assert table(copy) == table(found)
