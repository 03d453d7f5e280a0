"""What a worker does with a generator: call it on a part, or step one of its streams."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping

from fastfeed.errors import ConfigError
from fastfeed.functions.caller import Caller
from fastfeed.randomness.search import held_by
from fastfeed.randomness.seeds import seed_everything, seed_held
from fastfeed.wire import frame
from fastfeed.wire.failure import failure
from fastfeed.wire.snapshot import snapshot

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from fastfeed.functions.caller import Arguments, Note
    from fastfeed.randomness.seeds import Held
    from fastfeed.wire.arena import Arena
    from fastfeed.wire.failure import Failure

    # Epoch, number of the run, its parts: one for each argument that is split.
    Run = tuple[int, int, list[Any]]
    # What was yielded; what was raised after that, or None; whether what was yielded is sealed.
    RunReply = tuple[list[Any], Failure | None, bool]
    # Epoch, stream, number of the item that is asked for, begin and end of the stream's part.
    StreamItem = tuple[int, int, int, tuple[int, int] | None]

# More items than this of one run are worth a word.
_MANY = 1_000_000

ArgumentPath = tuple[str, object]
"""An argument of a call: ("args", position) or ("kwargs", name)."""


class End:
    """What a stream replies when its generator has ended."""


class GeneratorCaller(Caller):
    """A generator function with its arguments, to be called again and again.

    What it returns is stepped by ``next`` and not by a loop, which would call ``__iter__`` again: many a class begins
    afresh there.
    """

    def __init__(self, function: Callable[..., Any], arguments: Arguments, seed: int) -> None:
        super().__init__(function)
        self._arguments: Callable[[], Arguments] = lambda: arguments
        self._seed = seed
        self._torch = False  # whether it was loaded when the call began
        self._of_arguments: tuple[Arguments, list[Held]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_arguments": None, "_of_arguments": None}

    def arguments(self) -> Arguments:
        """Arguments of the call."""
        return self._arguments()

    def attach(self, arguments: Callable[[], Arguments]) -> None:
        """Take the arguments from this function, whenever they are asked for."""
        self._arguments = arguments

    def held(self) -> list[Held]:
        """Random generators that the function and its arguments hold."""
        return [*super().held(), *self._held_by(self._arguments())]

    def forget_held(self) -> None:
        """Let the next `held` look for them."""
        super().forget_held()
        self._of_arguments = None

    def _held_by(self, arguments: Arguments) -> list[Held]:
        if self._of_arguments is None or self._of_arguments[0] is not arguments:
            known = {id(held.generator) for held in super().held()}
            roots = {"args": arguments[0], "kwargs": arguments[1]}
            self._of_arguments = arguments, held_by(roots, self._bases, known)
        return self._of_arguments[1]

    def start(
        self, arguments: Arguments, split: Sequence[ArgumentPath], parts: Sequence[Any], *key: int
    ) -> Iterator[Any]:
        """Call the function, with parts in place of the split arguments and seeds from (seed, *key)."""
        import random  # noqa: F401  loaded late, inside the generator, they would not be seeded

        import numpy.random  # noqa: F401

        args, kwargs = list(arguments[0]), dict(arguments[1])
        for (kind, where), part in zip(split, parts, strict=True):
            target: Any = args if kind == "args" else kwargs
            target[where] = part
        held = [*super().held(), *self._held_by(arguments)]
        held += held_by({"parts": parts}, {}, {id(each.generator) for each in held})
        self._torch = "torch" in sys.modules
        seed_everything(self._seed, *key)
        seed_held(held, self._seed, *key)
        result = self.function(*args, **kwargs)
        made = type(result)
        if not hasattr(made, "__iter__") and not hasattr(made, "__getitem__"):
            raise TypeError(
                f"{self.name()} returned {made.__name__}, which cannot be iterated; "
                f"parallel() wants a generator function, map() a function of one item"
            )
        return iter(result)

    def torch_is_late(self) -> bool:
        """Whether the call must begin again, for it has loaded torch, which was not seeded.

        In the consumer it cannot: the arguments are the user's own, and may have been used up.
        """
        return not self._torch and "torch" in sys.modules and self.arena is not None


def argument(arguments: Arguments, where: ArgumentPath) -> Any:
    """One argument of a call."""
    args, kwargs = arguments
    key: Any = where[1]
    return args[key] if where[0] == "args" else kwargs[key]


def cut(value: Any, start: int, stop: int) -> Any:
    """Cut out elements; ConfigError where the slice is something else, such as a batch of columns."""
    kind = type(value)
    if issubclass(kind, dict):  # one with a default would take the slice for a key
        raise ConfigError(f"{kind.__name__} cannot be cut: it has keys and no slices")
    part = value[start:stop]
    there = f"{kind.__name__} cannot be cut: its slice of {stop - start} elements is a {type(part).__name__}"
    if type(part) is not kind and isinstance(part, (tuple, Mapping)):
        raise ConfigError(f"{there}, which has columns for members")
    if len(part) != stop - start:
        raise ConfigError(f"{there} of length {len(part)}")
    return part


class RunCaller(GeneratorCaller):
    """Call a generator function on one part, and collect what it yields.

    Parts come with the unit, so that workers need not hold what is split; the other arguments are loaded once.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Arguments, split: Sequence[ArgumentPath], seed: int
    ) -> None:
        super().__init__(function, arguments, seed)
        self._split = split
        self._others: Arguments | None = None

    def arguments(self) -> Arguments:
        """Arguments of the call, without those that are split."""
        args, kwargs = super().arguments()
        split = set(self._split)
        return (
            tuple(None if ("args", position) in split else value for position, value in enumerate(args)),
            {name: None if ("kwargs", name) in split else value for name, value in kwargs.items()},
        )

    def run(self, unit: Run) -> Iterator[Any]:
        """Begin a run."""
        epoch, run, parts = unit
        if self._others is None:
            self._others = self._arguments()
        return self.start(self._others, self._split, parts, epoch, run)

    def __call__(self, unit: Run, note: Note | None) -> RunReply:
        """Do a run, in a worker."""
        arena = self.arena
        assert arena is not None
        reply = self._reply(unit, arena)
        if self.torch_is_late():
            arena.clear()
            reply = self._reply(unit, arena)
        return reply

    def _reply(self, unit: Run, arena: Arena) -> RunReply:
        items: list[Any] = []
        try:
            run = self.run(unit)
            while (item := next(run, End)) is not End:
                # As it is when it is yielded: the generator may fill the same array again.
                items.append(frame.sealed(item, arena))
                if len(items) == _MANY:
                    self._warn_of_many(unit)
        except BaseException as error:
            return items, failure(error), True
        return items, None, True

    def _warn_of_many(self, unit: Run) -> None:
        """Say what may be without an end: nobody sees anything of a run before it is whole."""
        import warnings

        warnings.warn(
            f"run {unit[1]} of {self.name()} has yielded {_MANY} items and goes on; they are kept until it ends, since "
            f"split_size= makes one reply of each run: leave split_size out where the generator is without an end",
            RuntimeWarning,
            stacklevel=2,
        )

    def replies(self, unit: Run) -> Iterator[RunReply]:
        """Do a run in the consumer: a reply for each item."""
        run = self.run(unit)
        while (item := next(run, End)) is not End:
            yield [snapshot(item)], None, False


