"""Samples that cannot be used: left out, replaced or raised, each by its name and with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drive import encode, picture
from feeds import feed_of
from user_functions import lacks

import fastfeed as ff


def bad_files() -> dict[str, bytes]:
    good = encode(picture(0), quality=90)
    huge = bytearray(good)
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = b"\xff\xff\xff\xff"
    return {
        "00 good.jpg": good,
        "01 corrupt.jpg": good[:200] + bytes(100) + good[300:],
        "02 cut.jpg": good[: len(good) // 2],
        "03 empty.jpg": b"",
        "04 text.jpg": b"this is no image",
        "05 huge.jpg": bytes(huge),
        "06 good.jpg": encode(picture(6), quality=90),
        "07 cut.png": encode(picture(7), "PNG")[:-40],
        "08 good.png": encode(picture(8), "PNG"),
    }


BAD = ["02 cut.jpg", "03 empty.jpg", "04 text.jpg", "05 huge.jpg", "07 cut.png"]


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_leaves_bad_rows_out_and_keeps_labels_aligned(make_folder: Callable[..., Path], workers: int) -> None:
    folder = make_folder(bad_files())
    names = sorted(bad_files())
    with ff.images(
        folder, 16, labels=lambda path: Path(path).name, batch_size=9, on_error="skip", num_workers=workers
    ) as feed:
        ((images, labels),) = list(feed)
        left_out = {Path(error.path).name for error in feed.errors}
    assert set(BAD) <= left_out <= {*BAD, "01 corrupt.jpg"}
    assert labels == [name for name in names if name not in left_out]
    assert images.shape == (len(labels), 16, 16, 3)
    with ff.images([folder / name for name in labels], 16, batch_size=9, num_workers=0) as plain:
        np.testing.assert_array_equal(images, next(iter(plain)))


@pytest.mark.parametrize("workers", [0, 2])
def test_replace_gives_zeros_in_place_of_bad_rows(make_folder: Callable[..., Path], workers: int) -> None:
    folder = make_folder(bad_files())
    with ff.images(folder, 16, batch_size=9, labels=None, on_error="replace", num_workers=workers) as feed:
        (images,) = list(feed)
        bad = {error.index for error in feed.errors}
    assert images.shape == (9, 16, 16, 3)
    for row, image in enumerate(images):
        assert (not image.any()) == (row in bad)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", BAD)
def test_raise_names_file_reason_and_remedy(make_folder: Callable[..., Path], workers: int, name: str) -> None:
    folder = make_folder({key: content for key, content in bad_files().items() if key in (name, "00 good.jpg")})
    with ff.images(folder, 16, labels=None, num_workers=workers) as feed:
        with pytest.raises(ff.SampleError, match="on_error") as caught:
            list(feed)
        assert caught.value.path.endswith(name)
        assert caught.value.index == 1 - (name < "00 good.jpg")
        assert len(caught.value.reason) > 5
        assert [error.index for error in feed.errors] == [1]


def test_a_missing_file_a_folder_and_a_pipe_are_bad_samples(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    paths = [tmp_path / name for name in ("gone.jpg", "pipe.jpg", "folder.jpg")]
    with ff.images(paths, 16, on_error="replace", num_workers=1) as feed:
        (images,) = list(feed)
        reasons = {Path(error.path).name: error.reason for error in feed.errors}
    assert images.shape == (3, 16, 16, 3)
    assert reasons["gone.jpg"] == "there is no such file: check the path"
    assert "not a regular file" in reasons["pipe.jpg"]
    assert "directory" in reasons["folder.jpg"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_transform_that_raises_is_named_with_its_line_and_the_file_is_not_blamed(photos: Path, workers: int) -> None:
    with feed_of(photos, transforms=[lacks], num_workers=workers) as feed, pytest.raises(ff.SampleError) as caught:
        next(iter(feed))
    line = lacks.__code__.co_firstlineno + 1
    assert "transform lacks raised KeyError: 'dog' (" in str(caught.value)
    assert f" ({lacks.__code__.co_filename}, line {line}); mend the function, or pass" in str(caught.value)


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
def test_a_bad_file_whose_name_is_no_text_has_a_message_that_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"h\xe9.jpg")).write_bytes(b"")
    with ff.images(tmp_path, 16, on_error="skip", num_workers=0) as feed:
        assert list(feed) == []
    assert b"h\\udce9.jpg (index 0): the file is empty" in str(feed.errors[0]).encode()
    assert Path(feed.errors[0].path).exists()


def test_a_batch_of_only_bad_samples_is_left_out(make_folder: Callable[..., Path]) -> None:
    folder = make_folder({f"{i}.jpg": b"" if i < 4 else encode(picture(i)) for i in range(8)})
    with feed_of(folder, batch_size=4, on_error="skip") as feed:
        assert [index.tolist() for _, index in feed] == [[4, 5, 6, 7]]
        assert [error.index for error in feed.errors] == [0, 1, 2, 3]


def test_a_feed_goes_on_after_a_bad_sample_was_raised(make_folder: Callable[..., Path]) -> None:
    folder = make_folder({f"{i}.jpg": b"" if i == 5 else encode(picture(i)) for i in range(8)})
    with feed_of(folder, batch_size=2) as feed:
        for _ in range(2):
            seen = []
            with pytest.raises(ff.SampleError):
                seen.extend(int(i) for _, index in feed for i in index)
            assert seen == [0, 1, 2, 3]


def test_a_file_without_label_follows_on_error(photos: Path) -> None:
    labels = {f"{i:03}.jpg": i for i in range(50) if i % 10}
    with ff.images(photos, 16, labels=labels, on_error="skip", num_workers=1) as feed:
        seen = np.concatenate([batch_labels for _, batch_labels in feed])
        assert seen.tolist() == [i for i in range(50) if i % 10]
        assert [error.index for error in feed.errors] == [0, 10, 20, 30, 40]
    with ff.images(photos, 16, labels=labels, num_workers=1) as feed, pytest.raises(ff.SampleError, match="label"):
        list(feed)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_in_which_every_sample_is_skipped_does_not_end_without_a_word(tmp_path: Path, workers: int) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(5)]
    for path in paths:
        path.write_bytes(b"no image")
    words = r"no sample of an epoch could be used, and on_error='skip' has left out all 5; the first: .*0\.jpg"
    with ff.images(paths, 8, labels=None, batch_size=2, on_error="skip", num_workers=workers) as feed:
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match=words) as caught:
                assert list(feed) == []
            assert len(caught) == 1


def test_an_epoch_with_one_usable_sample_is_no_reason_for_a_warning(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    sources = [tmp_path / "bad.jpg"] * 4
    good = tmp_path / "good.jpg"
    good.write_bytes(encode(picture(0)))
    with ff.images([*sources, good], 8, labels=None, batch_size=1, on_error="skip", num_workers=1) as feed:
        assert [len(list(feed)) for _ in range(3)] == [1, 1, 1]
