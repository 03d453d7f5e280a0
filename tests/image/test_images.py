"""The front door of images: what its options do to the files that it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode, noise, picture

import fastfeed as ff


def feed_of(data: list[bytes], **options: Any) -> ff.Feed:
    return ff.images(data, **{"size": 8, "batch_size": len(data), "dtype": "uint8", "with_index": True, **options})


@pytest.mark.parametrize("workers", [0, 1])
def test_a_jpeg_of_more_scans_than_max_scans_is_a_bad_sample_until_that_is_raised(workers: int) -> None:
    plain = encode(picture(1), quality=90)
    progressive = encode(picture(1), quality=90, progressive=True)
    with feed_of([plain, progressive], max_scans=3, on_error="skip", num_workers=workers) as feed:
        ((images, index),) = feed
        assert index.tolist() == [0]
        (error,) = feed.errors
        assert str(error).startswith("sample 1 (index 1): ")
        assert "it has more than 3 scans; raise max_scans if that is meant" in str(error)
    with feed_of([plain, progressive], max_scans=11, num_workers=workers) as feed:
        ((images, index),) = feed
        assert index.tolist() == [0, 1]
        np.testing.assert_array_equal(images[0], images[1])
        assert not feed.errors


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("limit", [np.int64(1199), 1199.0])
def test_limits_may_be_numbers_of_any_kind(workers: int, limit: Any) -> None:
    with feed_of(
        [encode(picture(1), "PNG"), encode(picture(2))], max_pixels=limit, on_error="skip", num_workers=workers
    ) as feed:
        assert list(feed) == []
        png, jpeg = sorted(feed.errors, key=lambda error: error.index)
        assert "40 x 30 are 1200 pixels, more than max_pixels=1199" in str(png)
        assert "40 x 30 pixels are more than max_pixels = 1199" in str(jpeg)


@pytest.mark.parametrize(("dtype", "item"), [("uint8", 1), ("float16", 2), ("float32", 4)])
def test_a_row_is_as_large_as_its_dtype_says_after_callables_too(dtype: str, item: int) -> None:
    for transforms in ([], [np.ascontiguousarray]):
        with feed_of([encode(picture(1))], dtype=dtype, transforms=transforms, num_workers=0) as feed:
            ((images, _),) = feed
        assert images.nbytes == 8 * 8 * 3 * item


# ---- reasons in small rows ----


def only_error(item: Any, size: int, workers: int, **options: Any) -> str:
    with ff.images([item], size, dtype="uint8", labels=None, on_error="skip", num_workers=workers, **options) as feed:
        assert list(feed) == []
        (error,) = feed.errors
    assert isinstance(error, ff.SampleError)
    return error.reason


SMALL_ROW = "(a row of 3 bytes holds no more of it; num_workers=0 says it all)"


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
@pytest.mark.parametrize(
    ("item", "options", "words"),
    [
        (encode(picture(1))[:-2], {}, "it ends before its image does"),
        (encode(picture(1)), {"max_pixels": 9}, "it is beyond max_pixels, max_bytes or max_scans"),
        (encode(picture(1), "PNG"), {"max_pixels": 9}, "it is beyond max_pixels, max_bytes or max_scans"),
        (b"no image", {}, "it cannot be decoded"),
        (encode(picture(1)).replace(b"\xff\xdb", b"\xff\xdb\0\0", 1), {}, "it cannot be decoded"),
    ],
)
def test_a_reason_that_is_longer_than_the_row_is_put_in_short(item: bytes, options: Any, words: str) -> None:
    assert only_error(item, 1, 1, **options) == f"{words} {SMALL_ROW}"
    whole = only_error(item, 9, 1, **options)
    assert only_error(item, 1, 0, **options) == whole
    assert words not in whole or words == "it ends before its image does"


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
def test_a_missing_file_is_named_as_such_in_a_row_of_three_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(picture(1)))
    with ff.images([path], 1, dtype="uint8", labels=None, on_error="skip", num_workers=1) as feed:
        path.unlink()
        assert list(feed) == []
        assert feed.errors[0].reason == f"it cannot be opened or read {SMALL_ROW}"


# ---- large files ----

LARGE = 5 << 20  # of those above 4 MiB only the beginning is read first


def large_file(path: Path, beginning: bytes) -> Path:
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(LARGE)
    return path


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"", "not an image of a format that PIL knows"),
        (b"text, and more of it\n" * 4000, "not an image of a format that PIL knows"),
        (b"\xff\xd8\xff\xe0", "the JPEG is corrupt: no header in its first 65536 bytes"),
        (b"\xff\xd8\xff\xff", "the JPEG is corrupt: no header in its first 65536 bytes"),
    ],
)
def test_of_a_large_file_that_is_no_image_only_the_beginning_is_read(
    tmp_path: Path, beginning: bytes, words: str, workers: int
) -> None:
    path = large_file(tmp_path / "large.jpg", beginning)
    with ff.images([path], 8, labels=None, on_error="skip", num_workers=workers) as feed:
        assert list(feed) == []
        assert [error.reason for error in feed.errors] == [words]
        if workers:
            assert feed.stats().bytes_read == 65536


@pytest.mark.parametrize("workers", [0, 1])
def test_large_images_are_read_whole(tmp_path: Path, workers: int) -> None:
    pixels = noise(1400, 1300)
    paths = []
    for kind, options in (("BMP", {}), ("TIFF", {}), ("TGA", {}), ("PNG", {"compress_level": 0})):
        paths.append(tmp_path / f"image.{kind.lower()}")
        paths[-1].write_bytes(encode(pixels, kind, **options))
        assert paths[-1].stat().st_size > LARGE
    padded = encode(pixels[:64, :64], quality=100, subsampling=0)
    paths.append(large_file(tmp_path / "image.jpg", padded))
    with ff.images(
        paths, (1400, 1300), dtype="uint8", labels=None, batch_size=1, num_workers=workers, prefetch=2
    ) as feed:
        rows = [np.array(batch[0]) for batch in feed]
    assert len(rows) == 5
    for row in rows[:4]:
        np.testing.assert_array_equal(row, pixels)


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_above_max_bytes_is_refused_by_the_name_of_the_option(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(picture(1)))
    size = path.stat().st_size
    with ff.images([path], 8, labels=None, on_error="skip", max_bytes=size - 1, num_workers=workers) as feed:
        assert list(feed) == []
        assert feed.errors[0].reason == f"{size} bytes are more than max_bytes = {size - 1}; raise it if that is meant"
    with ff.images([path], 8, labels=None, max_bytes=size, num_workers=workers) as feed:
        assert len(list(feed)) == 1
