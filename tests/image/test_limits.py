"""limits.py, through decode.py: what a file of some format may ask for."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fastfeed as ff
from fastfeed.image.decode import BeyondLimitError, decode
from fastfeed.image.limits import DEFAULT_MAX_PIXELS, most_pixels

A4 = 2480, 3508
MEASURED = """
import sys
from PIL import Image
from fastfeed.image.decode import decode

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024

Image.init()
before = peak()
decode(sys.stdin.buffer.read(), max_pixels=89_478_485)
print(peak() - before)
"""


def flat(kind: str, mode: str, size: tuple[int, int], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1).save(file, kind, **options)
    return file.getvalue()


def png_of_text(pieces: int) -> bytes:
    """A PNG with so many texts of a megabyte, packed."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packed = zlib.compress(b"x" * (1 << 20), 9)
    texts = b"".join(chunk(b"zTXt", b"k%d\0\0" % number + packed) for number in range(pieces))
    plain = flat("PNG", "L", (3, 2))
    return plain[:33] + texts + plain[33:]


def tiff_of_one_tile(side: int) -> bytes:
    """A TIFF of 16 x 16 pixels in a tile that is far larger, coded as fax."""
    tags = [(256, 16), (257, 16), (258, 1), (259, 4), (262, 1), (277, 1), (322, side), (323, side), (324, 8), (325, 4)]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 12) + b"\0\x10\x01\0" + ifd + b"\0\0\0\0"


@pytest.mark.parametrize(
    "data",
    [
        flat("PNG", "1", (9400, 9400)),
        flat("PNG", "L", (4200, 4200)),
        flat("PNG", "RGB", (3200, 3200)),
        flat("GIF", "P", (4200, 4200)),
        flat("TIFF", "1", (9400, 9400), compression="group4"),
        flat("WEBP", "RGB", (2000, 2000), lossless=True),
        tiff_of_one_tile(1 << 15),
    ],
    ids=lambda data: f"{data[:4]!r}, {len(data)} bytes",
)
def test_a_small_file_cannot_ask_for_endless_pixels_and_is_told_the_option(data: bytes) -> None:
    with pytest.raises(BeyondLimitError, match=r"pixels are far more than \d+ bytes of \w+ give reason for; pass max"):
        decode(data, max_pixels=DEFAULT_MAX_PIXELS)


def test_the_option_that_is_told_is_enough() -> None:
    data = flat("PNG", "L", (4200, 4200))
    with ff.images([data], 8, dtype="uint8", num_workers=1, on_error="replace") as feed:
        assert not next(iter(feed)).any()
        needed = int(str(feed.errors[0]).partition("pass max_pixels=")[2].split()[0])
    with ff.images([data], 8, dtype="uint8", num_workers=1, max_pixels=needed) as feed:
        assert np.array_equal(next(iter(feed)), np.full((1, 8, 8, 3), 1, np.uint8))


@pytest.mark.pages
@pytest.mark.parametrize(
    "data",
    [
        flat("PNG", "RGB", A4),
        flat("PNG", "RGBA", A4),
        flat("PNG", "L", (4096, 4096)),
        flat("GIF", "P", (4096, 4096)),
        flat("TIFF", "1", A4, compression="group4"),
        flat("WEBP", "RGB", (1800, 1900), lossless=True),
    ],
    ids=lambda data: f"{data[:4]!r}, {len(data)} bytes",
)
def test_the_most_that_is_allowed_to_a_small_file_fits_into_64_mebibytes(data: bytes) -> None:
    assert len(data) < 1 << 16
    path = os.pathsep.join(map(str, [Path(ff.__file__).parents[1], *sys.path]))
    environment = os.environ | {"PYTHONPATH": path}
    said = subprocess.run(
        [sys.executable, "-c", MEASURED], input=data, env=environment, capture_output=True, check=True
    )
    assert int(said.stdout) <= 68  # with the file, and what PIL loads for it


def test_larger_files_are_allowed_what_empty_pages_of_their_size_need() -> None:
    assert most_pixels("PNG", "L", 1 << 17, DEFAULT_MAX_PIXELS) > (1 << 17) * 600
    assert most_pixels("PNG", "RGB", 1 << 20, DEFAULT_MAX_PIXELS) == DEFAULT_MAX_PIXELS
    assert most_pixels("PNG", "RGB", 100, 1000) == 1000
    assert most_pixels("PNG", "L", 100, 2 * DEFAULT_MAX_PIXELS) == 2 * (1 << 24)


def test_packed_text_is_limited() -> None:
    assert decode(png_of_text(7), max_pixels=10) == (b"\1" * 18, 3, 2)
    with pytest.raises(BeyondLimitError, match="its text or colour profile is larger than any that is read, 1 MiB"):
        decode(png_of_text(9), max_pixels=10)


def test_what_an_icon_holds_is_limited_too() -> None:
    inside = flat("PNG", "RGB", (3200, 3200))
    icon = struct.pack(">4sI4sI", b"icns", 16 + len(inside), b"ic07", 8 + len(inside)) + inside  # 128 x 128, it says
    with pytest.raises(BeyondLimitError, match="a frame inside is larger than max_pixels or the size of the file giv"):
        decode(icon, max_pixels=DEFAULT_MAX_PIXELS)
