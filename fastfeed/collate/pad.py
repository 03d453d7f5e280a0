"""pad: ragged sequences into one array of equal rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastfeed import options
from fastfeed.collate.batch import BatchMemory
from fastfeed.collate.collate import column_of
from fastfeed.collate.structure import REMEDY, collated, is_paddable, item_name, listed, place_name
from fastfeed.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from fastfeed.collate.batch import Allocate


_SIDES = ("left", "right")


def pad(
    maxlen: int | None = None,
    *,
    value: float | str = 0,
    side: str = "right",
    truncate: str = "right",
    dtype: DTypeLike | None = None,
) -> Pad:
    """Collate ragged sequences into one array of equal rows; for ``collate=``.

    Items are sequences (lists, ranges or 1-D arrays of numbers), or tuples, dicts or dataclasses of them.  Every
    sequence is padded; a member that is none (a number, a string, an array of two or more dimensions) is collated as
    it is without `pad`.  A tuple counts as a structure, not as a sequence.

    Parameters
    ----------
    maxlen : int, optional
        Length of every row.  None: that of the longest sequence in the batch, which differs from batch to batch.
    value : number or str
        What rows are filled up with; "" for sequences of strings.
    side : {"right", "left"}
        Where the filling goes: behind the sequence or in front of it.
    truncate : {"right", "left"}
        Which end of a sequence longer than `maxlen` is cut off: "right" keeps its beginning, "left" its end.
    dtype : dtype, optional
        None: the one that holds the batch's sequences and `value`; give one where batches may differ.

    Returns
    -------
    Pad
        Called with a list of items it returns a batch, with arrays of shape (items, maxlen) for the sequences.  It
        can be pickled.

    Raises
    ------
    ConfigError
        An option that cannot work; when called, a sequence that does not fit.

    Notes
    -----
    ``pad_sequences`` of Keras with its default options is ``pad(maxlen, side="left", truncate="left", dtype="int32")``.
    """
    return Pad(maxlen, value=value, side=side, truncate=truncate, dtype=dtype)


@dataclass(frozen=True)
class Pad:
    """A collate function for ragged sequences, made and described by `pad`."""

    maxlen: int | None = None
    _: dataclasses.KW_ONLY
    value: float | str = 0
    side: str = "right"
    truncate: str = "right"
    dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        import numpy as np

        if self.maxlen is not None:
            options.whole("maxlen", self.maxlen, 1)
        options.one_of("side", self.side, _SIDES)
        options.one_of("truncate", self.truncate, _SIDES)
        if np.ndim(self.value) != 0 or np.asarray(self.value).dtype.kind not in "biufcU":
            raise options.wrong("value", self.value, "pass a number, or a string for sequences of strings")
        if self.dtype is None:
            return
        try:
            dtype = np.dtype(self.dtype)
        except TypeError as error:
            raise options.wrong("dtype", self.dtype, "pass what numpy.dtype takes, or None") from error
        if dtype.kind not in "biufcU":
            raise options.wrong("dtype", self.dtype, "pass a dtype of numbers or strings")
        _fitting(np.asarray([self.value]), dtype, f"value={self.value!r}")
        object.__setattr__(self, "dtype", dtype)  # one spelling, so that equal ones compare equal

    def __call__(self, items: Sequence[Any], *, rows: BatchMemory | None = None) -> Any:
        """Make one batch; see `collate`."""
        if not items:
            raise ConfigError("pad: there are no items to make a batch of")
        rows = rows or BatchMemory(0)

        def column(values: Sequence[Any], where: str) -> Any:
            if all(is_paddable(value) for value in values):
                return self._rows(values, where, rows.allocate)
            return column_of(values, where, rows)

        return collated(items, "", column)

    def _rows(self, sequences: Sequence[Any], where: str, allocate: Allocate) -> NDArray[Any]:
        import numpy as np

        rows = [self._cut(sequence) for sequence in sequences]
        for number, row in enumerate(rows):
            if row.ndim != 1 or row.dtype.kind not in "biufcU":
                raise ConfigError(
                    f"pad: {item_name(number, where)} is no flat sequence of numbers or strings: {REMEDY}"
                )
        dtype = np.dtype(self.dtype) if self.dtype is not None else self._dtype(rows, where)
        width = self.maxlen if self.maxlen is not None else max(map(len, rows))
        batch: NDArray[Any] = allocate((len(rows), width), dtype)
        for number, row in enumerate(rows):
            values = _fitting(row, dtype, f"pad: {item_name(number, where)}")
            if self.side == "right":
                batch[number, : len(row)] = values
                batch[number, len(row) :] = self.value
            else:
                batch[number, width - len(row) :] = values
                batch[number, : width - len(row)] = self.value
        return batch

    def _cut(self, sequence: Any) -> NDArray[Any]:
        import numpy as np

        if self.maxlen is not None and len(sequence) > self.maxlen:
            sequence = sequence[: self.maxlen] if self.truncate == "right" else sequence[-self.maxlen :]
        try:
            return np.asarray(sequence)
        except ValueError:  # lists in it, of several lengths
            return np.empty((0, 0))

    def _dtype(self, rows: Sequence[NDArray[Any]], where: str) -> np.dtype[Any]:
        """Return the dtype that holds the sequences and the value; empty lists have no say in it."""
        import numpy as np

        dtypes = {row.dtype for row in rows if len(row)} or {row.dtype for row in rows if row.dtype != np.float64}
        value = np.asarray(self.value)
        if len({dtype.kind == "U" for dtype in dtypes} | {value.dtype.kind == "U"}) > 1:
            raise ConfigError(
                f"pad: value={self.value!r} does not go with {place_name('the sequences', where)} of {listed(dtypes)}: "
                f"pass a value of their kind"
            )
        if not dtypes:
            return value.dtype
        found = np.result_type(*dtypes)
        if found.kind == "U" or value.dtype.kind == "U":
            return np.result_type(found, value.dtype)
        # A plain number adapts to the sequences where their kind of dtype can hold it: -1 to int32, 0 to float32.
        kinds = "biufc"
        if kinds.index(value.dtype.kind.replace("u", "i")) > kinds.index(found.kind.replace("u", "i")):
            found = np.result_type(found, value.dtype)
        _fitting(value.reshape(1), found, f"pad: value={self.value!r}")
        return found


def _fitting(row: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Return an array in another dtype; ConfigError where digits before the decimal point would be lost."""
    import numpy as np

    if row.dtype == dtype or not row.size:
        return row.astype(dtype, copy=False)
    if "U" in (dtype.kind, row.dtype.kind):
        fits = row.dtype.kind == dtype.kind and row.dtype.itemsize <= dtype.itemsize
    elif dtype.kind in "iu" and row.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = limits.min <= int(row.min()) and int(row.max()) <= limits.max
    elif dtype.kind in "iu" and row.dtype.kind == "b":
        fits = True
    else:
        fits = np.can_cast(row.dtype, dtype, "same_kind")
    if not fits:
        raise ConfigError(f"{what} holds {row.dtype} values that {dtype} cannot: pass another dtype=")
    return row.astype(dtype)
