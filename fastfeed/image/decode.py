"""PIL, and only here: every format but JPEG becomes 8-bit RGB pixels.

Pillow and pillow-simd both provide PIL; neither is a hard dependency, so it is imported where it is used.  Colour goes
the way of Pillow's ``convert("RGB")``: alpha is dropped, not composited.  What is decided here instead:

- 16-bit grey keeps its high byte, as Pillow does for 16-bit colour; ``convert`` would clip at 255.
- Floating-point and 32-bit grey is refused: nothing in the file says which value is white, and ``convert`` would make
  black of [0, 1].
- A TIFF is turned upright only on request, as other formats are; PIL always turns it.
- Of several frames the first counts.
- EPS is refused: opening one runs a PostScript interpreter on it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastfeed.errors import FastfeedError
from fastfeed.image.limits import DEFAULT_MAX_PIXELS, most_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

INSTALL_PIL = "pip install fastfeed[pillow], or pip install fastfeed[simd]"

_ORIENTATION_TAG = 0x0112
_TILE_TAGS = 322, 323  # width and height
_STRIP_PIXELS = 1 << 16
_REFUSED_FORMATS = {"EPS": "convert it to PNG first; opening it would run the program that it contains"}
# Formats whose mode I holds 16-bit values; elsewhere it is 32 bits with no agreed white.
_SIXTEEN_BITS_AS_I = {"PNG", "PPM"}

# What begins a file of a format that PIL has no decoder for, or only one that has to be installed.
_OTHERS = (
    (re.compile(rb"....ftyp(hei[cfmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "AVIF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  "), "JPEG 2000"),
)
_NOT_BUILT_IN = re.compile(r"decoder \w+ not available")
# What a PNG may pack into text, which PIL unpacks before it tells the size of the picture; 64 MiB if PIL is asked.
_TEXT_BYTES = 8 << 20
_TOO_MUCH_TEXT = re.compile(r"Decompressed data too large|Too much memory used in text")

# PIL keeps its limits in module variables, which are changed for the time of one decode; one thread at a time may.
_pil_settings_lock = threading.Lock()


class DecodeError(FastfeedError):
    """Bytes that PIL cannot turn into pixels; the text is the reason, without a path."""


class BeyondLimitError(DecodeError):
    """A frame that is larger than `max_pixels`, or far larger than its file."""


@dataclass(frozen=True)
class Pil:
    """Which PIL is installed.

    Attributes
    ----------
    name : str
        Name of the distribution: "pillow-simd" or "pillow".
    version : str
    simd : bool
        Whether it is the one with SIMD.
    lacks : tuple of str
        What it was built without: "PNG", "TIFF", "WebP"; a file of such a format may be an error.
    """

    name: str
    version: str
    simd: bool
    lacks: tuple[str, ...]


def which_pil() -> Pil | None:
    """Say which distribution provides PIL here, or None where there is none."""
    try:
        import PIL
        from PIL import features
    except ImportError:
        return None
    # Only pillow-simd numbers its releases so: the Pillow that it follows, and .postN.
    simd = ".post" in PIL.__version__
    needs = {"PNG": "zlib", "TIFF": "libtiff", "WebP": "webp"}
    lacks = tuple(name for name, library in needs.items() if not features.check(library))
    return Pil("pillow-simd" if simd else "pillow", PIL.__version__, simd, lacks)


def decode(
    data_or_path: bytes | bytearray | memoryview | str | os.PathLike[str],
    *,
    max_pixels: int | None = None,
    orient: bool = False,
) -> tuple[bytearray, int, int]:
    """Decode the first frame of an image of any format that PIL opens.

    Parameters
    ----------
    data_or_path : bytes-like, str or path
        The encoded image, or the file that holds it.
    max_pixels : int, optional
        Largest frame, width times height; checked before anything is decoded, as is what the size of the file gives
        reason for (`fastfeed.image.limits`).  None is no limit.
    orient : bool
        Turn the image upright by its EXIF orientation.

    Returns
    -------
    rgb : bytearray
        uint8, shape (height, width, 3), C order.
    width, height : int
        In pixels.

    Raises
    ------
    DecodeError
        PIL is missing; the file cannot be read, is no image, is damaged, truncated or too large.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise DecodeError(f"only JPEG can be read without PIL: {INSTALL_PIL}") from error
    if isinstance(data_or_path, str | os.PathLike):
        try:
            data_or_path = Path(data_or_path).read_bytes()
        except OSError as error:
            raise DecodeError(f"cannot be read: {error.strerror}") from error
    if len(data_or_path) == 0:
        raise DecodeError("the file is empty")
    with _our_settings() as caught:
        try:
            with Image.open(io.BytesIO(data_or_path)) as image:
                _refuse(image)
                if max_pixels is not None:
                    _limit(image, len(data_or_path), max_pixels)
                # Only of a TIFF: to ask a PNG loads it, and what that raises would be lost.
                stored = _orientation(image) if image.format == "TIFF" else 1
                with _libtiff_silent() if image.format == "TIFF" else contextlib.nullcontext():
                    image.load()
                turned = _turned(image, stored, upright=orient)
                return _rgb(turned), *turned.size
        except DecodeError:
            raise
        except UnidentifiedImageError as error:
            hints = "".join(f"; {warning.message}" for warning in caught)  # such as "WEBP support not installed"
            raise DecodeError(f"{_unknown(data_or_path[:16])}{hints}") from error
        except Image.DecompressionBombError as error:
            raise BeyondLimitError(
                f"a frame inside is larger than max_pixels or the size of the file gives reason for ({error}); pass a "
                "larger max_pixels if it is meant to be so large"
            ) from error
        except MemoryError as error:
            raise DecodeError("not enough memory to decode it") from error
        except Exception as error:  # plugins raise whatever their parsers trip over
            if _NOT_BUILT_IN.fullmatch(str(error)):
                raise DecodeError(f"PIL is without a decoder for it ({error}): {INSTALL_PIL}, or convert it") from error
            if _TOO_MUCH_TEXT.match(str(error)):
                raise BeyondLimitError(
                    "its text or colour profile is larger than any that is read, 1 MiB each and 8 MiB in all; "
                    "save it without"
                ) from error
            raise DecodeError(f"damaged or truncated: {str(error) or type(error).__name__}") from error


