"""Pictures, and what the native kernel makes of them in this process."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastfeed import _native
from fastfeed.image.plan import Limits, compile_plan, pack
from fastfeed.image.transforms import Resize, Transform

Pixels = NDArray[np.uint8]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

PIL_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_KERNEL = _native.Image()  # kept from test to test: what one picture leaves behind must not show in the next


# ---- rows ----


def run(
    plan: bytes,
    source: bytes | Pixels,
    size: tuple[int, int],
    dtype: str = "uint8",
    layout: str = "NHWC",
    key: tuple[int, int, int] = (0, 0, 0),
) -> NDArray[Any]:
    """The row that a plan makes of an encoded JPEG, or of uint8 HWC pixels; key is (seed, epoch, index)."""
    count = _native.plan_row_bytes(plan)
    guarded = np.full(count + 128, 0xA5, np.uint8)  # nothing beside the row may be touched: it is another worker's
    out = guarded[64 : 64 + count]
    if isinstance(source, bytes):
        _KERNEL.encoded(plan, source, *key, out)
    else:
        height, width, _ = source.shape
        flat = np.ascontiguousarray(source).reshape(-1)
        _KERNEL.pixels(plan, flat, width, height, 3 * width, *key, out)
    assert (guarded[:64] == 0xA5).all(), "bytes before the row were written"
    assert (guarded[64 + count :] == 0xA5).all(), "bytes after the row were written"
    return out.view(dtype).reshape((*size, 3) if layout == "NHWC" else (3, *size))


def kernel(
    source: bytes | Pixels,
    transforms: Sequence[Transform],
    size: tuple[int, int],
    *,
    dtype: str = "uint8",
    layout: str = "NHWC",
    scale: Sequence[float] = (1.0, 1.0, 1.0),
    bias: Sequence[float] = (0.0, 0.0, 0.0),
    exact: bool = True,
    orient: bool = False,
    index: int = 0,
    **limits: int,
) -> NDArray[Any]:
    """The row of transforms packed as they are: with levels of 0..255 in floats too, and a size that nobody checks."""
    ops = [transform._op() for transform in transforms]
    plan = pack(ops, size, dtype, layout, (scale, bias), exact=exact, orient=orient, limits=Limits(**limits))
    return run(plan, source, size, dtype, layout, (7, 3, index))


FORMS = {"RandomResizedCrop": "=3i4f", "RandomAffine": "=i13f", "ColorJitter": "=8f"}


def floats_of(transform: Any) -> tuple[float, ...]:
    """The parameters that are no whole numbers, as the kernel gets them."""
    values = struct.unpack(FORMS[type(transform).__name__], transform._op()[1])
    return tuple(value for value in values if isinstance(value, float))


def on_pixels(
    image: Pixels,
    transforms: Iterable[object] = (),
    dtype: str = "uint8",
    layout: str = "NHWC",
    key: tuple[int, int, int] = (0, 0, 0),
) -> NDArray[Any]:
    """The row made of uint8 HWC pixels; transforms that fix no size get a Resize to the image's own one in front."""
    chain = list(transforms)
    if all(transform._output_size() is None for transform in chain if hasattr(transform, "_output_size")):
        chain.insert(0, Resize(image.shape[:2]))
    compiled = compile_plan(None, chain, dtype, layout)
    return run(compiled.plan, image, (compiled.out_h, compiled.out_w), dtype, layout, key)


def on_bytes(
    data: bytes,
    transforms: Iterable[object] = (),
    dtype: str = "uint8",
    layout: str = "NHWC",
    key: tuple[int, int, int] = (0, 0, 0),
    **options: Any,
) -> NDArray[Any]:
    """The row made of an encoded JPEG."""
    compiled = compile_plan(None, list(transforms), dtype, layout, **options)
    return run(compiled.plan, data, (compiled.out_h, compiled.out_w), dtype, layout, key)


def same(have: NDArray[Any], expected: NDArray[Any], within: float = 0.0) -> None:
    """Fail, with both printed, where the arrays differ by more than `within` anywhere."""
    assert have.shape == expected.shape, f"have shape {have.shape}, expected {expected.shape}"
    difference = np.abs(have.astype(np.float64) - expected.astype(np.float64))
    if difference.max() > within:
        worst = np.unravel_index(difference.argmax(), difference.shape)
        where = tuple(int(i) for i in worst)
        raise AssertionError(
            f"{np.count_nonzero(difference > within)} of {difference.size} differ by more than {within}; "
            f"worst at {where}: have {have[where]}, expected {expected[where]}\n"
            f"have\n{have}\nexpected\n{expected}"
        )


# ---- pictures ----


def photo(height: int, width: int, seed: int = 1) -> Pixels:
    """A smooth random picture with some noise: colours of every hue, edges, no two rows alike."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [
        127 + 90 * np.sin(x * a / 7 + c) * np.cos(y * b / 5 + c) + 60 * ((x * a + y * b) % 11 > 5)
        for a, b, c in random.uniform(0.3, 1.5, (3, 3))
    ]
    noisy = np.stack(planes, -1) + random.normal(0, 8, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def waves(height: int, width: int) -> Pixels:
    """Gentle slopes, different in each channel."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 90 * np.sin(x / (6 + k) + k) + 30 * np.cos(y / (4 + k)) for k in range(3)]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def noise(height: int, width: int) -> Pixels:
    """Levels that have nothing to do with their neighbours."""
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey(levels: Any) -> Pixels:
    """Rows of levels as a picture of three equal channels."""
    return np.repeat(np.asarray(levels, np.uint8)[:, :, None], 3, axis=2)


def picture(index: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A small colourful image that differs from every other index; size is (width, height)."""
    random = np.random.default_rng(index)
    coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.BICUBIC)


def encode(image: Image.Image | Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    """One image as a file's bytes."""
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()
