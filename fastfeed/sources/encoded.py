"""Encoded images in memory as a source."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from fastfeed.engine.memory import too_large
from fastfeed.errors import ConfigError
from fastfeed.machine import memory_limit
from fastfeed.sources.labels import Labels, make_labels
from fastfeed.sources.source import WHAT_WORKS, Source

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence


_LONGEST_PATH = 4096  # PATH_MAX


class Bytes(Source):
    """Encoded images in memory.  They are kept as they are, and copied once into the table that workers read."""

    kind = 1  # FF_TABLE_BYTES

    def __init__(self, items: Sequence[Any], labels: Labels | None) -> None:
        super().__init__(labels, None)
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Bytes({len(self)} samples)"

    def name(self, index: int) -> str:
        """Return ``"sample 17"``."""
        return f"sample {index}"

    def with_labels(self, labels: object) -> Self:
        """Return the same samples with other labels; ``"auto"`` keeps those that are there."""
        if isinstance(labels, str) and labels == "auto":
            return self
        return type(self)(self._items, None if labels is None else make_labels(labels, len(self), None, None))

    def _entries(self) -> Iterator[memoryview]:
        total = sum(memoryview(item).nbytes for item in self._items)
        limit = memory_limit()
        if total > limit:
            needs = "the encoded images, which are copied for the workers, need"
            raise too_large(needs, total, limit, "pass the paths of files, or fewer images")
        for item in self._items:
            yield memoryview(item).cast("B")

    def _part(self, indices: array[int]) -> Self:
        labels = None if self.labels is None else self.labels.select(memoryview(indices))
        return type(self)([self._items[index] for index in indices], labels)


def encoded_images(items: list[Any], labels: object) -> Bytes:
    """Return these encoded images, in this order."""
    if set(map(type, items)) != {bytes}:
        _check(items)
    elif len(items[0]) < _LONGEST_PATH and os.path.isfile(items[0]):
        raise ConfigError(
            f"sample 0 of the source is {items[0]!r}, the path of a file, and bytes are taken for encoded images: "
            f"pass paths as str, [os.fsdecode(path) for path in paths]"
        )
    return Bytes(items, None).with_labels(labels)


def _check(items: list[Any]) -> None:
    """Refuse samples that are not each one encoded image in a contiguous run of bytes."""
    paths = [isinstance(item, str | os.PathLike) for item in items]
    if any(paths):
        other = paths.index(not paths[0])
        raise ConfigError(
            f"sample 0 of the source is a {type(items[0]).__name__} "
            f"and sample {other} a {type(items[other]).__name__}: pass either paths or encoded images, not both"
        )
    for index, item in enumerate(items):
        try:
            view = memoryview(item)
        except TypeError:
            raise ConfigError(f"sample {index} of the source is a {type(item).__name__}: {WHAT_WORKS}") from None
        if view.ndim != 1 or view.itemsize != 1 or not view.c_contiguous:
            raise ConfigError(
                f"sample {index} of the source is a buffer of shape {view.shape} and format {view.format!r}, "
                f"not an encoded image as bytes: for pixels use ff.arrays; {WHAT_WORKS}"
            )
