"""The user's callables on their way to a worker: packed by value here, and made there with the names of `__main__`.

Whoever unpacks them has made its interpreter like the consumer's before; see `wire.interpreter`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def packed(value: Any) -> tuple[int, list[tuple[int, Any]]]:
    """Lay out a callable, or what holds callables, by value: a frame, as `frame.frame` returns it.

    Raises
    ------
    UnpicklableError
        If it cannot travel.
    """
    from fastfeed.wire import frame

    return frame.frame(value, by_value=True)


def unpacked(memory: memoryview) -> Any:
    """Return what was packed; arrays in it are views of the memory."""
    from fastfeed.wire import frame

    return frame.read(memory)


def print_at_once() -> None:
    """Have what the user's code prints appear line by line: the process may end without warning."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def share_main(functions: Iterable[Any]) -> None:
    """Copy what functions of `__main__` refer to into this process's `__main__`, where a pool that they make looks."""
    for function in functions:
        scope = getattr(_innermost(function), "__globals__", {})
        if scope.get("__name__") == "__main__":
            for name, value in scope.items():
                vars(sys.modules["__main__"]).setdefault(name, value)


def _innermost(function: Any) -> Any:
    """The function within partials, methods and decorators."""
    while True:
        for name in ("func", "__func__", "__wrapped__"):
            inner = getattr(function, name, None)
            if callable(inner):
                function = inner
                break
        else:
            return function if hasattr(function, "__globals__") else type(function).__call__
