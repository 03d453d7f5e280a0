"""What the items of a batch have in common: walked down together, and said in words where they differ."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any

from fastfeed.errors import ConfigError

REMEDY = "make the items alike, pad ragged sequences with collate=ff.pad(...), or pass collate= a function of your own"


def blank(item: Any, sequences: bool) -> Any:
    """Return an item that is collated with this one and says nothing: zeros, in a list None, and [] for `sequences`."""
    import numpy as np

    if isinstance(item, tuple):
        members = [blank(value, sequences) for value in item]
        return item._make(members) if hasattr(item, "_make") else tuple(members)
    if isinstance(item, dict):
        return {key: blank(value, sequences) for key, value in item.items()}
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return rebuilt(item, lambda _, value: blank(value, sequences))
    if sequences and is_sequence(item):
        return item[:0]
    kind = kind_of(type(item))
    if kind == "number":
        return 0 if isinstance(item, enum.Enum) else type(item)(0)
    return np.zeros_like(item) if kind == "array" else None


def is_sequence(value: object) -> bool:
    """Whether a value is one that `pad` fills up: a list, a range, a flat array."""
    import numpy as np

    return isinstance(value, list | range) or (isinstance(value, np.ndarray) and value.ndim == 1)


def collated(items: Sequence[Any], where: str, column: Callable[[Sequence[Any], str], Any]) -> Any:
    """Walk down the structure that all items share; `column` makes a batch of what is below it."""
    first = items[0]
    if isinstance(first, tuple):
        require_same_type(items, where, tuple)
        for number, item in enumerate(items):
            if len(item) != len(first):
                raise differ(where, number, f"has {len(item)} members", f"{len(first)}")
        names = getattr(first, "_fields", range(len(first)))
        members = [
            collated(values, f"{where}.{name}" if isinstance(name, str) else f"{where}[{name}]", column)
            for name, values in zip(names, zip(*items, strict=True), strict=True)
        ]
        return type(first)._make(members) if hasattr(first, "_make") else tuple(members)
    if isinstance(first, dict):
        require_same_type(items, where, dict)
        for number, item in enumerate(items):
            if item.keys() != first.keys():
                raise differ(where, number, f"has the keys {listed(item)}", listed(first))
        return {key: collated([item[key] for item in items], f"{where}[{key!r}]", column) for key in first}
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        require_same_type(items, where, type(first))
        return rebuilt(
            first, lambda name, _: collated([getattr(item, name) for item in items], f"{where}.{name}", column)
        )
    for number, item in enumerate(items):
        if isinstance(item, tuple | dict) or (dataclasses.is_dataclass(item) and not isinstance(item, type)):
            raise differ(where, number, f"is a {type(item).__name__}", f"a {type(first).__name__}")
    return column(items, where)


def rebuilt(item: Any, member: Callable[[str, Any], Any]) -> Any:
    """Return a dataclass like this one, with other members."""
    # Not by its constructor, which may check or convert the values of one item.
    cls: Any = type(item)
    made = object.__new__(cls) if cls.__new__ is object.__new__ else cls.__new__(cls)
    for field in dataclasses.fields(item):
        object.__setattr__(made, field.name, member(field.name, getattr(item, field.name)))
    return made


def kind_of(kind: type) -> str:
    """Return "array", "number", or "" for what stays in a list."""
    import numpy as np

    if issubclass(kind, np.ndarray):
        return "" if issubclass(kind, np.ma.MaskedArray) else "array"  # stacking would drop the mask
    return "number" if issubclass(kind, bool | int | float | complex | np.number | np.bool_) else ""


def require_same_type(items: Sequence[Any], where: str, kind: type) -> None:
    """Raise where an item is not of the kind that the first one is, or is another named tuple."""
    exact = kind not in (tuple, dict) or hasattr(items[0], "_fields") or any(hasattr(item, "_fields") for item in items)
    for number, item in enumerate(items):
        if not (type(item) is type(items[0]) if exact else isinstance(item, kind)):
            raise differ(where, number, f"is {described(item)}", described(items[0]))


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
