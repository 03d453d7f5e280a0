"""decode.py: every kind of file that PIL opens becomes the right RGB, and bad ones become errors in words."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode, grey, photo, same
from PIL import Image, ImageFile, features

from fastfeed.image.decode import DecodeError, decode, which_pil

RGB = photo(5, 7)
GREY = RGB[:, :, 0]


def pixels(data: Any, **options: Any) -> np.ndarray:
    rgb, width, height = decode(data, **options)
    assert len(rgb) == width * height * 3
    return np.frombuffer(rgb, np.uint8).reshape(height, width, 3)


def tiff(samples: np.ndarray, sample_format: int) -> bytes:
    """An uncompressed little-endian greyscale TIFF by hand; sample_format 1 unsigned, 2 signed, 3 float."""
    import struct

    height, width = samples.shape
    raw = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    bits = samples.dtype.itemsize * 8
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags += [(279, len(raw)), (339, sample_format)]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(raw)) + raw + ifd + b"\0\0\0\0"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_lossless_colour_comes_through_unchanged(kind: str) -> None:
    same(pixels(encode(RGB, kind)), RGB)


@pytest.mark.skipif(not features.check("webp"), reason="this PIL was built without WebP")
def test_lossless_webp_comes_through_unchanged() -> None:
    same(pixels(encode(RGB, "WEBP", lossless=True)), RGB)


def test_alpha_is_dropped_and_not_composited() -> None:
    alpha = np.arange(35, dtype=np.uint8).reshape(5, 7, 1)
    same(pixels(encode(np.concatenate([RGB, alpha], 2), "PNG")), RGB)
    same(pixels(encode(np.concatenate([GREY[:, :, None], alpha], 2), "PNG")), grey(GREY))


@pytest.mark.parametrize("transparency", [None, 3, bytes(range(0, 250, 10))])
def test_palettes_are_looked_up_whatever_their_transparency(transparency: int | bytes | None) -> None:
    index = np.arange(35, dtype=np.uint8).reshape(5, 7) % 25
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(pixels(encode(image, "PNG", **options)), palette[index])


def test_one_bit_is_black_and_white() -> None:
    bits = GREY > 127
    same(pixels(encode(bits, "PNG")), grey(bits * np.uint8(255)))


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_sixteen_bit_grey_keeps_its_high_byte(kind: str) -> None:
    levels = np.array([[0, 1, 255, 256, 257], [0x1234, 0x80FF, 0xFEFF, 0xFF00, 0xFFFF]], np.uint16)
    by_hand = b"P5 5 2 65535\n" + levels.astype(">u2").tobytes()
    data = by_hand if kind == "PPM" else encode(levels, kind)
    same(pixels(data), grey((levels >> 8).astype(np.uint8)))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_tiff_in_either_byte_order(order: str) -> None:
    levels = np.array([[0, 0x0102, 0x8001], [0xFE01, 0xFF00, 0xFFFF]], np.uint16)
    data = tiff(levels, 1)
    if order == ">u2":
        import struct

        raw = levels.astype(">u2").tobytes()
        tags = [(256, 3), (257, 2), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, len(raw))]
        ifd = struct.pack(">H", len(tags)) + b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
        data = b"MM\0*" + struct.pack(">I", 8 + len(raw)) + raw + ifd + b"\0\0\0\0"
    same(pixels(data), grey((levels >> 8).astype(np.uint8)))


def png(width: int, height: int, depth: int, colour: int, raw: bytes) -> bytes:
    """A PNG by hand, for kinds that PIL does not write; raw without filter bytes."""
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    stride = len(raw) // height
    lines = b"".join(b"\0" + raw[y * stride : (y + 1) * stride] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_every_colour_type_keeps_its_high_byte(colour: int, channels: int) -> None:
    levels = np.random.default_rng(colour).integers(0, 65536, (4, 3, channels)).astype(">u2")
    high = (levels >> 8).astype(np.uint8)
    expected = high[:, :, :3] if channels >= 3 else grey(high[:, :, 0])
    same(pixels(png(3, 4, 16, colour, levels.tobytes())), expected)


@pytest.mark.parametrize(
    ("samples", "sample_format", "words"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), 3, "TIFF of floating-point pixels is not decoded"),
        (np.array([[0.0, 254.0, 1e9]], np.float32), 3, "TIFF of floating-point pixels is not decoded"),
        (np.array([[-5, 0, 70000]], np.int32), 2, "TIFF of signed or 32-bit pixels is not decoded"),
        (np.array([[-5, 0, 7000]], np.int16), 2, "TIFF of signed or 32-bit pixels is not decoded"),
        (np.array([[0, 1, 70000]], np.uint32), 1, "TIFF of signed or 32-bit pixels is not decoded"),
    ],
)
def test_grey_without_an_agreed_white_is_refused(samples: np.ndarray, sample_format: int, words: str) -> None:
    with pytest.raises(DecodeError, match=f"{words}, for nothing says which value is white; save it as 8 or 16 bits"):
        decode(tiff(samples, sample_format))


def test_cmyk_goes_pillows_way() -> None:
    data = encode(Image.fromarray(RGB).convert("CMYK"), "TIFF")
    same(pixels(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    same(pixels(data), np.full((3, 4, 3), (255, 0, 0)))


def test_a_path_and_every_kind_of_bytes_are_read(tmp_path: Path) -> None:
    data = encode(RGB, "PNG")
    path = tmp_path / "image"
    path.write_bytes(data)
    for source in (data, bytearray(data), memoryview(data), memoryview(bytearray(data)), path, os.fspath(path)):
        same(pixels(source), RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_only_when_asked(kind: str, orientation: int) -> None:
    from PIL import ImageOps

    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encode(RGB, kind, exif=tags.tobytes())
    plain = Image.open(io.BytesIO(data))
    same(pixels(data, orient=True), np.asarray(ImageOps.exif_transpose(plain)))
    if kind == "JPEG":
        same(pixels(data), np.asarray(plain))
    else:
        import oracle

        same(pixels(data), RGB)
        same(pixels(data, orient=True), oracle.upright(RGB, orientation))


def test_malformed_exif_turns_nothing() -> None:
    data = encode(RGB, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    same(pixels(data, orient=True), RGB)


def test_sixteen_bit_grey_is_turned_as_well() -> None:
    levels = np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000
    tags = Image.Exif()
    tags[0x0112] = 6
    have = pixels(encode(levels, "PNG", exif=tags.tobytes()), orient=True)
    same(have, grey(np.rot90(levels >> 8, -1).astype(np.uint8)))


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_the_limit_on_pixels_holds_before_anything_is_decoded() -> None:
    header_only = png(50_000, 40_000, 8, 2, b"\0" * 40_000)
    with pytest.raises(DecodeError, match=r"50000 x 40000 are 2000000000 pixels, more than max_pixels=1000; pass a la"):
        decode(header_only, max_pixels=1000)


def test_the_limit_is_ours_and_not_the_one_set_in_pil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    data = encode(RGB, "PNG")
    same(pixels(data, max_pixels=35), RGB)
    same(pixels(data), RGB)
    with pytest.raises(DecodeError, match="max_pixels=34"):
        decode(data, max_pixels=34)
    assert Image.MAX_IMAGE_PIXELS == 4


def test_truncated_files_are_errors_even_where_pil_was_told_to_accept_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = Image.fromarray(photo(40, 40))
    for kind in ("PNG", "BMP", "TIFF", "PPM", "GIF", "JPEG"):
        data = encode(image, kind)
        with pytest.raises(DecodeError, match=r"damaged or truncated|not an image"):
            decode(data[: len(data) * 2 // 3])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_every_truncation_is_an_error_or_the_whole_image() -> None:
    data = encode(RGB, "PNG")
    for length in range(len(data)):
        try:
            same(pixels(data[:length]), RGB)  # checksums and the closing chunk may be missing
        except DecodeError:
            continue
        assert length >= len(data) - 20, f"{length} of {len(data)} bytes gave an image"


def test_damaged_files_are_errors_in_words() -> None:
    data = bytearray(encode(photo(30, 30), "PNG"))
    at = data.index(b"IDAT") + 12
    data[at : at + 20] = b"\xff" * 20
    with pytest.raises(DecodeError, match=r"damaged or truncated: ."):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"just some text that is no image", "not an image of a format that PIL knows"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n", "EPS is not decoded: convert"),
    ],
)
def test_what_is_no_image_says_so(data: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        decode(data)


JP2 = (
    b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    b"\0\0\0\x2djp2h\0\0\0\x16ihdr\0\0\0\x10\0\0\0\x10\0\3\7\7\0\0\0\0\0\x0fcolr\1\0\0\0\0\0\x10"
)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\xff\x0a\x7f\x00", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
def test_a_format_without_a_decoder_is_named_and_not_called_damaged(data: bytes, name: str) -> None:
    with pytest.raises(DecodeError, match=f"^PIL here has no decoder for {name}; convert it"):
        decode(data + bytes(40))


@pytest.mark.skipif(features.check("jpg_2000"), reason="this PIL was built with JPEG 2000")
def test_a_decoder_that_pil_was_built_without_is_what_is_missing() -> None:
    with pytest.raises(DecodeError, match=r"^PIL is without a decoder for it \(decoder jpeg2k not available\)"):
        decode(JP2)


@pytest.mark.skipif(not features.check("libtiff"), reason="this PIL was built without libtiff")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_what_libtiff_says_does_not_reach_stderr(compression: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode(photo(60, 60), "TIFF", compression=compression))
    data[100:140] = b"\xff" * 40
    with pytest.raises(DecodeError, match="damaged or truncated"):
        decode(bytes(data))
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError, match="decoder error"):  # what the user's own program does is left as it was
        Image.open(io.BytesIO(data)).load()
    assert capfd.readouterr().err != ""


@pytest.mark.skipif(features.check("webp"), reason="this PIL was built with WebP")
def test_a_format_that_pil_was_built_without_is_named() -> None:
    with pytest.raises(DecodeError, match="WEBP"):
        decode(b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0\x2f\0\0\0\0\x88\x88\x08\0\0\0\0\0\0")


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="cannot be read: No such file"):
        decode(tmp_path / "absent.png")
    with pytest.raises(DecodeError, match="cannot be read: Is a directory"):
        decode(tmp_path)


def test_without_pil_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DecodeError, match=r"pip install fastfeed\[pillow\], or pip install fastfeed\[simd\]"):
        decode(b"GIF89a")
    assert which_pil() is None


def test_which_pil_names_the_installed_one() -> None:
    import PIL

    pil = which_pil()
    assert pil is not None
    assert pil.version == PIL.__version__
    assert pil.simd == (pil.name == "pillow-simd")
    assert ("WebP" in pil.lacks) == (not features.check("webp"))
    from importlib.metadata import distribution

    assert distribution(pil.name).version == pil.version


def test_pil_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, fastfeed.image.decode, fastfeed.image.transforms; assert not {'PIL', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
