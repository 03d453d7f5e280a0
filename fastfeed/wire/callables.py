"""The user's callables on their way to a worker: packed by value here, and made there with the names of `__main__`.

Whoever unpacks them has made its interpreter like the consumer's before; see `wire.interpreter`.
"""

from __future__ import annotations

import sys

from fastfeed.wire.failure import Failed, item_failure, worker_error

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Buffers from this size on are told apart by a checksum.
_LARGE = 1 << 16


def name_of(function: object) -> str:
    """What messages call a function of the user's."""
    function = getattr(function, "func", function)  # a functools.partial is called what it calls
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return str(name or type(function).__name__)


def packed(value: Any) -> tuple[int, list[tuple[int, Any]]]:
    """Lay out a callable, or what holds callables, by value: a frame, as `frame.frame` returns it.

    Raises
    ------
    UnpicklableError
        If it cannot travel.
    """
    from fastfeed.wire import frame

    return frame.frame(value, by_value=True)


def digest(frames: Iterable[tuple[int, list[tuple[int, Any]]]]) -> bytes:
    """What tells frames of callables, and what workers are started with besides, from what they were before."""
    import hashlib
    import zlib

    from fastfeed.wire.interpreter import surroundings

    seen = hashlib.blake2b(surroundings(), digest_size=16)
    for _, pieces in frames:
        for _, piece in pieces:
            # Nine times as fast, for arrays that a function holds; and nobody means to deceive.
            seen.update(piece if len(piece) < _LARGE else zlib.crc32(piece).to_bytes(4, "little"))
    return seen.digest()


def warn_outdated(name: str, value: Any, error: Exception) -> None:
    """Say that what has changed since the workers were started does not reach them."""
    import warnings

    from fastfeed.wire.obstacle import remedied

    warnings.warn(
        f"{name} cannot be sent to the workers any more: {remedied(value, error)}; until then they go on with it as it "
        f"was when they were started",
        RuntimeWarning,
        stacklevel=2,
    )


def unpacked(memory: memoryview) -> Any:
    """Return what was packed; arrays in it are views of the memory."""
    from fastfeed.wire import frame

    return frame.read(memory)


class Initializer:
    """The user's initializer, or None, as the consumer has it."""

    def __init__(self, function: Callable[[], object] | None) -> None:
        self.function = function
        self._called = False

    def call_once(self) -> None:
        """Call it, unless it has been: before the consumer does the work itself.

        Raises
        ------
        WorkerError
            It raised.
        """
        try:
            if self.function is not None and not self._called:
                self.function()
        except BaseException as error:
            _, cause, text = item_failure(error, in_worker=False)
            raise worker_error("the initializer", "in this process", cause, text) from cause
        self._called = True


def run_initializer(memory: memoryview) -> None:
    """Call the initializer that was packed here, or None; in a worker, before anything else of the user's is loaded."""
    initializer = unpacked(memory)
    if initializer is None:
        return
    share_main([initializer])
    try:
        initializer()
    except BaseException as error:
        raise Failed("the initializer in a worker", error) from error


def print_at_once() -> None:
    """Have what the user's code prints appear line by line: the process may end without warning."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def share_main(functions: Iterable[Any]) -> None:
    """Copy what functions of `__main__` refer to into this process's `__main__`, where a pool that they make looks."""
    for function in functions:
        scope = getattr(_innermost(function), "__globals__", {})
        if scope.get("__name__") in ("__main__", "__mp_main__"):
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
