"""What the items of a batch have in common: walked down together, and put into words where they differ."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from fastfeed import tree
from fastfeed.errors import ConfigError
from fastfeed.numeric import is_number

REMEDY = "make the items alike, pad ragged sequences with collate=ff.pad(...), or pass collate= a function of your own"


def blank(item: Any, sequences: bool) -> Any:
    """Return what stands for a missing item like this one: zeros, None for what is no number, [] for `sequences`."""
    import numpy as np

    def nothing(leaf: Any) -> Any:
        if sequences and is_paddable(leaf):
            return leaf[:0]
        kind = kind_of(type(leaf))
        if kind == "number":
            return 0 if isinstance(leaf, enum.Enum) else type(leaf)(0)
        return np.zeros_like(leaf) if kind == "array" else None

    return tree.mapped(item, nothing)


def is_paddable(value: object) -> bool:
    """Whether a value is one that `pad` fills up: a list, a range, a flat array."""
    import numpy as np

    return isinstance(value, list | range) or (isinstance(value, np.ndarray) and value.ndim == 1)


def collated(items: Sequence[Any], where: str, column: Callable[[Sequence[Any], str], Any]) -> Any:
    """Walk down the structure that all items share; `column` makes a batch of the leaves at one place."""
    first = items[0]
    if tree.is_leaf(first):
        for number, item in enumerate(items):
            if not tree.is_leaf(item):
                raise differ(where, number, f"is a {type(item).__name__}", f"a {type(first).__name__}")
        return column(items, where)
    _require_same_kind(items, where)
    keys = tree.keys(first)
    for number, item in enumerate(items):
        if tree.keys(item) != keys:
            if isinstance(first, tuple):
                raise differ(where, number, f"has {len(item)} members", f"{len(first)}")
            what = "keys" if isinstance(first, dict) else "fields"
            raise differ(where, number, f"has the {what} {listed(tree.keys(item))}", listed(keys))
    places = (where + tree.step(first, key) for key in keys)
    parts = zip(tree.columns(items), places, strict=True)
    return tree.like(first, [collated(values, place, column) for values, place in parts])


def kind_of(kind: type) -> str:
    """Return "array", "number", or "" for what stays in a list."""
    import numpy as np

    if issubclass(kind, np.ndarray):
        return "" if issubclass(kind, np.ma.MaskedArray) else "array"  # stacking would drop the mask
    return "number" if is_number(kind) else ""


def _require_same_kind(items: Sequence[Any], where: str) -> None:
    """Raise where an item is a leaf, a node of another kind, or of another class that has fields."""
    first = items[0]
    if isinstance(first, dict):
        strays = [not isinstance(item, dict) for item in items]
    elif isinstance(first, tuple) and not any(hasattr(item, "_fields") for item in items):
        strays = [not isinstance(item, tuple) for item in items]
    else:
        strays = [type(item) is not type(first) for item in items]
    if True in strays:
        number = strays.index(True)
        raise differ(where, number, f"is {described(items[number])}", described(first))


def described(value: object) -> str:
    """Return in words what a value is, for messages."""
    if value is None:
        return "None"
    kind = kind_of(type(value))
    if kind == "array":
        return f"an array of shape {value.shape}"  # type: ignore[attr-defined]
    return f"a number ({value!r})" if kind == "number" else f"of type {type(value).__name__}"


def differ(where: str, number: int, has: str, expected: str) -> ConfigError:
    """Return the error for an item that is not like the first one; `has` and `expected` are in words."""
    return ConfigError(
        f"collate: in this batch {item_name(number, where)} {has}, item 0 {_verb(has)}{expected}: {REMEDY}"
    )


def _verb(has: str) -> str:
    return "has " if has.startswith("has") else "is "


def item_name(number: int, where: str) -> str:
    """Return what messages call a member of an item."""
    return place_name(f"item {number}", where)


def place_name(what: str, where: str) -> str:
    """Return a thing with the place in the structure where it is."""
    return f"{what} at {where}" if where else what


def listed(things: Any) -> str:
    """Return things as text, sorted, with commas between them."""
    return ", ".join(sorted(map(str, things)))
