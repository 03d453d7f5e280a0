"""The transforms that a user names, checked and compiled to the native plan that every sample follows.

    size, [Resize, flips, jitter, ..., callables, Normalize], dtype, layout  ->  Compiled

Nothing here touches pixels: a transform is a frozen record, and :func:`compile_plan` lays the records out for the
kernel (``csrc/image/plan.h``).  Each packs its parameters as the struct in its own file of ``csrc/image`` has them.
Where plain callables follow, the kernel makes uint8 NHWC for them, and a second plan without transforms stores what
they return.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastfeed import _native
from fastfeed.errors import ConfigError

DEFAULT_MAX_PIXELS = 89_478_485  # a quarter of a gigabyte of RGB, as in Pillow
DEFAULT_MAX_SCANS = 100  # progressive JPEGs have about 10; each scan costs a pass over the whole image
DEFAULT_MAX_BYTES = 1 << 30
MAX_SIDE = 65_535  # of an output, in pixels; JPEG's own limit

# The kernel's numbers by name.
DTYPES, LAYOUTS, FILTERS, FITS = _native.DTYPES, _native.LAYOUTS, _native.FILTERS, _native.FITS

Size = int | Sequence[int]
Fill = float | Sequence[float]
Op = tuple[int, bytes]  # a kind, and its parameters as the struct of csrc/image has them


def _fail(where: str, option: str, value: object, remedy: str) -> ConfigError:
    return ConfigError(f"{where}: {option}={value!r} cannot work; {remedy}")


def _number(where: str, option: str, value: object, remedy: str) -> float:
    """Return a finite real number; booleans, strings and arrays are none."""
    if isinstance(value, bool | str | bytes | complex):
        raise _fail(where, option, value, remedy)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise _fail(where, option, value, remedy) from None
    if not math.isfinite(number):
        raise _fail(where, option, value, remedy)
    return number


def _numbers(where: str, option: str, value: object, counts: tuple[int, ...], remedy: str) -> tuple[float, ...]:
    """Return a tuple of finite numbers, as many as one of counts says."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise _fail(where, option, value, remedy)
    items = tuple(value)
    if len(items) not in counts:
        raise _fail(where, option, value, remedy)
    return tuple(_number(where, option, item, remedy) for item in items)


