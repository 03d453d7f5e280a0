"""Labels: one per sample, in whatever form the user has them, gathered by index for each batch."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from fastfeed import options, tree
from fastfeed.errors import ConfigError
from fastfeed.numeric import aligned, as_array, is_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


WHAT_LABELS = (
    "pass 'auto', None, a mapping from file name or path, a sequence with one label per sample, a dict of such "
    "sequences, or a callable"
)


class Labels:
    """One label for each sample of a source.

    Made by ``ff.files`` and the front doors from their ``labels`` option.  Numbers, lists of numbers of one length (one
    number a class, say), and NumPy arrays of one shape are kept as an array, other objects as a list; a dict of aligned
    sequences gives a dict of such columns.

    Attributes
    ----------
    missing : frozenset of int
        Samples for which a mapping has no entry.  ``on_error="raise"`` raises for them, and both ``"skip"`` and
        ``"replace"`` leave them out, for a label cannot be made up.  In the columns they have a zero or None that no
        batch shows.
    """

    __slots__ = ("_columns", "_length", "missing")

    def __init__(self, columns: Any, length: int, missing: frozenset[int] = frozenset()) -> None:
        self._columns = columns
        self._length = length
        self.missing = missing

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        """Return the label of one sample, a dict where there are several columns."""
        if not -self._length <= index < self._length:
            raise IndexError(f"label {index} of {self._length}")
        return tree.mapped(self._columns, lambda column: column[index])

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._length))

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return f"Labels({self._length}{missing})"

    def gather(self, indices: NDArray[np.int64] | memoryview | Sequence[int]) -> Any:
        """Return the labels of a batch.

        Parameters
        ----------
        indices : int64 array, memoryview or sequence, shape (rows,)
            Samples of the source.

        Returns
        -------
        ndarray of shape (rows, ...), list, or dict of these
            Always new, and the arrays writable and aligned to 64 bytes.
        """
        import numpy as np

        wanted = np.asarray(indices, np.int64)
        columns = self._columns
        if not isinstance(columns, dict):
            return _take(columns, wanted)  # what nearly every batch has
        return tree.mapped(columns, lambda column: _take(column, wanted))

    def select(self, indices: NDArray[np.int64] | memoryview | Sequence[int]) -> Labels:
        """Return the labels of some of the samples, as kept for a part of the source."""
        import numpy as np

        wanted = np.asarray(indices, np.int64)
        columns = tree.mapped(self._columns, lambda column: _part(column, wanted))
        missing = (row for row, index in enumerate(wanted.tolist()) if index in self.missing)
        return Labels(columns, len(wanted), frozenset(missing))


class _Stack:
    """Arrays of one shape, kept apart so that they need no second copy, and stacked for each batch."""

    __slots__ = ("_arrays", "dtype", "shape")

    def __init__(self, arrays: list[NDArray[Any]], dtype: np.dtype[Any]) -> None:
        self._arrays = arrays
        self.dtype = dtype
        self.shape = arrays[0].shape

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self._arrays[index]

    def __setitem__(self, index: int, value: NDArray[Any]) -> None:
        self._arrays[index] = value

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        out = aligned((len(indices), *self.shape), self.dtype)
        for row, index in enumerate(indices.tolist()):
            out[row] = self._arrays[index]
        return out

    def part(self, indices: NDArray[np.int64]) -> _Stack:
        return _Stack([self._arrays[index] for index in indices.tolist()], self.dtype)


def class_labels(numbers: array[int]) -> Labels:
    """Return class numbers as labels."""
    import numpy as np

    return Labels(np.array(numbers, np.int64), len(numbers))


def make_labels(labels: object, length: int, paths: Sequence[str] | None, root: str | None) -> Labels:
    """Bring what the user gave as ``labels`` into columns that are aligned with the samples.

    Parameters
    ----------
    labels : mapping, sequence, array, callable, or dict of sequences
        A mapping is looked up by the path as given, then the path below ``root``, then the file name, then the file
        name without its suffix.  A dict none of whose keys fits a file and whose values are sequences is one column
        per key.  A pandas Series or DataFrame whose index is strings is a mapping to its rows; one with another index
        goes by position.  A callable is called with each path.
    length : int
        Samples of the source.
    paths : sequence of str or None
        The files; None where the samples have no paths.
    root : str or None
        What every path begins with, where the files came from a folder or a glob.

    Raises
    ------
    ConfigError
        Labels of another length, of another kind, or without a single fitting key.
    """
    what = "samples" if paths is None else "files"
    if paths is not None and _goes_by_name(labels):
        labels = _named_rows(labels)
    if isinstance(labels, Mapping):
        return _from_mapping(labels, length, paths, root)
    if can_be_indexed(labels):
        return Labels(_column("labels", labels, length, what), length)
    if callable(labels):
        if paths is None:
            raise options.wrong(
                "labels", labels, "pass a list: a callable is called with paths, and these samples have none"
            )
        return Labels(_pack(_call(labels, paths)), length)
    remedy = ""
    if hasattr(labels, "__next__"):
        remedy = "; a generator cannot be indexed, list(labels) can"
    elif hasattr(labels, "__iter__") and not isinstance(labels, str | bytes | bytearray):
        remedy = f"; a {type(labels).__name__} has no order"
    raise options.wrong("labels", labels, WHAT_LABELS + remedy)


def can_be_indexed(value: object) -> bool:
    """Whether a value has a length and an order; strings and bytes are single values here."""
    if isinstance(value, str | bytes | bytearray | Mapping):
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def _goes_by_name(labels: object) -> bool:
    """Whether this is a pandas Series or DataFrame with names for its rows: a mapping, though it has an order too."""
    names = getattr(labels, "index", None)
    if not hasattr(labels, "to_dict") or getattr(labels, "ndim", 0) not in (1, 2) or names is None or callable(names):
        return False
    return any(isinstance(name, str | os.PathLike | tuple) for name in names)


def _named_rows(labels: Any) -> dict[Any, Any]:
    """Return the rows of a Series or DataFrame by their names, each what it would be by position."""
    import numpy as np

    names = list(labels.index)
    if labels.ndim == 2:
        table = np.asarray(labels)
        values = table.tolist() if table.dtype.kind in "OSU" else table
        rows = dict(zip(names, values, strict=True))
    else:
        rows = labels.to_dict()
    if len(rows) < len(names):
        seen: set[Any] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ConfigError(
            f"the index of labels has {twice!r} more than once, and a file has one label: group the rows by it first, "
            f"or pass a list of labels, one for each file"
        )
    return rows


def _length(value: Any) -> int | None:
    """Return the length of a sequence, None for anything else."""
    try:
        return len(value) if can_be_indexed(value) else None
    except TypeError:  # an array of no dimensions
        return None


def _from_mapping(labels: Mapping[Any, Any], length: int, paths: Sequence[str] | None, root: str | None) -> Labels:
    if not labels:
        raise options.wrong("labels", labels, "pass a mapping with an entry per file, or None")
    values: list[Any] = []
    missing: list[int] = []
    if paths is not None:
        values, missing = _look_up(_by_text(labels), paths, root)
    if not values or len(missing) == length:
        lengths = [_length(column) for column in labels.values()]
        if None not in lengths and (paths is None or length in lengths):
            what = "samples" if paths is None else "files"
            columns = {k: _column(f"labels[{k!r}]", column, length, what) for k, column in labels.items()}
            return Labels(columns, length)
        key = next(iter(labels))
        if paths is None:
            raise ConfigError(
                f"labels is a mapping (with the key {key!r}), but these samples have no paths to look up; "
                f"pass a sequence, or a dict of sequences, aligned with the samples"
            )
        raise ConfigError(
            f"no key of labels fits a file: a key is {key!r}, a file is {paths[0]!r}; "
            f"use paths, relative paths, file names, or file names without suffix as keys, "
            f"or, for several labels a file, a sequence of {length} labels as each value"
        )
    if not missing:
        return Labels(_pack(values), length)
    import numpy as np

    # Something of the right kind keeps the column's type; then it makes way for a value that nobody takes for a label.
    lacking = frozenset(missing)
    present = next(value for index, value in enumerate(values) if index not in lacking)
    for index in missing:
        values[index] = present
    columns = _pack(values)
    for index in missing:
        columns[index] = None if isinstance(columns, list) else np.zeros_like(columns[index])
    return Labels(columns, length, lacking)


def _by_text(labels: Mapping[Any, Any]) -> dict[str, Any]:
    table = {}
    for key, label in labels.items():
        text = os.fspath(key) if isinstance(key, os.PathLike) else key
        if not isinstance(text, str):
            raise ConfigError(
                f"labels has the key {key!r}, which is no file name or path; "
                f"use strings or Path objects as keys, or pass a sequence aligned with the files"
            )
        table[text] = label
    return table


def _look_up(table: dict[str, Any], paths: Sequence[str], root: str | None) -> tuple[list[Any], list[int]]:
    """Return a value for each path, None where there is none, and the positions of those."""
    values: list[Any] = []
    missing: list[int] = []
    owners: dict[str, str] = {}
    for index, path in enumerate(paths):
        if path in table:
            values.append(table[path])
            continue
        if root and path.startswith(root) and path[len(root) :] in table:
            values.append(table[path[len(root) :]])
            continue
        name = path.rpartition("/")[2]
        key = name if name in table else name.rpartition(".")[0] or name
        if key not in table:
            values.append(None)
            missing.append(index)
            continue
        # A bare name says nothing about the folder; one label for two different files would go unnoticed for ever.
        owner = owners.setdefault(key, path)
        if owner != path:
            raise ConfigError(
                f"the key {key!r} of labels fits both {owner!r} and {path!r}: use paths as keys, "
                f"or, if it is meant for both, pass labels=lambda path: mapping[os.path.basename(path)]"
            )
        values.append(table[key])
    return values, missing


def _call(function: Callable[[str], Any], paths: Sequence[str]) -> list[Any]:
    values = []
    for path in paths:
        try:
            values.append(function(path))
        except Exception as error:
            raise ConfigError(
                f"labels({path!r}) raised {type(error).__name__}: {error}; "
                f"a callable has to return a label for every file (a mapping may lack some)"
            ) from error
    return values


def _column(name: str, values: Any, length: int, what: str) -> Any:
    import numpy as np

    have = _length(values)
    if have != length:
        raise ConfigError(
            f"{name} has {have if have is not None else 'no'} entries for {length} {what}: "
            f"pass one per sample, in the order of the source"
            + (" (that of ff.files(...).paths)" if what == "files" else "")
        )
    if hasattr(values, "__array__") or isinstance(values, array | memoryview):
        column = np.asarray(values)
        if column.dtype.kind in "biufc":
            return column.astype(column.dtype.newbyteorder("="), copy=False)
        # tolist() turns NumPy's strings into Python's, and would turn its dates into bare numbers.
        return _pack(column.tolist() if column.dtype.kind in "OSU" else list(column))
    return _pack(list(values))


def _pack(values: list[Any]) -> Any:
    """Numbers and lists of them to an array, arrays of one shape to a stack, the rest as it is."""
    import numpy as np

    kinds = set(map(type, values))
    if kinds == {list} and len(set(map(len, values))) == 1:
        kinds = set(chain.from_iterable(map(type, value) for value in values))
        return as_array(values, kinds) if kinds and all(map(is_number, kinds)) else values
    if all(map(is_number, kinds)):
        return as_array(values)
    if all(issubclass(kind, np.ndarray) for kind in kinds):
        dtypes = {value.dtype for value in values}
        if len({value.shape for value in values}) == 1 and all(dtype.kind in "biufc" for dtype in dtypes):
            return _Stack(values, np.result_type(*dtypes))
    return values


def _take(column: Any, indices: NDArray[np.int64]) -> Any:
    if isinstance(column, list):
        return [column[index] for index in indices.tolist()]
    if isinstance(column, _Stack):
        return column.take(indices)
    return column.take(indices, axis=0, out=aligned((len(indices), *column.shape[1:]), column.dtype))


def _part(column: Any, indices: NDArray[np.int64]) -> Any:
    return column.part(indices) if isinstance(column, _Stack) else _take(column, indices)
