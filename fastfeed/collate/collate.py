"""collate: many items into one batch of the same structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastfeed.collate.batch import BatchMemory
from fastfeed.collate.structure import collated, described, differ, kind_of
from fastfeed.errors import ConfigError
from fastfeed.numeric import as_array


def collate(items: Sequence[Any], *, rows: BatchMemory | None = None) -> Any:
    """Make one batch of items that are alike.

    Parameters
    ----------
    items : sequence
        At least one.  Arrays of one shape and dtype become one array of shape (items, ...); numbers (int, float, bool,
        complex, NumPy's scalars) an array of shape (items,), whole numbers that no integer dtype holds a list.
        Tuples, named tuples, dicts and dataclasses are collated member by member, all the way down.  Anything else
        (strings, bytes, None, lists, objects) stays as it is, in a list.
    rows : BatchMemory, optional
        The memory that the items were put into; other arrays of the batch are allocated there too.

    Returns
    -------
    array, list, tuple, dict or dataclass
        The structure of one item, class by class, with arrays or lists in place of its values.

    Raises
    ------
    ConfigError
        If the items differ in structure, shape or dtype; the message names the first item that does.
    """
    if not items:
        raise ConfigError("collate: there are no items to make a batch of")
    rows = rows or BatchMemory(0)
    return collated(items, "", lambda column, where: column_of(column, where, rows))


def column_of(values: Sequence[Any], where: str, rows: BatchMemory) -> Any:
    """Stack arrays, make an array of numbers, and leave the rest in a list."""
    import numpy as np

    kinds = {kind_of(type(value)) for value in values}
    if len(kinds) > 1:
        expected = kind_of(type(values[0]))
        number = next(number for number, value in enumerate(values) if kind_of(type(value)) != expected)
        raise differ(where, number, f"is {described(values[number])}", described(values[0]))
    if kinds == {"array"}:
        batch = rows.stacked(values)
        if batch is not None:
            return batch
        shape, dtype = values[0].shape, values[0].dtype
        for number, value in enumerate(values):
            if value.shape != shape:
                raise differ(where, number, f"has shape {value.shape}", f"{shape}")
            if value.dtype != dtype and not value.dtype.kind == dtype.kind == "U":
                raise differ(where, number, f"has dtype {value.dtype}", f"{dtype}")
        if dtype.kind == "U":  # a dtype of strings carries the length of the longest
            dtype = np.result_type(*(value.dtype for value in values))
        return np.stack(values, out=rows.allocate((len(values), *shape), dtype))
    if kinds == {"number"}:
        return as_array(values)
    return list(values)
