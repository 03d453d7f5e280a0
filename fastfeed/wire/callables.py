"""The user's callables on their way to a worker: packed by value here, and made there with all that they need.

What they need is to be found and to find others: the import hooks of what was installed as editable, and the names of
`__main__`.  The consumer's `sys.path` is there already: every worker that imports what is not fastfeed's begins with
`engine.boot.search_like`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.machinery import ModuleSpec
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

    if not any(isinstance(finder, _SiteFinder) for finder in sys.meta_path):
        sys.meta_path.append(_SiteFinder())
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


class _SiteFinder:
    """The last import hook: it sets up site when a module is not found without it.

    What was installed as editable may be found only by hooks that site sets up from .pth files.  Workers start without
    site, because it costs time that most of them never need.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Look once more, after site is set up."""
        parent = sys.modules.get(name.rpartition(".")[0])
        # What is missing in a package that was found is not expected.  Nor is what the standard library looks for in
        # passing, Jython's org and modules of other systems; site would then run inside a half-made module of its.
        if name == "org" or name in sys.stdlib_module_names or getattr(parent, "__file__", None) is not None:
            return None
        sys.meta_path.remove(self)  # first: site tries modules that need not exist
        _set_up_site()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


def _set_up_site() -> None:
    import importlib
    import site

    if site.getusersitepackages() in sys.path:  # so the consumer uses it, and this process's options do not count
        site.ENABLE_USER_SITE = True
    site.main()
    importlib.invalidate_caches()  # what they hold about entries of sys.path that only the new hooks understand