class StreamCaller(GeneratorCaller):
    """Step a generator: a unit asks for the next item of the stream, or its end.

    A worker holds one stream.  If the worker that held the stream before has died, this one is asked for a later item
    than the first: it starts the generator again and drops the items that were delivered.  Each call gets its arguments
    as they were sent, whatever the last call has done to them.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Arguments, split: Sequence[ArgumentPath], seed: int
    ) -> None:
        super().__init__(function, arguments, seed)
        self._split = split
        self._epoch = -1
        self._position = 0
        self._generator: Iterator[Any] | None = None

    def __call__(self, unit: StreamItem, note: Note | None) -> Any:
        """Make an item."""
        epoch, stream, item, bounds = unit
        if self._epoch != epoch or item == 0 or self._position > item:
            self.close()
            arguments = self._arguments()
            parts = [] if bounds is None else [cut(argument(arguments, where), *bounds) for where in self._split]
            self._generator = self.start(arguments, self._split, parts, epoch, stream)
            self._epoch, self._position = epoch, 0
        generator, self._generator = self._generator, None  # one that raises is not asked again
        if generator is None:
            return End
        while (value := next(generator, End)) is not End:
            if self.torch_is_late():
                self._generator = generator
                self.close()
                return self(unit, note)
            self._position += 1
            if self._position > item:
                self._generator = generator
                return value
            del value
            if note is not None:  # the limit of time is for one item
                note(0)
        return End

    def replies(self, unit: StreamItem) -> Iterator[Any]:
        """Make an item in the consumer, as it is now: the generator may fill the same array again."""
        yield snapshot(self(unit, None))

    def close(self) -> None:
        """Close the generator, so that its finally clauses run."""
        generator, self._generator, self._epoch = self._generator, None, -1
        close = getattr(generator, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # nobody listens any more, but standard error is there
                traceback.print_exc()
