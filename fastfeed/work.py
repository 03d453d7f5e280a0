"""What function workers do with a unit: map a chunk, run a generator over a part, step a stream.

These objects travel to the workers once, pickled by value, and are called there unit by unit; with num_workers=0 the
same objects are called in the consumer.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import struct
import sys
import traceback

from fastfeed import TYPE_CHECKING, payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    Failure = tuple[str, BaseException, str]  # what was being done, the exception, its traceback as text

Where = tuple[str, object]
"""An argument of a call: ("args", position) or ("kwargs", name)."""


class Failed(Exception):
    """User code raised; `cause` is its exception and `what` names the piece of work."""

    def __init__(self, what: str, cause: BaseException) -> None:
        super().__init__(what, cause)
        self.what = what
        self.cause = cause


def failure(error: BaseException) -> Failure:
    """What travels when user code raised; an exception that cannot travel is told as text."""
    what = ""
    if isinstance(error, Failed):
        what, error = error.what, error.cause
    text = "".join(traceback.format_exception(error))
    try:
        payload.frame(error)
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return what, error, text


class End:
    """What a stream replies when its generator has ended."""


def seed_everything(*numbers: int) -> None:
    """Seed `random`, and `numpy.random` where it is loaded, from a tuple of whole numbers."""
    packed = struct.pack(f"<{len(numbers)}Q", *(number % 2**64 for number in numbers))
    seed = int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed % 2**32)


@contextlib.contextmanager
def unseeded() -> Iterator[None]:
    """Put the state of the random generators back at the end."""
    numpy_random = sys.modules.get("numpy.random")
    state, numpy_state = random.getstate(), None if numpy_random is None else numpy_random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)


def random_state() -> tuple[Any, ...]:
    """State of the generators that `seed_everything` seeds, to be compared."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return random.getstate(), None
    state = numpy_random.get_state()
    return random.getstate(), (state[1].tobytes(), *state[2:])


def name_of(function: object) -> str:
    """What messages call a function."""
    return str(getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__)


class MapChunk:
    """Apply a function to the items of a chunk.

    A unit is (index of the first item, items, offsets to leave out); the reply is (results, failures by offset), or,
    with a collate function, ([batch] or [], failures by offset).

    Each item that draws random numbers is given its own seed, (seed, index), so that results do not depend on how
    items fall into chunks.  Seeding costs more than many a function, so it begins when a chunk is seen to have drawn
    numbers, and that chunk is done again.
    """

    def __init__(
        self, function: Callable[[Any], Any], collate: Callable[[list[Any]], Any] | None, seed: int, stop: bool
    ) -> None:
        self._function = function
        self._collate = collate
        self._seed = seed
        self._stop = stop  # at the first failure
        self._seeding = False

    def __call__(self, unit: tuple[int, list[Any], list[int]], note: Callable[[int], None] | None) -> Any:
        first, items, without = unit
        if not self._seeding:
            before = random_state()
            reply = self._map(first, items, without, note)
            if random_state() == before:
                return self._collated(first, reply)
            self._seeding = True
        return self._collated(first, self._map(first, items, without, note))

    def _map(
        self, first: int, items: list[Any], without: list[int], note: Callable[[int], None] | None
    ) -> tuple[list[Any], dict[int, Failure]]:
        function, seeding = self._function, self._seeding
        results: list[Any] = []
        failures: dict[int, Failure] = {}
        if not (seeding or without or note):
            try:
                for item in items:
                    results.append(function(item))  # noqa: PERF401  what came before a failure is kept
                return results, failures
            except Exception as error:
                failures[len(results)] = failure(error)
                if self._stop:
                    return results, failures
        done = len(results) + len(failures)
        for offset in range(done, len(items)):
            if offset in without:
                continue
            if note is not None:
                note(offset)
            if seeding:
                seed_everything(self._seed, first + offset)
            try:
                results.append(function(items[offset]))
            except Exception as error:
                failures[offset] = failure(error)
                if self._stop:
                    break
        return results, failures

    def _collated(self, first: int, reply: tuple[list[Any], dict[int, Failure]]) -> Any:
        results, failures = reply
        if self._collate is not None and not (failures and self._stop):
            try:
                return ([self._collate(results)] if results else []), failures
            except Exception as error:
                raise Failed(f"collating the batch that begins with item {first}", error) from error
        return reply

    def describe(self) -> str:
        """What messages call this work."""
        return name_of(self._function)


class Calls:
    """A generator function with its arguments, to be called on parts of some of them."""

    def __init__(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], split: Sequence[Where], seed: int
    ) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._split = split
        self._seed = seed

    def start(self, bounds: tuple[int, int] | None, *key: int) -> Iterator[Any]:
        """Call the function on a part of the split arguments, with seeds from (seed, *key)."""
        args, kwargs = list(self._args), dict(self._kwargs)
        if bounds is not None:
            for kind, where in self._split:
                target: Any = args if kind == "args" else kwargs
                target[where] = target[where][slice(*bounds)]
        seed_everything(self._seed, *key)
        result = self._function(*args, **kwargs)
        try:
            return iter(result)
        except TypeError:
            raise TypeError(
                f"{name_of(self._function)} returned {type(result).__name__}, which cannot be iterated; "
                f"parallel() wants a generator function, map() a function of one item"
            ) from None

    def describe(self) -> str:
        """What messages call this work."""
        return name_of(self._function)


class Runs:
    """Call a generator function on one part, and collect what it yields.  A unit is (epoch, run, bounds)."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __call__(self, unit: tuple[int, int, tuple[int, int]], note: Callable[[int], None] | None) -> list[Any]:
        epoch, run, bounds = unit
        del note
        return list(self._calls.start(bounds, epoch, run))

    def describe(self) -> str:
        """What messages call this work."""
        return self._calls.describe()


class Streams:
    """Step generators: a unit is (epoch, stream, item, bounds) and asks for that item of the stream, or its end.

    A worker holds one stream.  If it is asked for an item further on, because the worker that held the stream before
    has died, it starts the generator again and drops what has been delivered.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._held: dict[int, tuple[int, int, Iterator[Any] | None]] = {}  # stream: epoch, next item, generator

    def __call__(self, unit: tuple[int, int, int, tuple[int, int] | None], note: Callable[[int], None] | None) -> Any:
        epoch, stream, item, bounds = unit
        del note
        at_epoch, position, generator = self._held.get(stream, (-1, 0, None))
        if at_epoch != epoch or position > item:
            self.drop(stream)
            position, generator = 0, self._calls.start(bounds, epoch, stream)
        try:
            while generator is not None:
                value = next(generator)
                position += 1
                if position > item:
                    self._held[stream] = (epoch, position, generator)
                    return value
        except StopIteration:
            pass
        except BaseException:
            self._held[stream] = (epoch, item, None)
            raise
        self._held[stream] = (epoch, item, None)
        return End

    def drop(self, stream: int) -> None:
        """Close a stream's generator, so that its finally clauses run."""
        held = self._held.pop(stream, None)
        close = getattr(held[2], "close", None) if held else None
        if close is not None:
            close()

    def close(self) -> None:
        """Close all generators."""
        for stream in list(self._held):
            self.drop(stream)

    def describe(self) -> str:
        """What messages call this work."""
        return self._calls.describe()
