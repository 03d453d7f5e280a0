"""Values as they are now, whatever becomes of the buffers that they were made in."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Values of these types cannot change.
FIXED = frozenset({int, float, str, bytes, bool, complex, type(None)})


def snapshot(value: Any, array: Callable[[Any], Any] | None = None, memo: dict[int, Any] | None = None) -> Any:
    """Copy the arrays and containers of a value, all the way down; what else it holds is kept as it is.

    Parameters
    ----------
    value : object
        Arrays, lists, tuples, dicts, sets, bytearrays and dataclasses are looked into; other objects are not.
    array : callable, optional
        Copies an ``ndarray`` in place of its own ``copy``.
    memo : dict, optional
        What has been copied, by id: references within a value stay.
    """
    kind = type(value)
    if kind in FIXED:
        return value
    if memo is None:
        memo = {}
    elif id(value) in memo:
        return memo[id(value)]
    made: Any = value
    if kind is tuple or (isinstance(value, tuple) and hasattr(value, "_make")):
        if not FIXED.issuperset(map(type, value)):
            members = [snapshot(member, array, memo) for member in value]
            made = tuple(members) if kind is tuple else value._make(members)
    elif kind is list:
        made = memo[id(value)] = value.copy()
        if not FIXED.issuperset(map(type, value)):
            made[:] = [snapshot(member, array, memo) for member in value]
    elif isinstance(value, dict | set | bytearray):
        made = memo[id(value)] = value.copy()
        if isinstance(value, dict) and not FIXED.issuperset(map(type, value.values())):
            for key, member in value.items():
                made[key] = snapshot(member, array, memo)
    elif (numpy := sys.modules.get("numpy")) is not None and isinstance(value, numpy.ndarray):
        made = array(value) if array is not None and kind is numpy.ndarray else value.copy("K")
    elif "__dataclass_fields__" in dir(kind) and not isinstance(value, type):
        made = _dataclass(value, array, memo)
    memo[id(value)] = made
    return made


def _dataclass(value: Any, array: Callable[[Any], Any] | None, memo: dict[int, Any]) -> Any:
    import copy

    made = memo[id(value)] = copy.copy(value)
    for name in value.__dataclass_fields__:
        if hasattr(value, name):
            object.__setattr__(made, name, snapshot(getattr(value, name), array, memo))
    return made
