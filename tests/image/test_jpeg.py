"""JPEGs as they are found: the odd ones that everybody reads, and those that are damaged, truncated or made to harm."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import jpegs
import numpy as np
import pytest
from drive import encode, kernel, noise, waves
from numpy.typing import NDArray
from PIL import Image, features

import fastfeed as ff
from fastfeed import _native

# As in csrc/base/codes.h.
CORRUPT, TRUNCATED, LIMIT = -2, -3, -4

LARGE = encode(waves(451, 603), quality=90, subsampling=2)  # decoded at 1/8 for the sizes below
SMALL = (25, 30)
RESTARTS = encode(waves(451, 603), quality=90, subsampling=2, restart_marker_blocks=4)
OWN_TABLES = encode(noise(64, 64), quality=5, optimize=True)


def pil(data: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def whole(data: bytes) -> NDArray[Any]:
    return kernel(data, [], pil(LARGE).shape[:2])


def small(data: bytes, **options: Any) -> NDArray[Any]:
    """At a scale at which only low frequencies are decoded."""
    return kernel(data, [ff.Resize(SMALL)], SMALL, exact=False, **options)


def assert_near(have: NDArray[Any], expected: NDArray[Any]) -> None:
    """Reduced by libjpeg and by our own reader, which know other high frequencies."""
    assert np.abs(have.astype(int) - expected).max() <= 8


def refused(data: bytes, ops: list[Any], size: tuple[int, int], **options: Any) -> tuple[int, str]:
    with pytest.raises(_native.KernelError) as caught:
        kernel(data, ops, size, **options)
    return caught.value.code, caught.value.text


# ---- one image after another -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [OWN_TABLES, encode(waves(40, 40), quality=5), LARGE])
def test_a_frame_of_motion_jpeg_has_the_standard_tables_whatever_came_before(before: bytes) -> None:
    frame = jpegs.without(LARGE, jpegs.DHT)
    kernel(before, [], pil(before).shape[:2])
    assert np.array_equal(whole(frame), pil(LARGE))
    kernel(before, [], pil(before).shape[:2])
    assert_near(small(frame), small(LARGE))


@pytest.mark.parametrize("reduced", [False, True])
def test_a_jpeg_without_quantisers_does_not_get_those_of_the_one_before(reduced: bool) -> None:
    bare = jpegs.without(LARGE, jpegs.DQT)
    whole(LARGE)
    code, text = refused(bare, [ff.Resize(SMALL)], SMALL, exact=not reduced)
    assert code == CORRUPT
    assert "Quantization table 0x00 was not defined" in text


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_tables_do_not_depend_on_which_worker_had_which_image(workers: int) -> None:
    plain = encode(waves(64, 64), quality=90)
    items = [OWN_TABLES, jpegs.without(plain, jpegs.DHT), jpegs.without(plain, jpegs.DQT), plain] * 6
    with ff.images(
        items, 64, dtype="uint8", batch_size=4, on_error="replace", labels=None, num_workers=workers
    ) as feed:
        rows = np.concatenate([np.array(batch) for batch in feed])
        assert sorted(error.index for error in feed.errors) == list(range(2, 24, 4))
    for at in range(0, 24, 4):
        assert np.array_equal(rows[at + 1], pil(plain))
        assert not rows[at + 2].any()


def test_a_crop_that_lies_in_the_border_leaves_nothing_for_the_next_image() -> None:
    tall = encode(noise(400, 4))
    beside = [ff.Resize(100, fit="contain"), ff.RandomHorizontalFlip(1.0), ff.CenterCrop(1)]
    assert kernel(tall, beside, (1, 1)).tolist() == [[[0, 0, 0]]]
    assert np.array_equal(whole(LARGE), pil(LARGE))


# ---- read, since everybody reads them --------------------------------------------------------------------------------


def test_a_scan_header_of_zeros_is_that_of_a_baseline_jpeg() -> None:
    (selection,) = (payload for marker, payload in jpegs.header(LARGE) if marker == jpegs.SOS)
    data = jpegs.replaced(LARGE, jpegs.SOS, selection[:-3] + b"\0\0\0")
    assert np.array_equal(whole(data), pil(LARGE))
    assert_near(small(data), small(LARGE))


@pytest.mark.parametrize("padding", [b"\0", b"\0\0", b"\xff\0", b"\0" * 30, b"\xff\0" * 9, b"\xff\xff\xff"])
def test_padding_before_restart_markers_is_passed_over(padding: bytes) -> None:
    data = jpegs.before_restarts(RESTARTS, padding)
    assert np.array_equal(whole(data), pil(RESTARTS))
    assert_near(small(data), small(RESTARTS))


@pytest.mark.parametrize("reduced", [False, True])
def test_codes_left_over_before_a_restart_marker_are_damage(reduced: bool) -> None:
    """Where the codes went astray the interval ends too early, and the picture is garbage."""
    data = jpegs.before_restarts(RESTARTS, b"\x12\x34\x56\x78\x9a\xbc\xde\x0f\x5a\x5a")
    assert refused(data, [ff.Resize(SMALL)], SMALL, exact=not reduced)[0] == CORRUPT


@pytest.mark.parametrize("data", [LARGE, RESTARTS, encode(waves(451, 603), progressive=True)])
def test_what_scanners_put_behind_the_last_block_does_no_harm(data: bytes) -> None:
    more = data[:-2] + b"\xff\xd2" + b"\x12" * 40 + b"\xff\xd3" + b"\x34" * 40 + jpegs.END
    assert np.array_equal(whole(more), pil(data))
    assert np.array_equal(small(more), small(data))


# ---- truncated -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_one_in_every_epoch_whatever_the_crop(progressive: bool) -> None:
    data = encode(waves(200, 300), quality=90, progressive=progressive)
    size = (48, 48)
    for length in [*range(len(data) - 40, len(data)), *range(700, len(data), 997)]:
        for epoch in range(4):
            ops = [ff.RandomResizedCrop(48, (0.08, 0.3))]
            code, text = refused(data[:length], ops, size, exact=epoch % 2 == 0, index=epoch)
            assert (code, "the JPEG ends before its image does" in text) == (TRUNCATED, True)
        assert refused(data[:length], [ff.CenterCrop(1)], (1, 1))[0] == TRUNCATED


def test_the_end_marker_of_a_preview_is_not_that_of_the_image() -> None:
    preview = encode(waves(20, 20))
    data = LARGE[:2] + jpegs.segment(jpegs.APP1, b"Exif\0\0" + preview) + LARGE[2:]
    assert np.array_equal(whole(data), pil(LARGE))
    assert refused(data[: len(data) // 2], [ff.CenterCrop(9)], (9, 9))[0] == TRUNCATED


# ---- the same verdict at every scale ---------------------------------------------------------------------------------


TAILS = {
    "a second scan": jpegs.segment(jpegs.SOS, b"\1\1\0\0\x3f\0") + b"\0" * 20 + jpegs.END,
    "a second frame": jpegs.segment(jpegs.SOF0, b"\x08\0\x08\0\x08\1\1\x11\0") + jpegs.END,
    "a segment beyond the end": b"\xff\xe0\xff\xff\xff\xd9",
    "a comment": jpegs.segment(0xFE, b"\xff\xd9 and so on") + jpegs.END,
    "stray bytes": b"\x12\x34" * 50 + jpegs.END,
    "stray bytes and restarts": b"\xff\xd7\x12\x34\xff\x00\xff\xff\xff\xd0" + jpegs.END,
}
ODD = {name: LARGE[:-2] + tail for name, tail in TAILS.items()} | {
    "a code of all ones": jpegs.all_ones(LARGE),
    "half the height": LARGE.replace(b"\x01\xc3\x02\x5b", b"\x00\xe0\x02\x5b", 1),
    "half the height, restarts": RESTARTS.replace(b"\x01\xc3\x02\x5b", b"\x00\xe0\x02\x5b", 1),
}


def verdict(data: bytes, *, exact: bool) -> tuple[int, str]:
    try:
        kernel(data, [ff.Resize(SMALL)], SMALL, exact=exact)
    except _native.KernelError as error:
        return error.code, error.text
    return 0, ""


@pytest.mark.parametrize("name", ODD)
def test_reduced_decoding_has_the_verdict_of_exact_decoding(name: str) -> None:
    exact = verdict(ODD[name], exact=True)
    assert verdict(ODD[name], exact=False) == exact
    bad = {"a second scan", "a second frame", "a segment beyond the end", "a code of all ones"}
    assert (exact[0] != 0) == (name in bad), exact


# ---- incomplete ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("scans", [1, 2, 3, 5, 10])
def test_a_crop_of_an_incomplete_progressive_jpeg_is_a_cut_of_the_whole(scans: int, subsampling: int) -> None:
    """Where scans are missing, libjpeg smooths the edges of blocks, and looks beyond the crop for it."""
    data = encode(waves(96, 96), quality=90, progressive=True, subsampling=subsampling)
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    cut = data[: [*starts, len(data) - 2][scans]] + jpegs.END
    frame = kernel(cut, [], (96, 96))
    if features.version("libjpeg_turbo") == _native.libjpeg_version():  # versions smooth differently
        assert np.array_equal(frame, pil(cut))
    for h, w in [(40, 40), (8, 90), (90, 8), (33, 17)]:
        top, left = round((96 - h) / 2), round((96 - w) / 2)
        have = kernel(cut, [ff.CenterCrop((h, w))], (h, w))
        assert np.array_equal(have, frame[top : top + h, left : left + w]), (h, w)


# ---- limits ----------------------------------------------------------------------------------------------------------

WORK = "are too much work for a file of"


# Decodes what it reads, and says the outcome and how many megabytes that has taken at most.
MEASURED = f"""
import sys
from pathlib import Path
import fastfeed as ff
from drive import kernel
from fastfeed import _native