def _is_sequence(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def _range(where: str, option: str, value: object, low: float, high: float, remedy: str) -> tuple[float, float]:
    """Return (first, second) with low <= first <= second <= high."""
    first, second = _numbers(where, option, value, (2,), remedy)
    if not low <= first <= second <= high:
        raise _fail(where, option, value, remedy)
    return first, second


def _range_around_zero(where: str, option: str, value: object, most: float, remedy: str) -> tuple[float, float]:
    """Return a range within -most..most; a number v that is not negative is (-v, v)."""
    if _is_sequence(value):
        return _range(where, option, value, -most, most, remedy)
    number = _number(where, option, value, remedy)
    if not 0.0 <= number <= most:
        raise _fail(where, option, value, remedy)
    return -number, number


def _size(where: str, option: str, value: object) -> tuple[int, int]:
    """Return (height, width); a whole number is a square."""
    remedy = f"give a whole number of pixels from 1 to {MAX_SIDE}, or (height, width)"
    pair = _numbers(where, option, value, (2,), remedy) if _is_sequence(value) else ()
    height, width = pair or (_number(where, option, value, remedy),) * 2
    if not all(side == int(side) and 1 <= side <= MAX_SIDE for side in (height, width)):
        raise _fail(where, option, value, remedy)
    return int(height), int(width)


def _choice(where: str, option: str, value: object, choices: Iterable[str]) -> str:
    names = tuple(choices)
    if not isinstance(value, str) or value not in names:
        raise _fail(where, option, value, "choose one of " + ", ".join(f'"{name}"' for name in names))
    return value


def _fill(where: str, value: object) -> tuple[float, float, float]:
    """Return (red, green, blue); one number is a grey."""
    remedy = "give a number from 0 to 255, or three (red, green, blue)"
    if _is_sequence(value):
        red, green, blue = _numbers(where, "fill", value, (3,), remedy)
    else:
        red = green = blue = _number(where, "fill", value, remedy)
    if not all(0.0 <= level <= 255.0 for level in (red, green, blue)):
        raise _fail(where, "fill", value, remedy)
    return red, green, blue


def _probability(where: str, value: object) -> float:
    remedy = "give a probability from 0 to 1"
    p = _number(where, "p", value, remedy)
    if not 0.0 <= p <= 1.0:
        raise _fail(where, "p", value, remedy)
    return p


def _op(kind: str, form: str, *parameters: float) -> Op:
    """Return the parameters packed for the kernel: whole numbers and floats, of four bytes each."""
    try:
        return _native.OPS[kind], struct.pack(form, *parameters)
    except OverflowError:
        raise ConfigError(f"{kind}: a number of {parameters} is too large; give numbers below 1e38") from None


class Transform:
    """What all transforms share: they check themselves when they are made."""

    def __post_init__(self) -> None:
        self._op()

    def _op(self) -> Op | None:
        """Return (kind, ints, floats) for the kernel, or None where the plan itself holds the work."""
        raise NotImplementedError

    def _output_size(self) -> tuple[int, int] | None:
        """Return (height, width) where every image leaves with that size."""
        return None


@dataclass(frozen=True)
class Resize(Transform):
    """Scale the whole frame, antialiased, with Pillow's geometry.

    Unlike torchvision's, the result always has exactly `size`: for torchvision's ``Resize(256)``, which scales the
    shorter side and keeps the rest, write ``Resize(256, fit="cover")``: what a ``CenterCrop(256)`` after it would keep,
    to half a pixel.

    Parameters
    ----------
    size : int or (int, int)
        Output in pixels: a square, or (height, width).
    fit : {"stretch", "cover", "contain"}
        What is done about another aspect ratio: "stretch" distorts; "cover" keeps it and cuts off what is too much on
        two sides; "contain" keeps it and fills what is missing on two sides.
    filter : {"nearest", "box", "bilinear", "bicubic", "lanczos"}
        Resampling filter.
    fill : float or (float, float, float)
        Colour around the image where fit is "contain", 0 to 255.

    Raises
    ------
    ConfigError
        An option that cannot work.
    """

    size: Size
    fit: str = "stretch"
    filter: str = "bilinear"
    fill: Fill = 0

    def _op(self) -> Op:
        height, width = _size("Resize", "size", self.size)
        fit = FITS[_choice("Resize", "fit", self.fit, FITS)]
        filter = FILTERS[_choice("Resize", "filter", self.filter, FILTERS)]
        return _op("resize", "=4i3f", height, width, fit, filter, *_fill("Resize", self.fill))

    def _output_size(self) -> tuple[int, int]:
        return _size("Resize", "size", self.size)


@dataclass(frozen=True)
class CenterCrop(Transform):
    """Cut out the middle; zeros where the image is smaller, as torchvision.

    Parameters
    ----------
    size : int or (int, int)
        Output in pixels: a square, or (height, width).
    """

    size: Size

    def _op(self) -> Op:
        return _op("center_crop", "=2i", *_size("CenterCrop", "size", self.size))

    def _output_size(self) -> tuple[int, int]:
        return _size("CenterCrop", "size", self.size)


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Cut out a random part of random size and aspect ratio, and scale it to `size`.

    Parameters
    ----------
    size : int or (int, int)
        Output in pixels: a square, or (height, width).
    scale : (float, float)
        Range of the part's area, as a fraction of the image's.
    ratio : (float, float)
        Range of the part's width / height, drawn evenly on a logarithmic scale.
    filter : {"nearest", "box", "bilinear", "bicubic", "lanczos"}
        Resampling filter.
    """

    size: Size
    scale: Sequence[float] = (0.08, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)
    filter: str = "bilinear"

    def _op(self) -> Op:
        name = "RandomResizedCrop"
        least, most = _range(name, "scale", self.scale, 0.0, 1.0, "give (low, high) with 0 < low <= high <= 1")
        if least <= 0.0:
            raise _fail(name, "scale", self.scale, "give (low, high) with 0 < low <= high <= 1")
        low, high = _range(name, "ratio", self.ratio, 0.0, math.inf, "give (low, high) with 0 < low <= high")
        if low <= 0.0:
            raise _fail(name, "ratio", self.ratio, "give (low, high) with 0 < low <= high")
        filter = FILTERS[_choice(name, "filter", self.filter, FILTERS)]
        height, width = _size(name, "size", self.size)
        return _op("random_resized_crop", "=3i4f", height, width, filter, least, most, low, high)

    def _output_size(self) -> tuple[int, int]:
        return _size("RandomResizedCrop", "size", self.size)


@dataclass(frozen=True)
class RandomHorizontalFlip(Transform):
    """Mirror left and right with probability `p`."""

    p: float = 0.5

    def _op(self) -> Op:
        return _op("horizontal_flip", "=f", _probability("RandomHorizontalFlip", self.p))


@dataclass(frozen=True)
class RandomVerticalFlip(Transform):
    """Mirror top and bottom with probability `p`."""

    p: float = 0.5

    def _op(self) -> Op:
        return _op("vertical_flip", "=f", _probability("RandomVerticalFlip", self.p))


@dataclass(frozen=True)
class RandomAffine(Transform):
    """Rotate, shift, shear and zoom about the centre; the image keeps its size.

    The steps are composed as in torchvision.  What lies outside the image has the colour `fill`; with the bilinear
    filter a pixel on the edge is a blend of image and `fill`, so that edges are smooth.

    Parameters
    ----------
    degrees : float or (float, float)
        Range of the rotation, clockwise; a number d is (-d, d).
    translate : (float, float), optional
        Largest shift, as fractions of the width and of the height; shifts are whole pixels, either way.
    scale : (float, float), optional
        Range of the zoom; above 1 the content grows.
    shear : float, (float, float) or (float, float, float, float), optional
        Range of the shear in degrees, between -90 and 90: a number s is (-s, s) along x; two are the range along x;
        four are the ranges along x and along y.
    filter : {"nearest", "bilinear"}
        How values between pixels are made.
    fill : float or (float, float, float)
        Colour outside the image, 0 to 255.
    """

    degrees: float | Sequence[float] = 0
    translate: Sequence[float] | None = None
    scale: Sequence[float] | None = None
    shear: float | Sequence[float] | None = None
    filter: str = "bilinear"
    fill: Fill = 0

    def _op(self) -> Op:
        name = "RandomAffine"
        remedy = "give a number of degrees that is not negative, or (low, high)"
        degrees = _range_around_zero(name, "degrees", self.degrees, math.inf, remedy)
        translate = (0.0, 0.0)
        if self.translate is not None:
            remedy = "give fractions of the width and of the height, each from 0 to 1"
            x, y = _numbers(name, "translate", self.translate, (2,), remedy)
            if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
                raise _fail(name, "translate", self.translate, remedy)
            translate = (x, y)
        zoom = (1.0, 1.0)
        if self.scale is not None:
            remedy = "give (low, high) with 0.001 <= low <= high <= 1000"
            zoom = _range(name, "scale", self.scale, 0.001, 1000.0, remedy)
        filter = FILTERS[_choice(name, "filter", self.filter, ("nearest", "bilinear"))]
        ranges = (*degrees, *translate, *zoom, *self._shear_ranges())
        return _op("affine", "=i13f", filter, *ranges, *_fill(name, self.fill))

    def _shear_ranges(self) -> tuple[float, ...]:
        """Return the ranges along x and along y."""
        remedy = "give degrees between -90 and 90: a number, (low, high), or (x low, x high, y low, y high)"
        if self.shear is None:
            return 0.0, 0.0, 0.0, 0.0
        bounds: tuple[float, ...]
        if _is_sequence(self.shear):
            bounds = _numbers("RandomAffine", "shear", self.shear, (2, 4), remedy)
        else:
            bounds = _range_around_zero("RandomAffine", "shear", self.shear, 90.0, remedy)
        for low, high in zip(bounds[::2], bounds[1::2], strict=True):
            if not -90.0 < low <= high < 90.0:
                raise _fail("RandomAffine", "shear", self.shear, remedy)
        return bounds if len(bounds) == 4 else (*bounds, 0.0, 0.0)


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by random factors, in random order.

    Meanings are torchvision's.  One thing differs: torchvision rounds and clips to 0..255 after each of the four; here
    only once, at the end, because all but hue are one matrix.  (Turning the hue rounds and clips before and after.)

    Parameters
    ----------
    brightness, contrast, saturation : float or (float, float)
        Range of the factor; a number v is (max(0, 1 - v), 1 + v).
    hue : float or (float, float)
        Range of the turn, in turns of the colour circle, from -0.5 to 0.5; a number h is (-h, h).
    """

    brightness: float | Sequence[float] = 0
    contrast: float | Sequence[float] = 0
    saturation: float | Sequence[float] = 0
    hue: float | Sequence[float] = 0

    def _op(self) -> Op:
        bounds: list[float] = []
        for option in ("brightness", "contrast", "saturation"):
            remedy = "give a number that is not negative, or (low, high) with 0 <= low <= high"
            value = getattr(self, option)
            if _is_sequence(value):
                bounds += _range("ColorJitter", option, value, 0.0, math.inf, remedy)
            else:
                amount = _number("ColorJitter", option, value, remedy)
                if amount < 0.0:
                    raise _fail("ColorJitter", option, value, remedy)
                bounds += (max(0.0, 1.0 - amount), 1.0 + amount)
        remedy = "give a number from 0 to 0.5, or (low, high) with -0.5 <= low <= high <= 0.5"
        bounds += _range_around_zero("ColorJitter", "hue", self.hue, 0.5, remedy)
        return _op("color_jitter", "=8f", *bounds)


@dataclass(frozen=True)
class Normalize(Transform):
    """Subtract `mean` and divide by `std`, channel by channel, in the scale where white is 1; the last transform.

    Parameters
    ----------
    mean, std : float or (float, float, float)
        One number for all channels, or one each for red, green and blue.
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def _op(self) -> None:
        self._scale_and_bias()

    def _scale_and_bias(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the factors and offsets that take a channel of 0..255 to its stored value."""
        remedy = "give a number, or three (red, green, blue)"
        three = {}
        for option in ("mean", "std"):
            value = getattr(self, option)
            if _is_sequence(value):
                three[option] = _numbers("Normalize", option, value, (3,), remedy)
            else:
                three[option] = (_number("Normalize", option, value, remedy),) * 3
        if min(three["std"]) <= 0.0:
            raise _fail("Normalize", "std", self.std, "give numbers above 0")
        scale = tuple(1.0 / (255.0 * std) for std in three["std"])
        bias = tuple(-mean / std for mean, std in zip(three["mean"], three["std"], strict=True))
        return scale, bias


Callables = tuple[Callable[[Any], Any], ...]


@dataclass(frozen=True)
class Compiled:
    """What a worker needs to turn an image into a row of a batch.

    Attributes
    ----------
    plan : bytes
        The packed ``ff_plan``; where callables follow, it makes uint8 NHWC for them.
    out_h, out_w : int
        Size of every sample, in pixels.
    dtype, layout : str
        Of the stored row.
    callables : tuple of callable
        Python transforms, in order; each takes and returns uint8 of shape (out_h, out_w, 3).
    python_plan : bytes or None
        The plan that stores what the callables return; None where there are none.
    """

    plan: bytes
    out_h: int
    out_w: int
    dtype: str
    layout: str
    callables: Callables = ()
    python_plan: bytes | None = None


def compile_plan(
    size: Size | None,
    transforms: Iterable[object] | None = None,
    dtype: object = "float32",
    layout: str = "NHWC",
    *,
    exact: bool = False,
    orient: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_scans: int = DEFAULT_MAX_SCANS,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Compiled:
    """Check the transforms as a chain and pack them for the kernel.

    Parameters
    ----------
    size : int, (int, int) or None
        The same as a :class:`Resize` in front of `transforms`.
    transforms : iterable of Transform and callable, optional
        The chain; callables come after all others but :class:`Normalize`.
    dtype : {"uint8", "float16", "float32"}
        Of the stored row; a NumPy dtype or scalar type of that name does as well.
    layout : {"NHWC", "NCHW"}
        Of the stored row.
    exact : bool
        Never decode a JPEG at a reduced scale.
    orient : bool
        Turn images upright by their EXIF orientation first.
    max_pixels, max_scans, max_bytes : int
        Limits for one file: pixels of the frame, scans of a progressive JPEG, encoded bytes.

    Returns
    -------
    Compiled

    Raises
    ------
    ConfigError
        A chain that cannot work, with what to change.
    """
    stored = _choice("images", "dtype", _dtype_name(dtype), DTYPES)
    _choice("images", "layout", layout, LAYOUTS)
    scans = _limit("max_scans", max_scans)
    pixels = _limit("max_pixels", max_pixels)
    size_limit = _limit("max_bytes", max_bytes)
    natives, callables, normalize = _sorted_out(size, transforms)
    out_h, out_w = _final_size(natives)
    ops = [op for op in (native._op() for native in natives) if op is not None]
    if len(ops) > _native.MAX_OPS:
        raise ConfigError(
            f"transforms: {len(ops)} native transforms, but a plan holds {_native.MAX_OPS}; leave some out"
        )

    scale, bias = _store_as(stored, normalize)

    def pack(ops: list[Op], dtype: str, layout: str, scale: Sequence[float], bias: Sequence[float]) -> bytes:
        kind, order = DTYPES[dtype], LAYOUTS[layout]
        return _native.pack_plan(
            ops, out_h, out_w, kind, order, bool(exact), bool(orient), scans, pixels, size_limit, scale, bias
        )

    if not callables:
        return Compiled(pack(ops, stored, layout, scale, bias), out_h, out_w, stored, layout)
    first = pack(ops, "uint8", "NHWC", (1.0,) * 3, (0.0,) * 3)
    return Compiled(first, out_h, out_w, stored, layout, callables, pack([], stored, layout, scale, bias))


def _dtype_name(dtype: object) -> object:
    """Return the name of a NumPy dtype or scalar type, without importing NumPy; anything else as it is."""
    if isinstance(dtype, type):
        return dtype.__name__
    return getattr(dtype, "name", dtype)


def _limit(option: str, value: object) -> int:
    most = 2**31 - 1 if option == "max_scans" else 2**53
    remedy = f"give a whole number from 1 to {most}"
    number = _number("images", option, value, remedy)
    if number != int(number) or not 1 <= number <= most:
        raise _fail("images", option, value, remedy)
    return int(number)


def _sorted_out(size: Size | None, transforms: object) -> tuple[list[Transform], Callables, Normalize | None]:
    """Return the chain as (native transforms, callables, Normalize or None), its order checked."""
    if transforms is None:
        transforms = ()
    if isinstance(transforms, str | bytes) or not isinstance(transforms, Iterable):
        raise _fail("images", "transforms", transforms, "put it into a list")
    natives: list[Transform] = [] if size is None else [Resize(_size("images", "size", size))]
    callables: list[Callable[[Any], Any]] = []
    normalize: Normalize | None = None
    for transform in transforms:
        if normalize is not None:
            raise ConfigError(
                f"transforms: {_name(transform)} follows Normalize; make one Normalize the last of the list"
            )
        if isinstance(transform, Normalize):
            normalize = transform
        elif isinstance(transform, Transform):
            if callables:
                raise ConfigError(
                    f"transforms: {_name(transform)} follows the callable {_name(callables[-1])}; "
                    "put callables after every transform of fastfeed but Normalize"
                )
            natives.append(transform)
        else:
            callables.append(_checked_callable(transform))
    return natives, tuple(callables), normalize


def _checked_callable(transform: object) -> Callable[[Any], Any]:
    if isinstance(transform, type) and issubclass(transform, Transform):
        raise ConfigError(f"transforms: {_name(transform)} is a class; write {_name(transform)}(...)")
    if type(transform).__module__.partition(".")[0] == "torchvision":
        raise ConfigError(
            f"transforms: {_name(transform)} is torchvision's and does not take NumPy arrays; "
            f"use fastfeed's transform of that name, or wrap it in a function from uint8 HWC array to array"
        )
    if not callable(transform):
        raise ConfigError(
            f"transforms: {transform!r} is neither a transform nor callable; "
            "give fastfeed's transforms, or functions from uint8 HWC array to array"
        )
    return transform


def _name(thing: object) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def _final_size(natives: Sequence[Transform]) -> tuple[int, int]:
    """Return the size at the end of the chain; transforms that set none keep what came to them."""
    sizes = [size for size in (native._output_size() for native in natives) if size is not None]
    if not sizes:
        raise ConfigError(
            "transforms: images would keep their own sizes and not fit into one batch; "
            "pass size=..., or add Resize, CenterCrop or RandomResizedCrop"
        )
    return sizes[-1]


def _store_as(dtype: str, normalize: Normalize | None) -> tuple[Sequence[float], Sequence[float]]:
    if dtype == "uint8":
        if normalize is not None:
            raise ConfigError('Normalize needs fractions, but dtype="uint8" has none; pass dtype="float32" or drop it')
        return (1.0,) * 3, (0.0,) * 3
    return (normalize or Normalize(0.0, 1.0))._scale_and_bias()
