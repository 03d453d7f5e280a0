"""The samples a feed is made from, by index, as the consumer knows them and as workers find them.

Workers know a source by its table alone, a read-only mapping that csrc/source/table.h describes.  It lies in a sealed
memfd, so it costs its memory once, however many feeds and workers read it.
"""

from __future__ import annotations

import os
import threading
import weakref
from array import array
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fastfeed import _native, options
from fastfeed.engine.memory import sealed
from fastfeed.sources.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLE_LOCK = threading.Lock()  # two feeds that start at once share one table
_SPLIT_EPOCH = 2**64 - 1  # an order that no epoch of a feed has
WHAT_WORKS = "pass a folder, a glob, a sequence of paths, a sequence of encoded images (bytes), or ff.files(...)"


class Source:
    """Samples that can be asked for by index, with their labels.

    Attributes
    ----------
    labels : Labels or None
        One label per sample.
    classes : list of str or None
        Names of the classes, where the labels are numbers of class folders.
    """

    kind: ClassVar[int]
    """What the table's entries are: a value of the enum ff_table_kind."""

    labels: Labels | None
    classes: list[str] | None

    def __init__(self, labels: Labels | None, classes: list[str] | None) -> None:
        self.labels = labels
        self.classes = classes
        self._fd: int | None = None
        self._closer: weakref.finalize[Any, Any] | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def name(self, index: int) -> str:
        """Return what messages call a sample: its path as the user spelt it, or ``"sample 17"``."""
        raise NotImplementedError

    def with_labels(self, labels: object) -> Self:
        """Return the same samples with other labels; ``"auto"`` keeps those that are there."""
        raise NotImplementedError

    def split(self, fraction: float = 0.8, *, seed: int = 0) -> tuple[Self, Self]:
        """Divide the samples at random into two sources, for training and for validation.

        Parameters
        ----------
        fraction : float
            Share of the first part, between 0 and 1; the number of samples is rounded to the nearest.
        seed : int
            0 to 2**64 - 1.  The same seed divides the same list alike, on every machine.

        Returns
        -------
        tuple of two sources
            Disjoint, together complete, in shuffled order, with their labels and the classes of the whole.

        Raises
        ------
        ConfigError
            A fraction or a seed that cannot work, or a part that would be empty.
        """
        n = len(self)
        if not isinstance(fraction, int | float) or not 0 < fraction < 1:  # bools are ints, and neither lies between
            raise options.wrong("fraction", fraction, "pass the first part's share, such as 0.8")
        first = round(fraction * n)
        if not 0 < first < n:
            remedy = (
                f"pass another fraction, or split more samples; of {n}, the parts would have {first} and {n - first}"
            )
            raise options.wrong("fraction", fraction, remedy)
        order = array("q", [0]) * n
        _native.permute_fill(memoryview(order), n, options.fixed_seed(seed), _SPLIT_EPOCH, 0, 1)
        return self._part(order[:first]), self._part(order[first:])

    def table_fd(self) -> int:
        """Return a descriptor of the table, made on the first call; it stays the source's and closes with it.

        Raises
        ------
        RingMemoryError
            Encoded images that do not fit into memory a second time.
        """
        with _TABLE_LOCK:
            if self._fd is None:
                self._fd = self._write_table()
                self._closer = weakref.finalize(self, os.close, self._fd)
            return self._fd

    def close(self) -> None:
        """Give the table's memory back.  A later feed makes it again."""
        with _TABLE_LOCK:
            if self._closer is not None:
                self._closer()
            self._fd = self._closer = None

    def _write_table(self) -> int:
        """Write the table into a memfd of its own, seal it, and return its descriptor, which is closed on exec."""
        return sealed("source", self._write)

    def _write(self, fd: int) -> None:
        n = len(self)
        offsets = array("Q", [0]) * (n + 1)
        at = 0
        # The file object gathers small entries and goes on after short writes; one entry at a time is in memory.
        with os.fdopen(fd, "wb", buffering=1 << 20, closefd=False) as file:
            file.seek(8 * (2 + n + 1))  # behind count, kind and the offsets
            for index, entry in enumerate(self._entries(), 1):
                file.write(entry)
                at += len(entry)
                offsets[index] = at
            file.seek(0)
            file.write(array("Q", (n, self.kind)))
            file.write(offsets)

    def _entries(self) -> Iterator[bytes | memoryview]:
        """Yield each sample's entry, as its kind of table has it."""
        raise NotImplementedError

    def _part(self, indices: array[int]) -> Self:
        """Return a source of some of the samples."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fd": None, "_closer": None}  # a descriptor means nothing in another process
