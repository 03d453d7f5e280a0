"""What in a value cannot travel: where it is, of which type, and what can be done about it."""

from __future__ import annotations

from collections import deque

from fastfeed import tree
from fastfeed.wire import frame

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

# Parts that are looked at before the search is given up.
_MOST = 1000


def refusal(value: Any) -> str:
    """Say why this value, which cannot travel, cannot."""
    try:
        frame.frame(value)
    except frame.UnpicklableError as error:
        return f"{error}{_place(value)}"
    return f"{type(value).__name__} cannot be sent between processes"


def remedied(value: Any, error: Exception) -> str:
    """Say why a function that `error` says cannot travel cannot, and what its user can do."""
    return (
        f"{error.__cause__}{_place(value)}; make it inside the function or in an initializer=, leave it out in a "
        f"__getstate__, or use num_workers=0"
    )


def _place(value: Any) -> str:
    """Where the nearest part is that cannot travel, although all its own parts can; "" where it is the value itself."""
    seen = {id(value)}
    waiting = deque([("", value)])
    while waiting and len(seen) < _MOST:
        path, culprit = waiting.popleft()
        parts = [(step, part) for step, part in _parts(culprit) if not travels(part)]
        if not parts:
            return f" ({path} is of type {type(culprit).__name__})" if path else ""
        for step, part in parts:
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append((path + step if path else step.removeprefix("."), part))
    return ""


def travels(value: Any) -> bool:
    """Whether a worker can be sent this, to keep it."""
    try:
        frame.frame(value, by_value=True)
    except frame.UnpicklableError:
        return False
    return True


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """What a value is made of, each part with its step from the value as one would write it."""
    if not tree.is_leaf(value, lists=True):
        return [(tree.step(value, key), member) for key, member in tree.items(value)]
    if isinstance(value, (set, frozenset)):
        return [("{...}", member) for member in value]
    if hasattr(value, "__self__") and hasattr(value, "__func__"):
        return [(".self", value.__self__), ("", value.__func__)]
    if hasattr(value, "__code__"):
        return _of_function(value)
    if hasattr(value, "func") and hasattr(value, "keywords"):  # a partial
        named = [(f"[{at}]", member) for at, member in enumerate(value.args)]
        return [("", value.func), *named, *((f".{name}", member) for name, member in value.keywords.items())]
    try:
        state = value.__getstate__() if hasattr(value, "__getstate__") else getattr(value, "__dict__", None)
    except Exception:
        return ()
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    members = {**(attributes if isinstance(attributes, dict) else {}), **(slots if isinstance(slots, dict) else {})}
    return [(f".{name}", member) for name, member in members.items()]


def _of_function(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function refers to: names of the functions around it, of its module, and its defaults."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f".{name}", function.__globals__[name]
    for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield ".default", default
