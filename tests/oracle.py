"""What every transform should do, in plain NumPy and Python: slow, obvious, and written without looking at the C."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]  # (height, width, 3), 0..255

# ---- random numbers: Salmon, Moraes, Dror, Shaw, SC 2011 -------------------------------------------------------------


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int], rounds: int = 10) -> tuple[int, int, int, int]:
    mask = 0xFFFFFFFF
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & mask, (a >> 32) ^ c3 ^ k1, a & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return c0, c1, c2, c3


def uniform(seed: int, epoch: int, index: int, op: int, draw: int) -> float:
    def words(value: int) -> tuple[int, int]:
        return value & 0xFFFFFFFF, value >> 32

    epoch_key = philox4x32((*words(epoch), 0, 0), words(seed))
    first, second, *_ = philox4x32((*words(index), op, draw), epoch_key[:2])
    return ((first << 32 | second) >> 11) / 2**53


class Draws:
    """The numbers that transform number `op` of a plan draws for one sample."""

    def __init__(self, seed: int, epoch: int, index: int, op: int) -> None:
        self.key = (seed, epoch, index, op)

    def __call__(self, draw: int, low: float = 0.0, high: float = 1.0) -> float:
        low, high = float(np.float32(low)), float(np.float32(high))  # a plan holds single precision
        return low + (high - low) * uniform(*self.key, draw)


# ---- resampling, with Pillow's geometry ------------------------------------------------------------------------------


def _sinc(x: float) -> float:
    return 1.0 if x == 0.0 else math.sin(math.pi * x) / (math.pi * x)


def _cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    return (((x - 5.0) * x + 8.0) * x - 4.0) * a if x < 2.0 else 0.0


KERNELS: dict[str, tuple[float, Any]] = {
    "box": (0.5, lambda x: 1.0 if -0.5 < x <= 0.5 else 0.0),
    "bilinear": (1.0, lambda x: max(0.0, 1.0 - abs(x))),
    "bicubic": (2.0, _cubic),
    "lanczos": (3.0, lambda x: _sinc(x) * _sinc(x / 3.0) if -3.0 <= x < 3.0 else 0.0),
}


def weights(source: int, low: float, high: float, target: int, filter: str) -> NDArray[np.float64]:
    """The (target, source) matrix that scales the interval low..high of an axis to `target` pixels."""
    step = (high - low) / target
    matrix = np.zeros((target, source))
    if filter == "nearest":
        for i in range(target):
            matrix[i, min(source - 1, int(low + (i + 0.5) * step))] = 1.0
        return matrix
    support, kernel = KERNELS[filter]
    wide = max(1.0, step)
    for i in range(target):
        centre = low + (i + 0.5) * step
        first = max(0, int(centre - support * wide + 0.5))
        last = min(source, int(centre + support * wide + 0.5))
        for j in range(first, last):
            matrix[i, j] = kernel((j - centre + 0.5) / wide)
        matrix[i] /= matrix[i].sum()
    return matrix


def resize(
    image: Image, size: tuple[int, int], filter: str = "bilinear", box: tuple[float, float, float, float] | None = None
) -> Image:
    """Scale box = (left, top, right, bottom) of the image to size = (height, width)."""
    left, top, right, bottom = box or (0, 0, image.shape[1], image.shape[0])
    rows = weights(image.shape[0], top, bottom, size[0], filter)
    columns = weights(image.shape[1], left, right, size[1], filter)
    return np.clip(np.einsum("ij,jkc,lk->ilc", rows, image, columns, optimize=True), 0.0, 255.0)


# ---- affine: the steps of torchvision's RandomAffine -----------------------------------------------------------------


def _about(cx: float, cy: float, linear: NDArray[np.float64], tx: float = 0.0, ty: float = 0.0) -> NDArray[np.float64]:
    """Homogeneous: move (cx, cy) to the origin, apply linear, move back, shift by (tx, ty)."""
    to_origin = np.array([[1, 0, -cx], [0, 1, -cy], [0, 0, 1.0]])
    back = np.array([[1, 0, cx + tx], [0, 1, cy + ty], [0, 0, 1.0]])
    middle = np.eye(3)
    middle[:2, :2] = linear
    return back @ middle @ to_origin


def affine_matrix(
    height: int, width: int, angle: float, shift: tuple[float, float], zoom: float, shear: tuple[float, float]
) -> NDArray[np.float64]:
    """The 3x3 matrix from output to input in pixel indices; degrees, pixels."""
    a, sx, sy = (math.radians(value) for value in (angle, *shear))
    rotate = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    shear_y = np.array([[1.0, 0.0], [-math.tan(sy), 1.0]])
    shear_x = np.array([[1.0, -math.tan(sx)], [0.0, 1.0]])
    forward = zoom * rotate @ shear_y @ shear_x
    return np.linalg.inv(_about((width - 1) / 2, (height - 1) / 2, forward, *shift))


def affine(image: Image, matrix: NDArray[np.float64], filter: str, fill: tuple[float, float, float]) -> Image:
    """Read every output pixel through the matrix; the plane around the image has the fill colour."""
    height, width, _ = image.shape
    y, x = np.mgrid[:height, :width]
    at_x, at_y = (matrix @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)]))[:2]

    def pixel(ix: NDArray[np.int64], iy: NDArray[np.int64]) -> Image:
        inside = (ix >= 0) & (ix < width) & (iy >= 0) & (iy < height)
        values = image[np.where(inside, iy, 0), np.where(inside, ix, 0)]
        return np.where(inside[:, None], values, np.array(fill))

    if filter == "nearest":
        nearest = pixel(np.floor(at_x + 0.5).astype(np.int64), np.floor(at_y + 0.5).astype(np.int64))
        return nearest.reshape(height, width, 3)
    ix, iy = np.floor(at_x).astype(np.int64), np.floor(at_y).astype(np.int64)
    fx, fy = (at_x - ix)[:, None], (at_y - iy)[:, None]
    upper = pixel(ix, iy) * (1 - fx) + pixel(ix + 1, iy) * fx
    lower = pixel(ix, iy + 1) * (1 - fx) + pixel(ix + 1, iy + 1) * fx
    return (upper * (1 - fy) + lower * fy).reshape(height, width, 3)


def drawn_affine(draws: Draws, height: int, width: int, floats: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix that one RandomAffine op with these floats draws for an image."""
    d = [float(np.float32(value)) for value in floats]
    angle = draws(0, d[0], d[1])
    shift = float(round(d[2] * width * (2 * draws(1) - 1))), float(round(d[3] * height * (2 * draws(2) - 1)))
    return affine_matrix(
        height, width, angle, shift, draws(3, d[4], d[5]), (draws(4, d[6], d[7]), draws(5, d[8], d[9]))
    )


