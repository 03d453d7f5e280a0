"""show: the samples of a batch on one sheet, or those that a feed makes next."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastfeed import options, tree
from fastfeed.engine.feed import Feed
from fastfeed.engine.summary import said_batch
from fastfeed.errors import ConfigError
from fastfeed.image.plan import Scaling, scaling_of
from fastfeed.image.transforms import Normalize
from fastfeed.tools.pixels import pixels_of
from fastfeed.tools.sheet import Sheet, check_path, drawn, require_pil

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW = 4  # numbers that a caption has room for
_NUMBERED = "only images() and arrays() without a sampler= make a batch without moving the feed"


def show(
    feed_or_batch: Any,
    path: str | Path | None = None,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    n: int = 64,
) -> Sheet:
    """Draw samples as they come out of the augmentation, with their labels and positions.

    Parameters
    ----------
    feed_or_batch : Feed, or a batch
        Of a feed of `images` or `arrays`, or what ``to_torch()`` and its siblings have made of one: the first batch of
        the epoch that comes next is made in this process, without workers.  Epochs, position, state and stats of the
        feed stay as they are.  A batch is an array or a tensor alone, or a tuple, list or dict of which the first with
        four dimensions is the images.  They have shape (n, height, width, 3) or (n, 3, height, width); where it could
        be either, it is the first.
    path : str or Path, optional
        Write the sheet to this file, in the format that its name ends with: ``sheet.png``.
    mean, std : float or (float, float, float), optional
        Those of the `Normalize` that the images went through.  A feed of `images` knows its own.  Without them uint8 is
        taken as it is, and so are floats of 0 to 255; floats of 0 to 1 are scaled.
    n : int
        Draw the first so many samples, at least 1.

    Returns
    -------
    Sheet
        Shows itself in a notebook.  ``save(path)`` writes it, and ``image`` is PIL's image of it, RGB.

    Raises
    ------
    ConfigError
        Neither a feed that can make a batch beside its loop, nor a batch of images with three channels; numbers that
        are no colours; a file that cannot be written; no PIL.
    SampleError
        A bad sample in the feed's batch.
    """
    require_pil()
    if path is not None:
        check_path(path)
    count = options.whole("n", n, 1)
    scaling = _given(mean, std)
    feed = _feed_of(feed_or_batch)
    shown = _Shown(feed_or_batch) if feed is None else _next_of(feed)
    images, others = _sorted_out(shown.batch)
    if scaling is not None and images.dtype == "uint8":
        raise options.wrong("mean", mean, "leave mean and std out: no Normalize makes uint8, as these images are")
    pixels = pixels_of(images, shown.layout, scaling or shown.scaling)[:count]
    captions = [[*shown.captions(others, row)] for row in range(len(pixels))]
    sheet = drawn(pixels, captions)
    if path is not None:
        sheet.save(path)
    return sheet


class _Shown(NamedTuple):
    """A batch, and what is known of it.

    Attributes
    ----------
    batch : Any
        As the user's loop would get it.
    positions : sequence of int or None
        Where its samples are in the source.
    classes : list of str or None
        Names behind its first labels.
    layout : str or None
        "NHWC" or "NCHW".
    scaling : (sequence of float, sequence of float) or None
        How levels of 0..255 were stored, as `scaling_of` has it.
    """

    batch: Any
    positions: Sequence[int] | None = None
    classes: list[str] | None = None
    layout: str | None = None
    scaling: Scaling | None = None

    def captions(self, others: list[tuple[str, Any]], row: int) -> Iterator[str]:
        """Yield what to write under a sample, line by line."""
        classes = self.classes
        for name, column in others:
            text, classes = _said(column[row], classes), None
            yield f"{name}: {text}" if name else text
        if self.positions is not None:
            yield f"#{self.positions[row]}"


def _given(mean: Any, std: Any) -> Scaling | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        name, value = ("std", std) if mean is None else ("mean", mean)
        raise options.wrong(name, value, f"pass {'mean' if mean is None else 'std'} with it")
    return scaling_of("float32", Normalize(mean, std))


def _feed_of(given: Any) -> Feed | None:
    """Return a feed where this is one, or was made of one for a framework."""
    feed = given if isinstance(given, Feed) else getattr(given, "feed", None)
    return feed if isinstance(feed, Feed) else None


def _next_of(feed: Feed) -> _Shown:
    """Make a batch by its number, in a feed of its own."""
    job: Any = feed.job
    try:
        plan = feed.plan()
    except ConfigError as error:
        raise options.wrong("feed_or_batch", feed.summary(), f"pass a batch of it: {_NUMBERED}") from error
    own: Any = plan.feed(with_index=True, num_workers=0)
    batch = own.job.make(job.next_epoch, 0, None) if own.job.length() else None
    if batch is None:
        first = f": {own.errors[0]}" if own.errors else ""
        raise options.wrong("feed_or_batch", feed.summary(), f"pass a feed whose first batch has a sample{first}")
    *parts, index = batch
    batch = parts[0] if len(parts) == 1 else tuple(parts)
    layout, scaling = getattr(job, "layout", None), getattr(job, "stored_as", None)
    return _Shown(batch, index.tolist(), feed.classes, layout, scaling)


def _sorted_out(batch: Any) -> tuple[NDArray[Any], list[tuple[str, Any]]]:
    """Return the images of a batch, and what else has an element for each of them, by its name."""
    batch = tuple(batch) if isinstance(batch, list) else batch
    leaves = [(_name(where), _array_of(leaf)) for where, leaf in tree.paths(batch)]
    at = next((at for at, (_, leaf) in enumerate(leaves) if getattr(leaf, "ndim", 0) == 4), None)
    if at is None:
        whole = tree.mapped(batch, _array_of)
        remedy = "pass a batch of images, of shape (n, height, width, 3) or (n, 3, height, width)"
        if getattr(whole, "ndim", 0) == 3:
            remedy += "; image[None] makes one of a single image, np.stack([grey] * 3, axis=-1) one of grey ones"
        raise options.wrong("feed_or_batch", said_batch(whole), remedy)
    _, images = leaves.pop(at)
    return images, [(name, leaf) for name, leaf in leaves if _length(leaf) == len(images)]


def _array_of(leaf: Any) -> Any:
    """Return a tensor of whatever framework as an array, anything else as it is."""
    if hasattr(leaf, "detach"):  # PyTorch's: on a GPU, perhaps, or bfloat16, which NumPy does not have
        leaf = leaf.detach().cpu()
        leaf = leaf.float() if leaf.is_floating_point() else leaf
    if not hasattr(leaf, "__array__"):
        return leaf
    import numpy as np

    return np.asarray(leaf)


def _length(leaf: Any) -> int | None:
    if isinstance(leaf, str | bytes) or getattr(leaf, "ndim", 1) == 0:
        return None
    return len(leaf) if hasattr(leaf, "__len__") else None


def _name(where: str) -> str:
    """Return the key or the attribute that a place ends with; a position is no name."""
    found = re.search(r"(\w+)\W*$", where)
    return "" if found is None or found[1].isdecimal() else found[1]


def _said(value: Any, classes: list[str] | None) -> str:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if getattr(value, "ndim", 0):
        return " ".join(f"{each:.4g}" for each in value) if _is_short(value) else said_batch(value)
    if kind in ("i", "u") and classes is not None and 0 <= value < len(classes):
        return classes[int(value)]
    if kind == "f" or isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return str(value)


def _is_short(value: Any) -> bool:
    return value.ndim == 1 and len(value) <= _FEW and value.dtype.kind in "iuf"
