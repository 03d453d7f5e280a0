"""What function workers do with a unit: map a chunk, run a generator over a part, step a stream.

These objects are pickled by value, travel to each worker once, and are called there unit by unit; with num_workers=0
the consumer calls them itself.
"""

from __future__ import annotations

from fastfeed.randomness.search import held_by
from fastfeed.wire import frame
from fastfeed.wire.callables import name_of

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from fastfeed.randomness.seeds import Held
    from fastfeed.wire.arena import Arena

    Arguments = tuple[tuple[Any, ...], dict[str, Any]]
    Note = Callable[[int], None]  # says which item is in hand
    # What a worker is sent: whether to say which item is in hand, because the unit has killed a worker; the unit, or
    # None to have it given back; how many items it has.
    Task = tuple[bool, Any, int]


COLLATING = "collating a batch"
"""What is being done when items turn out not to be alike."""


class GivenBack:
    """What a worker replies when it is to give a unit back."""


class Caller:
    """What a worker does with a unit: a call with the unit returns the reply."""

    arena: Arena | None = None
    """In a worker, where the reply will be written; empty when a unit begins."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._held: list[Held] | None = None
        self._bases: dict[str, bytes] = {}  # in a worker: of the generators that the consumer has found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None, "_bases": {held.path: held.base for held in self.look_again()}}

    def __call__(self, unit: Any, note: Note | None) -> Any:
        """Do a unit; call `note`, where given, with the number of each item that is begun."""
        raise NotImplementedError

    def name(self) -> str:
        """What messages call the function."""
        return name_of(self.function)

    def arguments(self) -> Arguments | None:
        """What travels beside this object; the other side attaches it."""
        return None

    def attach(self, arguments: Callable[[], Any]) -> None:
        """Remember how to get the arguments: each call of `arguments` returns fresh ones."""

    def callables(self) -> dict[str, Any]:
        """The user's callables, by the name of what they are here."""
        return {"function": self.function}

    def held(self) -> list[Held]:
        """Random generators that the callables hold, looked for once."""
        if self._held is None:
            self._held = held_by(self.callables(), self._bases)
        return self._held

    def look_again(self) -> list[Held]:
        """Look for them again, in the consumer, where callables may change; those that are known keep their bases."""
        before = {} if self._held is None else {id(held.generator): held for held in self.held()}
        self.forget_held()
        for held in self.held():
            if id(held.generator) in before:
                held.base = before[id(held.generator)].base
        return self.held()

    def forget_held(self) -> None:
        """Let the next `held` look for them."""
        self._held = None

    def replies(self, unit: Any) -> Iterator[Any]:
        """Do a unit in the consumer: one or more replies, in which nothing is sealed."""
        yield self(unit, None)

    def sendable(self, unit: Any, reply: Any) -> Any:
        """Return what to send in place of a reply that cannot be pickled, or raise."""
        from fastfeed.wire.obstacle import refusal  # only now: it would delay every start

        raise frame.UnpicklableError(refusal(reply))

    def close(self) -> None:
        """End what is still going on."""
