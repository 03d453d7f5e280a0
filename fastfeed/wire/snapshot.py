"""Values as they are now: copies that show nothing of what their buffers are filled with later."""

from __future__ import annotations

import sys

from fastfeed import tree

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
    if isinstance(value, tuple):
        if not FIXED.issuperset(map(type, value)):
            made = tree.like(value, [snapshot(member, array, memo) for member in value])
    elif kind is list:
        made = memo[id(value)] = value.copy()
        if not FIXED.issuperset(map(type, value)):
            made[:] = [snapshot(member, array, memo) for member in value]
    elif kind is dict:
        made = memo[id(value)] = value.copy()
        if not FIXED.issuperset(map(type, value.values())):
            for key, member in value.items():
                made[key] = snapshot(member, array, memo)
    elif (numpy := sys.modules.get("numpy")) is not None and isinstance(value, numpy.ndarray):
        made = array(value) if array is not None and kind is numpy.ndarray else value.copy("K")
    elif isinstance(value, (set, bytearray)):
        made = tree.shallow(value)
    elif not tree.is_leaf(value, lists=True):
        made = memo[id(value)] = tree.shallow(value)  # before its members, which may lead back to it
        for key, member in tree.items(value):
            if type(member) not in FIXED:
                tree.put(made, key, snapshot(member, array, memo))
    memo[id(value)] = made
    return made
