"""How large a frame PIL is asked for, by the size of the file; of a JPEG, see ``csrc/jpeg/limits.h``.

A frame costs what its pixels are, however few bytes say so: eleven kilobytes of PNG could ask for a second and for
hundreds of megabytes.  But pages, masks and drawings are mostly empty, and compress a thousand to one, so a frame may
cost far more than its file does, and in proportion to it only where that is large.
"""

from __future__ import annotations

DEFAULT_MAX_PIXELS = 89_478_485  # a quarter of a gigabyte of RGB, as in Pillow

# Bytes that a pixel takes while it is decoded: what PIL keeps of it, where that is not 4; the RGB that is made of it;
# and the frames that some libraries make for themselves.
_KEPT = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_RGB = 3
_ASIDE = {"WEBP": 12, "AVIF": 12, "JPEG2000": 12}
# Allowed to a file of at most 64 KiB: an empty page of A4 at 300 dpi in colour, a mask of 16 megapixels.  Larger files
# are allowed more for each byte, a little more than empty PNGs need: deflate packs 1032 levels of grey into a byte.
_ALLOWED = 64 << 20
_SMALL_FILE = 64 << 10
_ALLOWED_BYTE = 1100 * (1 + _RGB)


def most_pixels(kind: str | None, mode: str, size: int, max_pixels: int) -> int:
    """Return how many pixels a frame may have.

    Parameters
    ----------
    kind, mode : str
        Names that PIL gives the format and the kind of pixels.
    size : int
        Of the file, in bytes.
    max_pixels : int
        The user's; one above the default allows more for the same size of a file, too, in proportion.
    """
    cost = _KEPT.get(mode, 4) + _RGB + _ASIDE.get(kind or "", 0)
    allowed = (_ALLOWED + _ALLOWED_BYTE * max(0, size - _SMALL_FILE)) // cost
    return min(max_pixels, allowed * max(max_pixels, DEFAULT_MAX_PIXELS) // DEFAULT_MAX_PIXELS)
