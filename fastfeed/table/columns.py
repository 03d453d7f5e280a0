"""Columns: arrays as tables that workers can share, in files where they are files already, otherwise in a memfd.

A column needs rows that are contiguous, each at a fixed distance from the one before.  An array that is not so laid
out, or that is no part of a mapped file, is copied once, row behind row; the copies lie one behind the other in one
sealed memfd, which costs its memory once, however many workers read it.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastfeed.engine.fork import tell
from fastfeed.engine.memory import refused, sealed, too_large, write_all
from fastfeed.errors import ConfigError
from fastfeed.machine import memory_limit, said_bytes
from fastfeed.wire.memmap import Place, file_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NO_COPY = "save them with np.save and pass np.load(file, mmap_mode='r'), which needs no copy, or use num_workers=0"
_ALIGNMENT = 64  # a cache line, and the widest vector
_CHUNK_BYTES = 16 << 20


class Column:
    """One array as a table of rows.

    Attributes
    ----------
    name : str
        What messages call it.
    array : array of shape (samples, ...)
        As it was given.
    row_bytes : int
        Bytes of a row, perhaps 0.
    place : Place or None
        Where its rows lie in the file that it maps.
    """

    def __init__(self, name: str, value: object) -> None:
        import numpy as np

        self.name = name
        self.array = array = _as_array(name, value)
        self.row_bytes = array.itemsize * int(np.prod(array.shape[1:], dtype=object))
        self.place, self.why_copied = file_of(array)
        if self.place is not None:
            weakref.finalize(self, os.close, self.place.fd)


def _as_array(name: str, value: object) -> NDArray[Any]:
    import numpy as np

    if isinstance(value, tuple) and any(isinstance(part, np.ndarray) for part in value):
        raise ConfigError(f"{name} is a tuple of arrays: pass them one by one, arrays(*them), or as a dict")
    if isinstance(value, np.ma.MaskedArray):
        raise ConfigError(f"{name} is a masked array, whose mask would be lost: pass its filled(...), or data and mask")
    try:
        array = np.asarray(value)
    except Exception as error:  # a foreign __array__ may raise anything
        raise ConfigError(
            f"{name} ({type(value).__name__}) cannot become an array: {error}; pass rows of one shape and dtype, or "
            f"use ff.map, which takes any objects"
        ) from error
    if array.dtype.hasobject or array.dtype.kind not in "?biufcmMSUV":
        raise ConfigError(
            f"{name} ({type(value).__name__}) has dtype {array.dtype}, whose values are Python objects and not in the "
            f"array: pass another dtype (strings: array.astype('U')), or use ff.map, which takes any objects"
        )
    if array.ndim == 0:
        raise ConfigError(f"{name} is a single value ({array!r}): pass an array whose first axis counts the samples")
    # A subclass, such as memmap, would cost its own indexing rules with each batch.
    return array.view(np.ndarray) if type(array) is not np.ndarray else array


class Columns:
    """The columns of one feed, of equal length.

    Parameters
    ----------
    arrays : sequence of (name, array-like)
        At least one.

    Attributes
    ----------
    samples : int
        Their length.

    Raises
    ------
    ConfigError
        An array that cannot be a column, or lengths that differ.
    """

    def __init__(self, arrays: Sequence[tuple[str, object]]) -> None:
        self.columns = [Column(name, value) for name, value in arrays]
        lengths = {column.name: len(column.array) for column in self.columns}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
            raise ConfigError(f"the arrays must have one length, the number of samples: {listed}")
        self.samples = len(self.columns[0].array)
        if self.samples == 0:
            raise ConfigError("the arrays have no rows: pass at least one sample")
        self._fd: int | None = None
        self._close: Callable[[], object] = lambda: None
        self._copied: dict[int, Place] = {}

    def layout(self, rows: int) -> tuple[list[int], int]:
        """Where each column begins in a slot of `rows` rows, and the bytes of all columns."""
        starts, at = [], 0
        for column in self.columns:
            starts.append(at)
            at += -(-rows * column.row_bytes // _ALIGNMENT) * _ALIGNMENT
        # The last one needs no padding behind it.
        return starts, starts[-1] + rows * self.columns[-1].row_bytes

    def table_fd(self) -> int | None:
        """Return a descriptor of the copies, made on the first call; None where there are none.  It stays ours."""
        if self._fd is None:
            copied = [column for column in self.columns if column.row_bytes and column.place is None]
            if copied:
                self._fd = self._copy(copied)
                self._close = weakref.finalize(self, os.close, self._fd)
                tell(self)
        return self._fd

    def forked(self) -> None:
        """In a forked child: the feed is the parent's, and its copies with it."""
        self._close()
        self._fd = None

    def places(self) -> list[Place | None]:
        """Where each column's rows lie, the copies made; None for a column of empty rows."""
        self.table_fd()
        return [column.place or self._copied.get(number) for number, column in enumerate(self.columns)]

    def _copy(self, columns: list[Column]) -> int:
        import numpy as np

        def write(fd: int) -> None:
            at = 0
            for number, column in enumerate(self.columns):
                if column not in columns:
                    continue
                at = os.lseek(fd, -(-at // mmap.PAGESIZE) * mmap.PAGESIZE, os.SEEK_SET)
                size = self.samples * column.row_bytes
                self._copied[number] = Place("", fd, 0, 0, at, column.row_bytes, at + size)
                rows = max(1, _CHUNK_BYTES // column.row_bytes)
                for start in range(0, self.samples, rows):
                    chunk = np.ascontiguousarray(column.array[start : start + rows])
                    write_all(fd, chunk.reshape(-1).view(np.uint8).data)
                at += size

        self._refuse_too_large(columns)
        try:
            return sealed("arrays", write)
        except OSError as error:
            raise refused(f"memory for a copy of {_what(columns)} for the workers", error, _NO_COPY) from error

    def _refuse_too_large(self, columns: list[Column]) -> None:
        size = sum(self.samples * column.row_bytes for column in columns)
        limit, taken = memory_limit(), _anonymous_memory()
        if size > limit - taken:
            needs = f"{_what(columns)} must be copied once for the workers, which needs"
            raise too_large(needs, size, limit, _NO_COPY, who=f"this process has taken {said_bytes(taken)} and")


def _what(columns: list[Column]) -> str:
    return " and ".join(column.name + (f" ({column.why_copied})" if column.why_copied else "") for column in columns)


def _anonymous_memory() -> int:
    """Bytes of this process's anonymous memory, as proc(5) has them."""
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0
