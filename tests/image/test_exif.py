"""EXIF orientation, end to end: a JPEG with the tag, well-formed or not, becomes an upright row."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import jpegs
import numpy as np
import oracle
import pytest
from drive import encode, on_bytes
from PIL import Image

from fastfeed import Resize

ORIENTATION = 0x0112
SHORT, LONG = 3, 4

# Six flat blocks of 8 x 8, the size of JPEG's own, so that each comes out of the decoder as its own colour.
COLOURS = np.array(
    [[[250, 20, 20], [20, 250, 20], [20, 20, 250]], [[240, 240, 30], [30, 240, 240], [128, 128, 128]]], np.uint8
)
STORED = COLOURS.repeat(8, axis=0).repeat(8, axis=1)


def exif(
    orientation: int,
    order: str = "<",
    kind: int = SHORT,
    count: int = 1,
    before: tuple[tuple[int, int], ...] = ((0x010F, 7), (0x0110, 9)),
    after: tuple[tuple[int, int], ...] = ((0x0128, 2),),
) -> bytes:
    """An Exif payload whose IFD0 has `before`, the orientation and `after`, by hand."""
    form = {SHORT: "H2x", LONG: "I"}[kind]
    entries = [struct.pack(order + "HHIH2x", tag, SHORT, 1, value) for tag, value in before]
    entries.append(struct.pack(order + "HHI" + form, ORIENTATION, kind, count, orientation))
    entries += [struct.pack(order + "HHIH2x", tag, SHORT, 1, value) for tag, value in after]
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return b"Exif\0\0" + header + struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack("I", 0)


def jpeg(payload: bytes | None) -> bytes:
    """STORED as a JPEG with this APP1 segment."""
    data = encode(STORED, quality=95, subsampling=0)
    segment = b"" if payload is None else b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    return data[:2] + segment + data[2:]


def orientation_seen(payload: bytes | None) -> int:
    """Which of the eight ways the kernel turned the image."""
    data = jpeg(payload)
    for size in (STORED.shape[:2], STORED.shape[1::-1]):
        have = on_bytes(data, [Resize(size, filter="nearest")], orient=True)
        for orientation in range(1, 9):
            expected = oracle.upright(STORED, orientation)
            if expected.shape == have.shape and np.abs(have.astype(int) - expected).max() < 12:
                return orientation
    raise AssertionError(f"turned in no known way:\n{have}")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [SHORT, LONG])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int, kind: int, order: str) -> None:
    assert orientation_seen(exif(orientation, order, kind)) == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_agrees_with_pil(orientation: int) -> None:
    from PIL import ImageOps

    data = jpeg(exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    have = on_bytes(data, [Resize(expected.shape[:2])], orient=True)
    assert np.abs(have.astype(int) - expected).max() <= 1, f"have\n{have}\nexpected\n{expected}"


def test_orientation_is_left_alone_unless_asked_for() -> None:
    have = on_bytes(jpeg(exif(6)), [Resize(STORED.shape[:2])])
    assert np.abs(have.astype(int) - STORED).max() < 12


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (33, 65), (96, 31)])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_large_and_thin_images_are_turned_whole(orientation: int, size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.stack([y * 2, x * 2, 255 - y - x], -1).clip(0, 255).astype(np.uint8)
    data = encode(image, quality=100, subsampling=0, exif=exif(orientation))
    plain = np.asarray(Image.open(io.BytesIO(data)))
    expected = oracle.upright(plain, orientation)
    have = on_bytes(data, [Resize(expected.shape[:2])], orient=True, exact=True)
    assert np.abs(have.astype(int) - expected).max() <= 1, f"have\n{have}\nexpected\n{expected}"


MALFORMED = {
    "none": lambda: None,
    "empty": lambda: b"",
    "name alone": lambda: b"Exif\0\0",
    "another name": lambda: b"http://ns.adobe.com/xap/1.0/\0" + exif(6),
    "no byte order": lambda: exif(6).replace(b"II*", b"XX*"),
    "mixed byte order": lambda: exif(6).replace(b"II*", b"IM*"),
    "not 42": lambda: exif(6).replace(b"II*\0", b"II+\0"),
    "value 0": lambda: exif(0),
    "value 9": lambda: exif(9),
    "value 65535": lambda: exif(65535),
    "long value with high bytes": lambda: exif(0x00010006, kind=LONG),
    "count 0": lambda: exif(6, count=0),
    "count 2": lambda: exif(6, count=2),
    "ifd past the end": lambda: exif(6)[:10] + struct.pack("<I", 0xFFFFFFF0) + exif(6)[14:],
    "ifd at the last byte": lambda: exif(6)[:10] + struct.pack("<I", len(exif(6)) - 7) + exif(6)[14:],
    "no entries": lambda: exif(6)[:14] + b"\0\0" + exif(6)[16:],
    "tag in a later ifd": lambda: (
        b"Exif\0\0II*\0" + struct.pack("<IHI", 8, 0, 14) + struct.pack("<HHHIHHI", 1, ORIENTATION, SHORT, 1, 6, 0, 0)
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_metadata_turns_nothing(name: str) -> None:
    make: Callable[[], bytes | None] = MALFORMED[name]
    assert orientation_seen(make()) == 1


def test_a_count_larger_than_the_segment_finds_what_is_there() -> None:
    payload = exif(6)
    assert orientation_seen(payload[:14] + b"\xff\xff" + payload[16:]) == 6


def xmp(text: str) -> bytes:
    return b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description " + text.encode() + b"</x:xmpmeta>"


NO_TAG = exif(6).replace(struct.pack("<H", ORIENTATION), struct.pack("<H", ORIENTATION + 1))


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([xmp('tiff:Orientation="6"/>')], 6),
        ([xmp("><tiff:Orientation>8</tiff:Orientation>")], 8),
        ([xmp('tiff:Orientation="3"/>'), NO_TAG], 3),
        ([NO_TAG, xmp('tiff:Orientation="7"/>')], 7),
        ([xmp('tiff:Orientation="6"/>'), exif(3)], 3),
        ([xmp('tiff:Orientation="6"/>'), exif(1)], 1),
        ([xmp('tiff:Orientation="6"/>'), exif(9)], 1),
        ([xmp('tiff:Orientation="0"/>')], 1),
        ([xmp('tiff:Orientation="9"/>')], 1),
        ([xmp("tiff:Orientation")], 1),
        ([xmp('tiff:Orientation="x" tiff:Orientation="2"/>')], 2),
        ([xmp('tiff:Orient="6"/>')], 1),
    ],
)
def test_xmp_gives_the_orientation_where_exif_has_none_as_in_pillow(segments: list[bytes], expected: int) -> None:
    from PIL import ImageOps

    data = jpeg(None)
    data = data[:2] + b"".join(jpegs.segment(jpegs.APP1, payload) for payload in segments) + data[2:]
    pillow = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    have = on_bytes(data, [Resize(pillow.shape[:2])], orient=True)
    assert np.abs(have.astype(int) - pillow).max() <= 1
    assert np.abs(have.astype(int) - oracle.upright(STORED, expected)).max() < 12


def test_an_xmp_packet_that_breaks_off_names_nothing() -> None:
    whole = xmp('tiff:Orientation="6').removesuffix(b"</x:xmpmeta>")
    for length in range(len(whole)):
        assert orientation_seen(whole[:length]) == 1
    assert orientation_seen(whole) == 6


def parsed(payload: bytes) -> int:
    """The orientation in these bytes, read with struct: IFD0 of a well-formed beginning, else 1."""
    try:
        order = {b"Exif\0\0II": "<", b"Exif\0\0MM": ">"}[payload[:8]]
        magic, ifd = struct.unpack_from(order + "HI", payload, 8)
        if magic != 42:
            return 1
        (count,) = struct.unpack_from(order + "H", payload, 6 + ifd)
        for k in range(count):
            tag, kind, values = struct.unpack_from(order + "HHI4x", payload, 8 + ifd + 12 * k)
            if tag == ORIENTATION:
                if values != 1 or kind not in (SHORT, LONG):
                    return 1
                form = {SHORT: "H", LONG: "I"}[kind]
                (value,) = struct.unpack_from(order + form, payload, 8 + ifd + 12 * k + 8)
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_truncation_and_every_changed_byte_is_read_safely(order: str) -> None:
    whole = exif(6, order)
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [
        whole[:at] + bytes([value]) + whole[at + 1 :] for at in range(len(whole)) for value in (0, 1, 6, 0x7F, 0xFF)
    ]
    for payload in damaged:
        have, expected = orientation_seen(payload), parsed(payload)
        assert have == expected, f"{payload.hex()}: have {have}, expected {expected}"