def refuse_unless_an_image(beginning: bytes | memoryview) -> None:
    """Raise DecodeError where these first bytes of a file begin no image of a format that PIL knows."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DecodeError(f"only JPEG can be read without PIL: {INSTALL_PIL}") from error
    prefix = bytes(beginning[:16])
    if prefix.startswith(b"\xff\xd8\xff"):
        raise DecodeError(f"the JPEG is corrupt: no header in its first {len(beginning)} bytes")
    Image.init()
    with _our_settings():
        for factory, accept in (Image.OPEN[name] for name in Image.ID):
            try:
                if accept(prefix) if accept is not None else factory(io.BytesIO(beginning), ""):
                    return
            except Exception:  # what parsers raise where the bytes are of another format
                continue
    raise DecodeError(_unknown(prefix))


def _unknown(prefix: bytes | bytearray | memoryview) -> str:
    """Say why PIL cannot tell what a file is that begins so."""
    for beginning, name in _OTHERS:
        if beginning.match(prefix):
            return f"PIL here has no decoder for {name}; convert it to JPEG, PNG or WebP"
    return "not an image of a format that PIL knows"


@contextlib.contextmanager
def _libtiff_silent() -> Iterator[None]:
    """Keep libtiff from writing to stderr, where nobody could tell of which file it speaks; PIL raises as well."""
    set_handler = _libtiff_error_handler()
    before = None if set_handler is None else set_handler(None)
    try:
        yield
    finally:
        if set_handler is not None:
            set_handler(before)


@functools.cache
def _libtiff_error_handler() -> Callable[[int | None], int | None] | None:
    """Return TIFFSetErrorHandler of the libtiff that PIL uses, or None where there is none to be found."""
    import ctypes

    from PIL import _imaging

    try:
        function = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler  # or of what it is linked with
    except (OSError, AttributeError):
        return None
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    handler: Callable[[int | None], int | None] = function
    return handler


@contextlib.contextmanager
def _our_settings() -> Iterator[list[warnings.WarningMessage]]:
    """Give PIL's global settings the values that this module stands for, and put them back.

    What PIL warns about is collected, not shown: odd metadata mostly, and what matters raises.

    The limit on pixels is checked here and nowhere else, and a truncated file is an error whatever the program that we
    run in has asked PIL for: the same bytes have to come out as in a worker.
    """
    from PIL import Image, ImageFile, PngImagePlugin

    with _pil_settings_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        text = PngImagePlugin.MAX_TEXT_MEMORY
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        PngImagePlugin.MAX_TEXT_MEMORY = _TEXT_BYTES
        try:
            yield caught
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limit, truncated
            PngImagePlugin.MAX_TEXT_MEMORY = text


def _refuse(image: Image.Image) -> None:
    """Raise for a frame that must not be decoded; only its header has been read."""
    if image.format in _REFUSED_FORMATS:
        raise DecodeError(f"{image.format} is not decoded: {_REFUSED_FORMATS[image.format]}")
    if image.mode == "F" or (image.mode == "I" and image.format not in _SIXTEEN_BITS_AS_I):
        raise DecodeError(
            f"{image.format} of {'floating-point' if image.mode == 'F' else 'signed or 32-bit'} pixels is not decoded, "
            "for nothing says which value is white; save it as 8 or 16 bits without a sign"
        )


def _limit(image: Image.Image, size: int, max_pixels: int) -> None:
    """Raise for a frame that is too large, by itself or for a file of this size, and limit those inside of it."""
    from PIL import Image

    width, height = image.size
    if width * height > max_pixels:
        raise BeyondLimitError(
            f"{width} x {height} are {width * height} pixels, more than max_pixels={max_pixels}; "
            "pass a larger max_pixels if the file is meant to be so large"
        )
    if image.format == "TIFF":  # a whole tile is decoded, however little of it is picture
        tile = (getattr(image, "tag_v2", {}).get(tag) for tag in _TILE_TAGS)
        width, height = (
            max(side, own) if isinstance(own, int) else side for side, own in zip(image.size, tile, strict=True)
        )
    most = most_pixels(image.format, image.mode, size, max_pixels)
    if width * height > most:
        needed = -(-width * height * max(max_pixels, DEFAULT_MAX_PIXELS) // most)
        raise BeyondLimitError(
            f"{width} x {height} pixels are far more than {size} bytes of {image.format} give reason for; "
            f"pass max_pixels={needed} if it is meant to have them"
        )
    # An icon's header does not say what it holds.  PIL warns of what is above its limit, and refuses twice as much.
    Image.MAX_IMAGE_PIXELS = -(-most_pixels(image.format, "RGB", size, max_pixels) // 2)


def _rgb(image: Image.Image) -> bytearray:
    """Return the pixels as RGB, a strip at a time: a second image, and pieces to be joined, would take their memory."""
    # Transparency in a side entry would be dropped too, but with a warning or a search for its colour.
    image.info.pop("transparency", None)
    width, height = image.size
    made = bytearray(3 * width * height)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = _to_rgb(image.crop((0, top, width, bottom)), image.format)
        made[3 * width * top : 3 * width * bottom] = strip.tobytes()
    return made


def _to_rgb(image: Image.Image, kind: str | None) -> Image.Image:
    """Return an image, or a part of one in a format of this name, in mode RGB."""
    from PIL import Image

    mode = image.mode
    if mode == "RGB":
        return image
    if mode.startswith("I;16") or (mode == "I" and kind in _SIXTEEN_BITS_AS_I):
        size = 4 if mode == "I" else 2
        big = mode == "I;16B" or (mode in ("I", "I;16N") and sys.byteorder == "big")
        high_byte = size - 2 if big else 1
        image = Image.frombytes("L", image.size, image.tobytes()[high_byte::size])
    elif mode in ("La", "RGBa"):  # premultiplied alpha, which convert takes only back to straight alpha
        image = image.convert(mode.upper())
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return how the stored image has to be turned, 1 to 8, by its metadata."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # malformed metadata says nothing
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _turned(image: Image.Image, stored: int, *, upright: bool) -> Image.Image:
    """Return the loaded image upright, or as it was; `stored` is the orientation before PIL loaded it, if a TIFF's."""
    from PIL import Image

    have = _orientation(image)  # for TIFF, PIL turns the image itself, and removes the tag
    back = 1 if have == stored else {6: 8, 8: 6}.get(stored, stored)
    way = have if upright else back
    if way == 1:
        return image
    turns = Image.Transpose
    order = (
        turns.FLIP_LEFT_RIGHT,
        turns.ROTATE_180,
        turns.FLIP_TOP_BOTTOM,
        turns.TRANSPOSE,
        turns.ROTATE_270,
        turns.TRANSVERSE,
        turns.ROTATE_90,
    )
    turned = image.transpose(order[way - 2])
    turned.format = image.format  # it says what mode I means
    return turned
