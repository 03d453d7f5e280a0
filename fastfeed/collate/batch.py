"""Memory of a batch that fills up row by row, as its items come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastfeed import _native, tree
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
        Arrays of fewer dimensions get no row.
    """

    def __init__(self, count: int, allocate: Allocate | None = None, ndim: int = 0) -> None:
        import numpy as np

        self.allocate: Allocate = allocate or np.empty
        self._count, self._ndim = count, ndim
        self._array = np.ndarray
        self._columns: dict[tuple[Any, ...], NDArray[Any]] = {}
        # id(row) -> (column, row number, the row itself, kept so that the id stays taken)
        self._rows: dict[int, tuple[NDArray[Any], int, NDArray[Any]]] = {}

    def put(self, item: Any, number: int) -> Any:
        """Return a snapshot of an item; arrays that match the first item's go straight into their row of the batch.

        Raises
        ------
        MemoryError
            If there is no memory for a column.
        """

        def kept(path: tuple[Any, ...], leaf: Any) -> Any:
            return self._put_array(leaf, number, path) if type(leaf) is self._array else snapshot(leaf)

        return kept((), item) if type(item) is self._array else tree.mapped_by_path(item, kept)

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
        """Return these rows as one array where they are rows 0, 1, 2 ... of one column; None elsewhere."""
        column, _, _ = self._rows.get(id(values[0]), (None, 0, None))
        if column is None:
            return None
        for number, value in enumerate(values):
            of, at, _ = self._rows.get(id(value), (None, 0, None))
            if of is not column or at != number:
                return None
        return column[: len(values)]
