"""The transforms that a user names: frozen records that check themselves.

Nothing here touches pixels; ``plan.py`` lays the records out for the kernel, which does.  Each packs its parameters as
the struct in its own file of ``csrc/image`` has them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fastfeed import _native, options

__all__ = [  # the public names, for the stub of the package
    "CenterCrop",
    "ColorJitter",
    "Normalize",
    "RandomAffine",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
]

FILTERS, FITS = _native.FILTERS, _native.FITS  # the kernel's numbers by name

Size = int | Sequence[int]
Fill = float | Sequence[float]
Op = tuple[int, bytes]  # a kind, and its parameters as the struct of csrc/image has them

_ABOVE_ZERO = math.ulp(0.0)  # the smallest number that is
_FAR_FROM_WHITE = 2.0
_UPRIGHT = math.nextafter(90.0, 0.0)  # degrees of shear: at 90, nothing but a line is left


class Transform:
    """What all transforms share: they check themselves when they are made."""

    def __post_init__(self) -> None:
        self._op()

    def _op(self) -> Op | None:
        """Return what the kernel gets, or None where the plan itself holds the work."""
        raise NotImplementedError

    def _packed(self, kind: str, form: str, *parameters: float) -> Op:
        """Return parameters packed for the kernel; `form` is that of the C struct, as `struct` has it."""
        try:
            return _native.OPS[kind], struct.pack(form, *parameters)
        except OverflowError:
            raise options.wrong(type(self).__name__, parameters, "pass numbers below 1e38") from None

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
        height, width = options.size("Resize.size", self.size)
        fit = FITS[options.one_of("Resize.fit", self.fit, FITS)]
        filter = FILTERS[options.one_of("Resize.filter", self.filter, FILTERS)]
        return self._packed("resize", "=4i3f", height, width, fit, filter, *options.fill("Resize.fill", self.fill))

    def _output_size(self) -> tuple[int, int]:
        return options.size("Resize.size", self.size)


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
        return self._packed("center_crop", "=2i", *options.size("CenterCrop.size", self.size))

    def _output_size(self) -> tuple[int, int]:
        return options.size("CenterCrop.size", self.size)


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
        remedy = "pass (low, high) with 0 < low <= high <= 1"
        area = options.number_range("RandomResizedCrop.scale", self.scale, _ABOVE_ZERO, 1.0, remedy)
        remedy = "pass (low, high) with 0 < low <= high"
        ratio = options.number_range("RandomResizedCrop.ratio", self.ratio, _ABOVE_ZERO, math.inf, remedy)
        filter = FILTERS[options.one_of("RandomResizedCrop.filter", self.filter, FILTERS)]
        height, width = options.size("RandomResizedCrop.size", self.size)
        return self._packed("random_resized_crop", "=3i4f", height, width, filter, *area, *ratio)

    def _output_size(self) -> tuple[int, int]:
        return options.size("RandomResizedCrop.size", self.size)


@dataclass(frozen=True)
class RandomHorizontalFlip(Transform):
    """Mirror left and right with probability `p`."""

    p: float = 0.5

    def _op(self) -> Op:
        return self._packed("horizontal_flip", "=f", options.probability("RandomHorizontalFlip.p", self.p))


@dataclass(frozen=True)
class RandomVerticalFlip(Transform):
    """Mirror top and bottom with probability `p`."""

    p: float = 0.5

    def _op(self) -> Op:
        return self._packed("vertical_flip", "=f", options.probability("RandomVerticalFlip.p", self.p))


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
        remedy = "pass a number of degrees that is not negative, or (low, high)"
        degrees = options.range_around_zero("RandomAffine.degrees", self.degrees, math.inf, remedy)
        translate: tuple[float, ...] = (0.0, 0.0)
        if self.translate is not None:
            remedy = "pass fractions of the width and of the height, each from 0 to 1"
            translate = options.numbers("RandomAffine.translate", self.translate, (2,), 0.0, 1.0, remedy)
        zoom = (1.0, 1.0)
        if self.scale is not None:
            remedy = "pass (low, high) with 0.001 <= low <= high <= 1000"
            zoom = options.number_range("RandomAffine.scale", self.scale, 0.001, 1000.0, remedy)
        filter = FILTERS[options.one_of("RandomAffine.filter", self.filter, ("nearest", "bilinear"))]
        fill = options.fill("RandomAffine.fill", self.fill)
        ranges = (*degrees, *translate, *zoom, *self._shear_ranges())
        return self._packed("affine", "=i13f", filter, *ranges, *fill)

    def _shear_ranges(self) -> tuple[float, ...]:
        """Return the ranges along x and along y."""
        name = "RandomAffine.shear"
        remedy = "pass degrees between -90 and 90: a number, (low, high), or (x low, x high, y low, y high)"
        if self.shear is None:
            return 0.0, 0.0, 0.0, 0.0
        if not options.several(self.shear):
            return *options.range_around_zero(name, self.shear, _UPRIGHT, remedy), 0.0, 0.0
        bounds = options.numbers(name, self.shear, (2, 4), -_UPRIGHT, _UPRIGHT, remedy)
        x_low, x_high, y_low, y_high = bounds if len(bounds) == 4 else (*bounds, 0.0, 0.0)
        if x_low > x_high or y_low > y_high:
            raise options.wrong(name, self.shear, remedy)
        return x_low, x_high, y_low, y_high


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
            name, value = f"ColorJitter.{option}", getattr(self, option)
            remedy = "pass a number that is not negative, or (low, high) with 0 <= low <= high"
            if options.several(value):
                bounds += options.number_range(name, value, 0.0, math.inf, remedy)
            else:
                amount = options.number(name, value, 0.0, math.inf, remedy)
                bounds += (max(0.0, 1.0 - amount), 1.0 + amount)
        remedy = "pass a number from 0 to 0.5, or (low, high) with -0.5 <= low <= high <= 0.5"
        bounds += options.range_around_zero("ColorJitter.hue", self.hue, 0.5, remedy)
        return self._packed("color_jitter", "=8f", *bounds)


@dataclass(frozen=True)
class Normalize(Transform):
    """Subtract `mean` and divide by `std`, channel by channel, in the scale where white is 1; the last transform.

    Parameters
    ----------
    mean, std : float or (float, float, float)
        One number for all channels, or one each for red, green and blue.  A mean beyond 2 is refused, as one that was
        meant for levels of 0 to 255.
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def _op(self) -> None:
        self._scale_and_bias()

    def _scale_and_bias(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the factors and offsets that take a channel of 0..255 to its stored value."""
        remedy = "pass a number, or three (red, green, blue)"
        means = options.three("Normalize.mean", self.mean, -math.inf, math.inf, remedy)
        if max(map(abs, means)) > _FAR_FROM_WHITE:
            remedy = "pass mean and std divided by 255, since pixels are scaled to [0, 1] first"
            raise options.wrong("Normalize.mean", self.mean, remedy)
        remedy = "pass a number above 0, or three (red, green, blue)"
        stds = options.three("Normalize.std", self.std, _ABOVE_ZERO, math.inf, remedy)
        scale = tuple(1.0 / (255.0 * std) for std in stds)
        return scale, tuple(-mean / std for mean, std in zip(means, stds, strict=True))
