"""The queues that a source takes items from, as far as they can be seen: the user's loop may be what fills them.

    def source():                           for result in fastfeed.map(function, source()):
        yield first                             queue.put(result)
        while True:
            yield queue.get()

Whoever asks such a source while results are on their way waits for ever: the loop is to have them first.
"""

from __future__ import annotations

import gc
import itertools
import types
from collections.abc import Iterator
from typing import Any

# What is looked at; a source's queues are its arguments, its attributes, or globals that it names.
_MOST_OBJECTS = 200
# A source that has given so much while its queues were empty and nothing was on its way to the loop has items of its
# own, or somebody else fills the queues: it does not wait for the loop.
_MOST_OF_ITS_OWN = 4


class Queues:
    """The queues that an iterator holds.

    Parameters
    ----------
    source : iterator
        Generators, the iterators of Python and of `itertools`, and objects with a ``__next__`` are looked into.
    """

    def __init__(self, source: Iterator[Any]) -> None:
        self._queues = [value for value in _reached(source) if _is_queue(value)]
        self._of_its_own = 0

    def __bool__(self) -> bool:
        """Whether the source may wait for the loop."""
        return bool(self._queues)

    def are_empty(self) -> bool:
        """Whether the source may wait for the loop if it is asked now."""
        try:
            return bool(self._queues) and all(queue.empty() for queue in self._queues)
        except Exception:  # closed, or its manager has gone: that is for the source to say
            return False

    def gave_while_empty(self) -> None:
        """Note that the source has given an item, though its queues were empty and the loop had all results."""
        self._of_its_own += 1
        if self._of_its_own == _MOST_OF_ITS_OWN:
            self._queues.clear()


def _is_queue(value: Any) -> bool:
    return all(callable(getattr(type(value), name, None)) for name in ("get", "put", "empty"))


def _reached(source: Iterator[Any]) -> Iterator[Any]:
    seen = {id(source): source}  # with the objects, for some are made on the way and their ids must stay theirs
    reached = [source]
    for value in reached:
        yield value
        for step in _steps(value):
            if id(step) not in seen and len(reached) < _MOST_OBJECTS:
                seen[id(step)] = step
                reached.append(step)


def _steps(value: Any) -> Iterator[Any]:
    kind = type(value)
    if kind is types.FunctionType:
        yield from _of_function(value)
    elif kind is types.MethodType:
        yield from (value.__self__, value.__func__)
    elif kind is types.BuiltinMethodType:
        yield value.__self__
    elif kind is tuple or (kind.__module__ in ("builtins", "itertools") and hasattr(kind, "__next__")):
        yield from gc.get_referents(value)  # of a generator its variables, and the function whose it is
    elif isinstance(step := getattr(kind, "__next__", None), types.FunctionType):
        yield from getattr(value, "__dict__", {}).values()
        yield from _of_function(step)


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        yield from gc.get_referents(cell)
    yield from _named(function.__code__, function.__globals__)


def _named(code: types.CodeType, scope: dict[str, Any]) -> Iterator[Any]:
    """What the names in a function's code stand for, modules aside."""
    named = (scope[name] for name in code.co_names if name in scope)
    return itertools.filterfalse(lambda value: isinstance(value, types.ModuleType), named)
