"""Sources of a prefetch that say what happens to them, and the threads that read them."""

from __future__ import annotations

import threading
from collections.abc import Iterator


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fastfeed-prefetch"]


def ended() -> None:
    """Wait for threads that were told to end without anybody waiting for them."""
    for thread in threads():
        thread.join()


class Watched:
    """A generator that says what happens to it: the items pulled, the thread it was closed in."""

    def __init__(self, items: int, error: Exception | None = None) -> None:
        self.pulled = 0
        self.closed_in: threading.Thread | None = None
        self.closed = threading.Event()
        self._items = items
        self._error = error
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        try:
            for item in range(self._items):
                with self._changed:
                    self.pulled += 1
                    self._changed.notify_all()
                yield item
            if self._error is not None:
                raise self._error
        finally:
            self.closed_in = threading.current_thread()
            self.closed.set()

    def wait_until_pulled(self, count: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.pulled >= count)


def failing() -> Iterator[int]:
    yield 0
    yield 1
    raise LookupError("no third")
