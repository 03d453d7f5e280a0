"""Run transforms on pixels or encoded bytes through the native kernel, in this process."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfeed import _native
from fastfeed.transforms import Compiled, Resize, compile_plan

Pixels = NDArray[np.uint8]


def _row(compiled: Compiled) -> NDArray[Any]:
    shape = (compiled.out_h, compiled.out_w, 3) if compiled.layout == "NHWC" else (3, compiled.out_h, compiled.out_w)
    return np.zeros(shape, compiled.dtype)


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
    row = _row(compiled)
    image = np.ascontiguousarray(image)
    height, width, _ = image.shape
    _native.Image().pixels(
        compiled.plan, image.reshape(-1), width, height, 3 * width, *key, row.reshape(-1).view(np.uint8)
    )
    return row


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
    row = _row(compiled)
    _native.Image().encoded(compiled.plan, data, *key, row.reshape(-1).view(np.uint8))
    return row


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
