"""Sources: their parts, and the table that workers read."""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from given import table, touch

from fastfeed.errors import ConfigError, RingMemoryError
from fastfeed.sources import encoded
from fastfeed.sources.choose import as_source, files
from fastfeed.sources.files import Files

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
    with pytest.raises(
        RingMemoryError, match=r"need 6 bytes .* may use 5 bytes: pass the paths of files, or fewer images"
    ):
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
