"""Images of a batch, stored in whatever form, back as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastfeed import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastfeed.image.plan import Scaling

_NEAR = 1e-3  # what rounding, in 16 bits as well, may have added to a fraction or taken from it


def pixels_of(images: NDArray[Any], layout: str | None, scaling: Scaling | None) -> NDArray[np.uint8]:
    """Return images as uint8 of shape (n, height, width, 3).

    Parameters
    ----------
    images : array of four dimensions
        Three channels, last or second.
    layout : {"NHWC", "NCHW"} or None
        Which; None: whichever there are three of.
    scaling : (sequence of float, sequence of float) or None
        How levels of 0..255 were stored, as `scaling_of` has it; None: as their dtype and their range tell.

    Raises
    ------
    ConfigError
        Another number of channels, or values that are no colours.
    """
    import numpy as np

    images = _channels_last(images, layout)
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise _wrong(images, "pass uint8, float32 or float16")
    if not np.isfinite(images).all():
        raise _wrong(images, "pass images whose values are finite: these have nan or infinity in them")
    values = images.astype(np.float32)
    if scaling is not None:
        scale, bias = (np.array(each, np.float32) for each in scaling)
        levels = (values - bias) / scale
    else:
        levels = values * _to_levels(images)
    pixels: NDArray[np.uint8] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return pixels


def _channels_last(images: NDArray[Any], layout: str | None) -> NDArray[Any]:
    _, second, _, last = images.shape
    if 0 in images.shape:
        raise _wrong(images, "pass at least one image, of at least one pixel")
    if last == 3 and layout != "NCHW":
        return images
    if second == 3:
        return images.transpose(0, 2, 3, 1)
    remedy = "pass images with 3 channels, of shape (n, height, width, 3) or (n, 3, height, width)"
    if last == 1 or second == 1:
        remedy += f"; np.repeat(images, 3, axis={-1 if last == 1 else 1}) makes them of grey ones"
    else:
        remedy += "; of more channels choose three, as in images[..., [3, 2, 1]] or images[:, [3, 2, 1]]"
    raise _wrong(images, remedy)


def _to_levels(images: NDArray[Any]) -> float:
    """What takes values to levels of 0..255, by their range."""
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind == "f" and low >= -_NEAR and high <= 1 + _NEAR:
        return 255.0
    if low < 0 or high > 255:
        raise _wrong(
            images,
            f"pass mean= and std= of the Normalize that they went through, or images of 0 to 1 or 0 to 255: these go "
            f"from {low:.3g} to {high:.3g}",
        )
    return 1.0


def _wrong(images: NDArray[Any], remedy: str) -> Exception:
    return options.wrong("feed_or_batch", f"{images.dtype} {images.shape}", remedy)
