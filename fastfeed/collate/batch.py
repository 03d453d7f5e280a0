"""Memory of a batch that fills up row by row, as its items come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastfeed import _native
from fastfeed.collate.structure import rebuilt
from fastfeed.wire.snapshot import snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # (shape, dtype) -> an array to be filled
    Allocate = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]


# Smaller arrays are stacked when all are there: it costs less than finding their row.
_ROW_BYTES = 1024


class BatchMemory:
    """Memory of a batch whose items come one by one: each array goes into its row while it is in the caches.

    Parameters
    ----------
    count : int
        Items in the batch, at most.
    allocate : callable, optional
        Called with shape and dtype; returns the array to fill, ``numpy.empty`` by default.
    ndim : int
        Dimensions of an array that is worth a row, at least.
    """

    def __init__(self, count: int, allocate: Allocate | None = None, ndim: int = 0) -> None:
        import numpy as np

        self.allocate: Allocate = allocate or np.empty
        self._count, self._ndim = count, ndim
        self._array = np.ndarray
        self._columns: dict[tuple[Any, ...], NDArray[Any]] = {}
        # By id, the rows that were given out: column and number.
        self._rows: dict[int, tuple[NDArray[Any], int, NDArray[Any]]] = {}

    def put(self, item: Any, number: int) -> Any:
        """Return an item as it is now, of which the arrays that go well with those before it are rows of columns.

        Raises
        ------
        MemoryError
            If there is no memory for a column.
        """
        return self._put(item, number, ())

    def _put(self, item: Any, number: int, where: tuple[Any, ...]) -> Any:
        kind = type(item)
        if kind is self._array:
            return self._put_array(item, number, where)
        if isinstance(item, dict):  # collated as one, whatever else it is
            return {key: self._put(value, number, (*where, key)) for key, value in item.items()}
        if isinstance(item, type):
            return item
        if kind is tuple or (isinstance(item, tuple) and hasattr(item, "_make")):
            members = [self._put(value, number, (*where, position)) for position, value in enumerate(item)]
            return item._make(members) if hasattr(item, "_make") else tuple(members)
        if dataclasses.is_dataclass(item) and all(hasattr(item, field.name) for field in dataclasses.fields(item)):
            return rebuilt(item, lambda name, value: self._put(value, number, (*where, name)))
        return snapshot(item)

    def _put_array(self, item: NDArray[Any], number: int, where: tuple[Any, ...]) -> NDArray[Any]:
        dtype = item.dtype
        # Strings of several lengths are of several dtypes; the longest is not known yet.
        if item.nbytes < _ROW_BYTES or item.ndim < self._ndim or dtype.hasobject or dtype.kind == "U":
            return item.copy("K")
        column = self._columns.get(where)
        if column is None:
            column = self._columns[where] = self.allocate((self._count, *item.shape), dtype)
        if column.shape[1:] != item.shape or column.dtype != dtype or number >= self._count:
            return item.copy("K")  # for collate to refuse in words
        row: NDArray[Any] = column[number, ...]  # an array even where the items have no dimensions
        if item.flags.c_contiguous:
            _native.copy(row.reshape(-1).view("u1"), item.reshape(-1).view("u1"), column.nbytes)
        else:
            row[...] = item
        self._rows[id(row)] = column, number, row
        return row

    def stacked(self, values: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
        """Return the array of these rows, where they lie one behind the other from the first one on."""
        column, _, _ = self._rows.get(id(values[0]), (None, 0, None))
        if column is None:
            return None
        for number, value in enumerate(values):
            of, at, _ = self._rows.get(id(value), (None, 0, None))
            if of is not column or at != number:
                return None
        return column[: len(values)]