# ---- colour ----------------------------------------------------------------------------------------------------------

GREY = np.array([0.299, 0.587, 0.114])


def turn_hue(image: Image, turns: float) -> Image:
    """Turn the hue through HSV; one pixel at a time with the standard library."""
    import colorsys

    out = np.empty_like(image)
    for y, x in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[y, x] / 255.0))
        out[y, x] = np.array(colorsys.hsv_to_rgb((hue + turns) % 1.0, saturation, value)) * 255.0
    return out


def to_bytes(image: Image) -> Image:
    """Round half up, clipped to 0..255."""
    return np.floor(np.clip(image, 0.0, 255.0) + 0.5)


def jitter(image: Image, order: tuple[str, ...], factors: dict[str, float]) -> Image:
    """The adjustments in order, neither rounded nor clipped but around a turn of the hue."""
    for name in order:
        factor = factors[name]
        if name == "hue":
            if factor != 0.0:
                image = to_bytes(turn_hue(to_bytes(image), factor))
        elif name == "brightness":
            image = image * factor
        elif name == "contrast":
            image = image * factor + (1 - factor) * (image @ GREY).mean()
        else:
            image = image * factor + (1 - factor) * (image @ GREY)[..., None]
    return image


def drawn_jitter(draws: Draws, floats: tuple[float, ...]) -> tuple[tuple[str, ...], dict[str, float]]:
    """The order and the factors that one ColorJitter op with these floats draws."""
    from itertools import permutations

    names = ("brightness", "contrast", "saturation", "hue")
    order = list(permutations(names))[int(24 * draws(0))]
    return order, {name: draws(1 + k, floats[2 * k], floats[2 * k + 1]) for k, name in enumerate(names)}


# ---- orientation -----------------------------------------------------------------------------------------------------


def upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    turned = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.swapaxes(0, 1),
        6: image[::-1].swapaxes(0, 1),
        7: image[::-1, ::-1].swapaxes(0, 1),
        8: image[:, ::-1].swapaxes(0, 1),
    }
    return np.ascontiguousarray(turned[orientation])


# ---- crops and the stored row ----------------------------------------------------------------------------------------


def center_crop(image: Image, size: tuple[int, int]) -> Image:
    """The middle, as torchvision cuts it: padded with zeros, then cut at round((old - new) / 2)."""
    for axis, new in enumerate(size):
        missing = max(0, new - image.shape[axis])
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (missing // 2, missing - missing // 2)
        image = np.pad(image, pad)
        start = round((image.shape[axis] - new) / 2)
        image = image.take(range(start, start + new), axis=axis)
    return image


def stored(
    image: Image, dtype: str, layout: str, mean: float | tuple[float, ...] = 0.0, std: float | tuple[float, ...] = 1.0
) -> NDArray[Any]:
    """The row of a batch: (pixel / 255 - mean) / std for floats, rounded pixels for uint8."""
    clipped = np.clip(image, 0.0, 255.0)
    values = to_bytes(image) if dtype == "uint8" else (clipped / 255.0 - np.array(mean)) / np.array(std)
    row = values.astype(dtype)
    return np.ascontiguousarray(row.transpose(2, 0, 1) if layout == "NCHW" else row)


def drawn_crop(draws: Draws, height: int, width: int, floats: tuple[float, ...]) -> tuple[int, int, int, int]:
    """(top, left, height, width) as torchvision's RandomResizedCrop; attempt a draws 4a: area, ratio, top, left."""
    low, high = (float(np.float32(value)) for value in floats[2:4])
    for a in range(10):
        area = height * width * draws(4 * a, *floats[:2])
        ratio = math.exp(math.log(low) + (math.log(high) - math.log(low)) * draws(4 * a + 1))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(draws(4 * a + 2) * (height - h + 1)), int(draws(4 * a + 3) * (width - w + 1)), h, w
    h, w = height, width
    if width / height < low:
        h = max(1, min(height, round(width / low)))
    elif width / height > high:
        w = max(1, min(width, round(height * high)))
    return (height - h) // 2, (width - w) // 2, h, w
