"""The front door of images: what its options do to the files that it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drive import encode, picture

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
