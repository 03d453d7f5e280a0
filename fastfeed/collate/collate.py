"""collate: many items into one batch of the same structure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastfeed import _native
from fastfeed.errors import ConfigError
from fastfeed.options import one_of, whole
from fastfeed.wire.snapshot import snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    # (shape, dtype) -> an array to be filled
    Allocate = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]

_REMEDY = "make the items alike, pad ragged sequences with collate=ff.pad(...), or pass collate= a function of your own"
_SIDES = ("left", "right")
# Smaller arrays are stacked when all are there: it costs less than finding their row.
_ROW_BYTES = 1024


def collate(items: Sequence[Any], *, rows: Rows | None = None) -> Any:
    """Make one batch of items that are alike.

    Parameters
    ----------
    items : sequence
        At least one.  Arrays of one shape and dtype become one array of shape (items, ...); numbers (int, float, bool,
        complex, NumPy's scalars) an array of shape (items,), whole numbers that no integer dtype holds a list.
        Tuples, named tuples, dicts and dataclasses are collated member by member, all the way down.  Anything else
        (strings, bytes, None, lists, objects) stays as it is, in a list.
    rows : Rows, optional
        What the items were put into; it also says where arrays are to be made.

    Returns
    -------
    array, list, tuple, dict or dataclass
        What one item is, with arrays or lists where the item has values.

    Raises
    ------
    ConfigError
        If the items differ in structure, shape or dtype; the message names the first item that does.
    """
    if not items:
        raise ConfigError("collate: there are no items to make a batch of")
    rows = rows or Rows(0)
    return _collate(items, "", lambda column, where: _column(column, where, rows))


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
            whole("maxlen", self.maxlen, 1)
        one_of("side", self.side, _SIDES)
        one_of("truncate", self.truncate, _SIDES)
        if np.ndim(self.value) != 0 or np.asarray(self.value).dtype.kind not in "biufcU":
            raise ConfigError(f"value={self.value!r}: pass a number, or a string for sequences of strings")
        if self.dtype is None:
            return
        try:
            dtype = np.dtype(self.dtype)
        except TypeError as error:
            raise ConfigError(f"dtype={self.dtype!r}: pass what numpy.dtype takes, or None") from error
        if dtype.kind not in "biufcU":
            raise ConfigError(f"dtype={dtype}: pass a dtype of numbers or strings")
        _fitting(np.asarray([self.value]), dtype, f"value={self.value!r}")
        object.__setattr__(self, "dtype", dtype)  # one spelling, so that equal ones compare equal

    def __call__(self, items: Sequence[Any], *, rows: Rows | None = None) -> Any:
        """Make one batch; see `collate`."""
        if not items:
            raise ConfigError("pad: there are no items to make a batch of")
        rows = rows or Rows(0)

        def column(values: Sequence[Any], where: str) -> Any:
            if all(_is_sequence(value) for value in values):
                return self._rows(values, where, rows.allocate)
            return _column(values, where, rows)

        return _collate(items, "", column)

    def _rows(self, sequences: Sequence[Any], where: str, allocate: Allocate) -> NDArray[Any]:
        import numpy as np

        rows = [self._cut(sequence) for sequence in sequences]
        for number, row in enumerate(rows):
            if row.ndim != 1 or row.dtype.kind not in "biufcU":
                raise ConfigError(f"pad: {_name(number, where)} is no flat sequence of numbers or strings: {_REMEDY}")
        dtype = np.dtype(self.dtype) if self.dtype is not None else self._dtype(rows, where)
        width = self.maxlen if self.maxlen is not None else max(map(len, rows))
        batch: NDArray[Any] = allocate((len(rows), width), dtype)
        for number, row in enumerate(rows):
            values = _fitting(row, dtype, f"pad: {_name(number, where)}")
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
        """Return the dtype that holds the sequences and the value; an empty list has none to say."""
        import numpy as np

        dtypes = {row.dtype for row in rows if len(row)} or {row.dtype for row in rows if row.dtype != np.float64}
        value = np.asarray(self.value)
        if len({dtype.kind == "U" for dtype in dtypes} | {value.dtype.kind == "U"}) > 1:
            raise ConfigError(
                f"pad: value={self.value!r} does not go with {_place('the sequences', where)} of {_listed(dtypes)}: "
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


class Rows:
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
            return _rebuilt(item, lambda name, value: self._put(value, number, (*where, name)))
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


def blank(item: Any, sequences: bool) -> Any:
    """Return an item that is collated with this one and says nothing: zeros, in a list None, and [] for `sequences`."""
    import numpy as np

    if isinstance(item, tuple):
        members = [blank(value, sequences) for value in item]
        return item._make(members) if hasattr(item, "_make") else tuple(members)
    if isinstance(item, dict):
        return {key: blank(value, sequences) for key, value in item.items()}
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return _rebuilt(item, lambda _, value: blank(value, sequences))
    if sequences and _is_sequence(item):
        return item[:0]
    kind = _kind(type(item))
    if kind == "number":
        return 0 if isinstance(item, enum.Enum) else type(item)(0)
    return np.zeros_like(item) if kind == "array" else None


def _is_sequence(value: object) -> bool:
    import numpy as np

    return isinstance(value, list | range) or (isinstance(value, np.ndarray) and value.ndim == 1)


def _fitting(row: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Return an array as another dtype, where no digit before the point is lost; ConfigError elsewhere."""
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


def _collate(items: Sequence[Any], where: str, column: Callable[[Sequence[Any], str], Any]) -> Any:
    """Walk down the structure that all items share; `column` makes a batch of what is below it."""
    first = items[0]
    if isinstance(first, tuple):
        _same_type(items, where, tuple)
        for number, item in enumerate(items):
            if len(item) != len(first):
                raise _differ(where, number, f"has {len(item)} members", f"{len(first)}")
        names = getattr(first, "_fields", range(len(first)))
        members = [
            _collate(values, f"{where}.{name}" if isinstance(name, str) else f"{where}[{name}]", column)
            for name, values in zip(names, zip(*items, strict=True), strict=True)
        ]
        return type(first)._make(members) if hasattr(first, "_make") else tuple(members)
    if isinstance(first, dict):
        _same_type(items, where, dict)
        for number, item in enumerate(items):
            if item.keys() != first.keys():
                raise _differ(where, number, f"has the keys {_listed(item)}", _listed(first))
        return {key: _collate([item[key] for item in items], f"{where}[{key!r}]", column) for key in first}
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        _same_type(items, where, type(first))
        return _rebuilt(
            first, lambda name, _: _collate([getattr(item, name) for item in items], f"{where}.{name}", column)
        )
    for number, item in enumerate(items):
        if isinstance(item, tuple | dict) or (dataclasses.is_dataclass(item) and not isinstance(item, type)):
            raise _differ(where, number, f"is a {type(item).__name__}", f"a {type(first).__name__}")
    return column(items, where)


def _rebuilt(item: Any, member: Callable[[str, Any], Any]) -> Any:
    """Return a dataclass like this one, with other members."""
    # Not by its constructor, which may check or convert the values of one item.
    cls: Any = type(item)
    made = object.__new__(cls) if cls.__new__ is object.__new__ else cls.__new__(cls)
    for field in dataclasses.fields(item):
        object.__setattr__(made, field.name, member(field.name, getattr(item, field.name)))
    return made


def _column(values: Sequence[Any], where: str, rows: Rows) -> Any:
    """Stack arrays, make an array of numbers, and leave the rest in a list."""
    import numpy as np

    kinds = {_kind(type(value)) for value in values}
    if len(kinds) > 1:
        expected = _kind(type(values[0]))
        number = next(number for number, value in enumerate(values) if _kind(type(value)) != expected)
        raise _differ(where, number, f"is {_words(values[number])}", _words(values[0]))
    if kinds == {"array"}:
        batch = rows.stacked(values)
        if batch is not None:
            return batch
        shape, dtype = values[0].shape, values[0].dtype
        for number, value in enumerate(values):
            if value.shape != shape:
                raise _differ(where, number, f"has shape {value.shape}", f"{shape}")
            if value.dtype != dtype and not value.dtype.kind == dtype.kind == "U":
                raise _differ(where, number, f"has dtype {value.dtype}", f"{dtype}")
        if dtype.kind == "U":  # whose dtype has the length of its longest string
            dtype = np.result_type(*(value.dtype for value in values))
        return np.stack(values, out=rows.allocate((len(values), *shape), dtype))
    if kinds == {"number"}:
        column = np.array(values)
        integers = all(isinstance(value, int | np.integer | np.bool_) for value in values)
        # Whole numbers that no integer dtype holds together would lose digits as floats.
        return column if column.dtype.kind in ("biu" if integers else "biufc") else list(values)
    return list(values)


def _kind(kind: type) -> str:
    """Return "array", "number", or "" for what stays in a list."""
    import numpy as np

    if issubclass(kind, np.ndarray):
        return "" if issubclass(kind, np.ma.MaskedArray) else "array"  # stacking would drop the mask
    return "number" if issubclass(kind, bool | int | float | complex | np.number | np.bool_) else ""


def _same_type(items: Sequence[Any], where: str, kind: type) -> None:
    """Raise where an item is not of the kind that the first one is, or is another named tuple."""
    exact = kind not in (tuple, dict) or hasattr(items[0], "_fields") or any(hasattr(item, "_fields") for item in items)
    for number, item in enumerate(items):
        if not (type(item) is type(items[0]) if exact else isinstance(item, kind)):
            raise _differ(where, number, f"is {_words(item)}", _words(items[0]))


def _words(value: object) -> str:
    if value is None:
        return "None"
    kind = _kind(type(value))
    if kind == "array":
        return f"an array of shape {value.shape}"  # type: ignore[attr-defined]
    return f"a number ({value!r})" if kind == "number" else f"of type {type(value).__name__}"


def _differ(where: str, number: int, has: str, expected: str) -> ConfigError:
    return ConfigError(f"collate: in this batch {_name(number, where)} {has}, item 0 {_verb(has)}{expected}: {_REMEDY}")


def _verb(has: str) -> str:
    return "has " if has.startswith("has") else "is "


def _name(number: int, where: str) -> str:
    return _place(f"item {number}", where)


def _place(what: str, where: str) -> str:
    return f"{what} at {where}" if where else what


def _listed(things: Any) -> str:
    return ", ".join(sorted(map(str, things)))
