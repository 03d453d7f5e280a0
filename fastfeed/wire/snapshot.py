"""Values as they are now: copies that show nothing of what their buffers are filled with later."""

from __future__ import annotations

import sys

from fastfeed import tree

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Values of these types cannot change.
FIXED: frozenset[type] = frozenset({int, float, str, bytes, bool, complex, type(None)})
# Nor can those of the classes of these modules; to copy a path takes as long as many a function does.
_FIXED_MODULES = frozenset({"pathlib", "pathlib._local", "datetime"})


def snapshot(
    value: Any, array: Callable[[Any], Any] | None = None, memo: dict[int, Any] | None = None, objects: bool = True
) -> Any:
    """Copy a value, all the way down, whatever its type.

    What ``copy.deepcopy`` cannot copy is sent to this process itself, and what cannot be sent is kept as it is.

    Parameters
    ----------
    value : object
    array : callable, optional
        Copies an ``ndarray`` in place of its own ``copy``.
    memo : dict, optional
        What has been copied, by id, as ``copy.deepcopy`` has it: references within a value stay.
    objects : bool
        False: objects other than arrays, tensors, containers and dataclasses are kept as they are.
    """
    kind = type(value)
    if kind in FIXED or kind.__module__ in _FIXED_MODULES:
        return value
    if memo is None:
        memo = {}
    elif id(value) in memo:
        return memo[id(value)]
    made: Any
    if kind is tuple or (
        isinstance(value, tuple) and hasattr(kind, "_fields") and not getattr(value, "__dict__", None)
    ):
        made = value
        if not FIXED.issuperset(map(type, value)):
            made = tree.like(value, [snapshot(member, array, memo, objects) for member in value])
    elif kind is list:
        made = memo[id(value)] = value.copy()
        if not FIXED.issuperset(map(type, value)):
            made[:] = [snapshot(member, array, memo, objects) for member in value]
    elif kind is dict:
        made = memo[id(value)] = value.copy()
        if not FIXED.issuperset(map(type, value.values())):
            for key, member in value.items():
                made[key] = snapshot(member, array, memo, objects)
    elif _is_array(value):
        made = array(value) if array is not None and kind.__name__ == "ndarray" else value.copy("K")
    elif _is_record(value):
        made = memo[id(value)] = tree.shallow(value)  # before its members, which may lead back to it
        for key, member in tree.items(value):
            if type(member) not in FIXED:
                tree.put(made, key, snapshot(member, array, memo, objects))
    elif not (objects or _is_tensor(value) or isinstance(value, (dict, list, tuple, set, bytearray))):
        made = value
    else:
        if array is not None:  # where the copy as a whole finds them
            for member in _members(value):
                if _is_array(member):
                    snapshot(member, array, memo)
        made = _copied(value, memo)
    memo[id(value)] = made
    return made


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and not value.dtype.hasobject


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return isinstance(value, getattr(torch, "Tensor", ()))


def _is_record(value: Any) -> bool:
    """Whether a value is a dataclass's instance, and nothing besides."""
    if isinstance(value, (dict, list, tuple)) or tree.is_leaf(value):
        return False
    attributes = getattr(value, "__dict__", None)
    return not attributes or set(attributes).issubset(tree.keys(value))


def _members(value: Any) -> Iterable[Any]:
    """What an object of an unknown class may consist of."""
    if isinstance(value, dict):
        yield from dict.values(value)
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict:
        yield from attributes.values()


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    import copy

    try:
        return copy.deepcopy(value, memo)
    except MemoryError:
        raise
    except Exception:
        from fastfeed.wire import frame

        try:
            return frame.copied(value)
        except Exception:  # whatever making it again raises
            return value