def peak():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

data = sys.stdin.buffer.read()
Path("/proc/self/clear_refs").write_text("5")
before = peak()
code, text = 0, ""
try:
    kernel(data, [ff.Resize({SMALL})], {SMALL})
except _native.KernelError as error:
    code, text = error.code, error.text
print(peak() - before, code, text)
"""


def measured(data: bytes) -> tuple[int, int, str]:
    """Megabytes that decoding takes, its code and its text.

    In a process of its own: this one's allocator may hold enough from other tests that nothing more is taken.
    """
    path = os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])
    said = subprocess.run(
        [sys.executable, "-c", MEASURED], input=data, env=os.environ | {"PYTHONPATH": path}, stdout=PIPE, check=True
    ).stdout.decode()
    megabytes, code, text = said.split(" ", 2)
    return int(megabytes), int(code), text


@pytest.mark.pages
@pytest.mark.parametrize(
    "data",
    [
        jpegs.bomb(9450, 9450, 1, 98),
        jpegs.bomb(9450, 9450, 3, 90),
        jpegs.bomb(9450, 9450, 1, 0),
        jpegs.bomb(2000, 2000, 3, 90),
        jpegs.bomb(2000, 2000, 1, 60, levels=True),
        jpegs.flat(9450, 9450, 1, jpegs.SOF9, b""),
        jpegs.flat(9450, 9450, 3, jpegs.SOF9, b"\x7f" * 8),
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_a_few_bytes_cannot_ask_for_endless_work_or_memory(data: bytes) -> None:
    megabytes, code, text = measured(data)
    assert megabytes < 64
    assert code == LIMIT
    assert WORK in text
    assert "raise max_scans" in text


@pytest.mark.pages
def test_the_most_that_is_allowed_to_a_small_file_fits_into_64_megabytes() -> None:
    megabytes, code, _ = measured(jpegs.bomb(4800, 4800, 1, 0))
    assert code == 0
    assert 40 < megabytes < 64


def test_work_within_the_limit_is_done_and_a_raised_limit_allows_more() -> None:
    grey = np.full((*SMALL, 3), 128, np.uint8)
    allowed = jpegs.bomb(2000, 2000, 1, 20)
    assert np.array_equal(kernel(allowed, [ff.Resize(SMALL)], SMALL), grey)
    refused(jpegs.bomb(2000, 2000, 1, 60), [ff.Resize(SMALL)], SMALL)
    assert np.array_equal(kernel(jpegs.bomb(2000, 2000, 1, 60), [ff.Resize(SMALL)], SMALL, max_scans=300), grey)


@pytest.mark.parametrize("size", [(2480, 3508), (3508, 4961)])
def test_an_empty_page_of_a_scanner_is_within_the_limits(size: tuple[int, int]) -> None:
    page = io.BytesIO()
    Image.new("RGB", size, "white").save(page, "JPEG", progressive=True)
    assert (kernel(page.getvalue(), [ff.Resize(SMALL)], SMALL) == 255).all()


def test_decoding_stops_at_the_first_damage() -> None:
    """The scans behind a damaged one are not decoded, nor counted."""
    data = encode(waves(96, 96), quality=90, progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    damaged = data[: second - 200] + data[second:]
    code, _ = refused(damaged, [ff.Resize(SMALL)], SMALL, max_scans=3)
    assert code == CORRUPT
    assert refused(data, [ff.Resize(SMALL)], SMALL, max_scans=3)[0] == LIMIT


# ---- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["lossless", "12 bits"])
def test_a_kind_of_jpeg_without_a_decoder_is_not_called_corrupt(change: str) -> None:
    (frame,) = (payload for marker, payload in jpegs.header(LARGE) if marker == jpegs.SOF0)
    segments = [(0xC3 if marker == jpegs.SOF0 else marker, payload) for marker, payload in jpegs.header(LARGE)]
    data = {
        "lossless": jpegs.joined(segments, jpegs.scan(LARGE)),
        "12 bits": jpegs.replaced(LARGE, jpegs.SOF0, b"\x0c" + frame[1:]),
    }[change]
    _, text = refused(data, [ff.Resize(SMALL)], SMALL)
    assert "no decoder for this kind of JPEG" in text
    assert "corrupt" not in text
