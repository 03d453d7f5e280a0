"""What function workers do with a unit: map a chunk, run a generator over a part, step a stream.

These objects travel to the workers once, pickled by value, and are called there unit by unit; with num_workers=0 the
same objects are called in the consumer.
"""

from __future__ import annotations

from fastfeed.wire import frame

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from fastfeed.wire.arena import Arena

    Arguments = tuple[tuple[Any, ...], dict[str, Any]]
    Failure = tuple[str, BaseException, str]  # what was being done, the exception, its traceback as text
    Note = Callable[[int], None]  # says which item is in hand


class GivenBack:
    """What a worker replies for a unit that is not to be done."""


def name_of(function: object) -> str:
    """What messages call a function."""
    function = getattr(function, "func", function)  # a functools.partial is called what it calls
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return str(name or type(function).__name__)


class Caller:
    """What all work has; calling it with a unit gives the reply."""

    arena: Arena | None = None
    """Where the reply will be written, in a worker; it is empty when a unit begins."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, unit: Any, note: Note | None) -> Any:
        """Do a unit; `note`, where given, is told which item is in hand."""
        raise NotImplementedError

    def name(self) -> str:
        """What messages call this work."""
        return name_of(self.function)

    def arguments(self) -> Arguments | None:
        """What travels beside this object, for `attach` on the other side."""
        return None

    def attach(self, arguments: Callable[[], Any]) -> None:
        """Remember how to get the arguments; each call gives fresh ones."""

    def here(self, unit: Any) -> Iterator[Any]:
        """Do a unit in this process: replies, in which nothing is sealed."""
        yield self(unit, None)

    def sendable(self, unit: Any, reply: Any) -> Any:
        """Make a reply that could not be pickled one that can; raises where there is none."""
        raise frame.UnpicklableError(frame.refusal(reply))

    def close(self) -> None:
        """End what is still going on."""
