"""What function workers do with a unit: map a chunk, run a generator over a part, step a stream.

These objects travel to the workers once, pickled by value, and are called there unit by unit; with num_workers=0 the
same objects are called in the consumer.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import traceback

from fastfeed.errors import RingMemoryError
from fastfeed.wire import frame
from fastfeed.wire.snapshot import FIXED, snapshot

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from fastfeed.collate.collate import Rows

    Arguments = tuple[tuple[Any, ...], dict[str, Any]]
    Failure = tuple[str, BaseException, str]  # what was being done, the exception, its traceback as text
    Note = Callable[[int], None]  # says which item is in hand

Where = tuple[str, object]
"""An argument of a call: ("args", position) or ("kwargs", name)."""

# What user code raises that concerns one piece of work.  An interrupt is for the consumer.
_RAISED = (Exception, SystemExit)


class Failed(Exception):
    """User code raised; `cause` is its exception and `what` names the piece of work."""

    def __init__(self, what: str, cause: BaseException) -> None:
        super().__init__(what, cause)
        self.what = what
        self.cause = cause


def failure(error: BaseException, frameless: bool = False) -> Failure:
    """What travels when user code raised; an exception that cannot travel is told as text.

    With `frameless` it keeps no frame, and what that holds, alive until the garbage collector comes by.
    """
    what = ""
    if isinstance(error, Failed):
        what, error = error.what, error.cause
    text = "".join(traceback.format_exception(error))
    if frameless:
        _let_go(error)
    try:
        frame.copied(error)  # many an exception class can be pickled, but not made from what was pickled
    except Exception:
        error = RuntimeError(said(error))
    return what, error, text


def item_failure(error: BaseException, frameless: bool) -> Failure:
    """The same, for one item; a lack of memory for what it returned concerns them all, and is raised."""
    if isinstance(error, RingMemoryError):
        raise error
    return failure(error, frameless)


def _let_go(error: BaseException | None) -> None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        BaseException.with_traceback(error, None)  # a class of the user's may refuse to have attributes set
        error = error.__cause__ or error.__context__


def said(error: BaseException) -> str:
    """An exception in one line."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


class End:
    """What a stream replies when its generator has ended."""


class GivenBack:
    """What a worker replies for a unit that is not to be done."""


def seed_everything(*numbers: int) -> None:
    """Seed `random`, and `numpy.random` where it is loaded, from a tuple of whole numbers."""
    import random

    packed = struct.pack(f"<{len(numbers)}Q", *(number % 2**64 for number in numbers))
    seed = int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if hasattr(numpy_random, "seed"):  # it may be just being loaded
        numpy_random.seed(seed % 2**32)  # type: ignore[union-attr]


def random_state() -> tuple[Any, ...]:
    """State of the generators that `seed_everything` seeds, to be compared.

    A module that nobody has loaded cannot have been drawn from, and asking it costs more than a small unit of work.
    """
    python, state = sys.modules.get("random"), _numpy_state()
    return (
        None if python is None else python.getstate(),
        None if state is None else (state[1].tobytes(), *state[2:]),
    )


def _numpy_state() -> Any:
    # Asked for by name: a module that is being loaded is there before its functions are.
    get_state = getattr(sys.modules.get("numpy.random"), "get_state", None)
    return None if get_state is None else get_state()


class RandomAside:
    """Keep the random state of work apart from that of the process which it is done in, over several pieces of it."""

    def __init__(self) -> None:
        self._ours: tuple[Any, Any] | None = None
        self._theirs: tuple[Any, Any] | None = None

    def __enter__(self) -> None:
        self._theirs = _random_states()
        if self._ours is not None:
            _set_random_states(self._ours)

    def __exit__(self, *exception: object) -> None:
        self._ours = _random_states()
        if self._theirs is not None:
            _set_random_states(self._theirs)


def _random_states() -> tuple[Any, Any]:
    import random

    return random.getstate(), _numpy_state()


def _set_random_states(states: tuple[Any, Any]) -> None:
    import random

    random.setstate(states[0])
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return
    if states[1] is not None:
        numpy_random.set_state(states[1])
    elif hasattr(numpy_random, "seed"):  # it may be just being loaded
        numpy_random.seed()


def name_of(function: object) -> str:
    """What messages call a function."""
    function = getattr(function, "func", function)  # a functools.partial is called what it calls
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return str(name or type(function).__name__)


class Work:
    """What all work has; calling it with a unit gives the reply."""

    arena: frame.Arena | None = None
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
        del unit
        raise frame.UnpicklableError(frame.refusal(reply))

    def close(self) -> None:
        """End what is still going on."""


class MapChunk(Work):
    """Apply a function to the items of a chunk.

    A unit is (epoch, index of the first item, items, offsets to leave out); the reply is (results, failures by offset),
    or, with a collate function, ([batch] or [], failures by offset).

    Each item that draws random numbers is given its own seed, (seed, epoch, index), so that results do not depend on
    how items fall into chunks.  Seeding costs more than many a function, so it begins when a chunk is seen to have
    drawn numbers, and that chunk is done again.  Results are taken as they are when they are returned: the function may
    fill the same array again.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        collate: Callable[[list[Any]], Any] | None,
        seed: int,
        on_error: str,
    ) -> None:
        super().__init__(function)
        self._collate = collate
        self._seed = seed
        self._stop = on_error == "raise"  # at the first failure
        self._replace = on_error == "replace"
        self._seeding = False

    def __call__(self, unit: tuple[int, int, list[Any], list[int]], note: Note | None) -> Any:
        """Map a chunk."""
        if not self._seeding:
            before = random_state()
            reply = self._reply(*unit, note)
            if random_state() == before:
                return reply
            self._seeding = True
        while True:
            if "numpy" in sys.modules:
                import numpy.random  # noqa: F401  loaded within a chunk, it would not be seeded
            loaded = "numpy.random" in sys.modules
            reply = self._reply(*unit, note)
            if loaded or "numpy.random" not in sys.modules:
                return reply

    def _reply(self, epoch: int, first: int, items: list[Any], without: list[int], note: Note | None) -> Any:
        collate: Any = self._collate
        rows = None
        if self.arena is not None:
            self.arena.clear()
        if collate is not None:
            rows = rows_for(collate, len(items), self.arena)
        keep: Callable[[Any, int], Any] | None = None
        if rows is not None:
            keep = rows.put
        elif collate is None and (len(items) > 1 or self.arena is None):
            keep = self._kept
        results, failures = self._map(epoch, first, items, without, note, keep)
        if collate is None:
            return results, failures
        if len(failures) + len(without) >= len(items) or (self._stop and (failures or without)):
            return [], failures
        if rows is not None and self._replace and (failures or without):
            replaced = {*failures, *without}
            like = next((result for offset, result in enumerate(results) if offset not in replaced), None)
            for offset in replaced:
                results[offset] = rows.put(blank_for(collate, like), offset)
        if self._seeding:
            seed_everything(self._seed, epoch, first, len(items))
        try:
            return [collate(results) if rows is None else collate(results, rows=rows)], failures
        except Exception as error:
            raise Failed("collating a batch", error) from error

    def _kept(self, result: Any, number: int) -> Any:
        del number
        return snapshot(result, None if self.arena is None else self.arena.copied)

    def _map(
        self,
        epoch: int,
        first: int,
        items: list[Any],
        without: list[int],
        note: Note | None,
        keep: Callable[[Any, int], Any] | None,
    ) -> tuple[list[Any], dict[int, Failure]]:
        """Results and failures; `keep` says what of a result, and of how many before it, is kept at once."""
        function = self.function
        results: list[Any] = []
        failures: dict[int, Failure] = {}
        done = 0
        if not (self._seeding or without or note):
            try:
                for item in items:
                    result = function(item)
                    results.append(result if keep is None or type(result) in FIXED else keep(result, len(results)))
                return results, failures
            except _RAISED as error:
                done = len(results)
                failures[done] = item_failure(error, self.arena is not None)
        for offset in range(done, len(items)):
            if offset not in failures and offset not in without:
                if note is not None:
                    note(offset)
                if self._seeding:
                    seed_everything(self._seed, epoch, first + offset)
                try:
                    result = function(items[offset])
                    results.append(result if keep is None or type(result) in FIXED else keep(result, len(results)))
                    continue
                except _RAISED as error:
                    failures[offset] = item_failure(error, self.arena is not None)
            if self._stop:
                break
            if self._replace:
                results.append(None)
        return results, failures

    def sendable(self, unit: tuple[int, int, list[Any], list[int]], reply: Any) -> Any:
        """Make failures of the results that cannot be pickled."""
        _, _, items, without = unit
        results, failures = reply
        if self._collate is not None:
            raise Failed("sending a batch", frame.UnpicklableError(frame.refusal(results[0])))
        offsets = [o for o in range(len(items)) if self._replace or (o not in failures and o not in without)]
        kept: list[Any] = []
        for offset, result in zip(offsets, results, strict=False):
            try:
                frame.frame(result)
            except frame.UnpicklableError:
                failures[offset] = failure(frame.UnpicklableError(frame.refusal(result)))
                if self._stop:
                    break
                if self._replace:
                    kept.append(None)
            else:
                kept.append(result)
        return kept, failures


def rows_for(collate: Callable[..., Any], count: int, arena: frame.Arena | None) -> Rows | None:
    """Rows for a batch of so many items, where the collate function is one of fastfeed's own."""
    from fastfeed.collate.collate import Pad, Rows, collate as default_collate

    padding = type(collate) is Pad  # flat arrays are sequences to it
    if not padding and collate is not default_collate:
        return None
    return Rows(count, None if arena is None else arena.empty, ndim=2 if padding else 0)


def blank_for(collate: Callable[..., Any], like: Any) -> Any:
    """What stands for a failure in a batch of items like that."""
    from fastfeed.collate.collate import Pad, blank

    return blank(like, sequences=isinstance(collate, Pad))


class Calls(Work):
    """A generator function with its arguments, to be called again and again."""

    def __init__(self, function: Callable[..., Any], arguments: Arguments, seed: int) -> None:
        super().__init__(function)
        self._arguments: Callable[[], Arguments] = lambda: arguments
        self._seed = seed

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arguments": None}

    def arguments(self) -> Arguments:
        """Arguments of the call."""
        return self._arguments()

    def attach(self, arguments: Callable[[], Arguments]) -> None:
        """Take the arguments from here."""
        self._arguments = arguments

    def start(self, arguments: Arguments, split: Sequence[Where], parts: Sequence[Any], *key: int) -> Iterator[Any]:
        """Call the function, with parts in place of the split arguments and seeds from (seed, *key)."""
        import numpy.random  # noqa: F401  loaded late, inside the generator, it would not be seeded

        args, kwargs = list(arguments[0]), dict(arguments[1])
        for (kind, where), part in zip(split, parts, strict=True):
            target: Any = args if kind == "args" else kwargs
            target[where] = part
        seed_everything(self._seed, *key)
        result = self.function(*args, **kwargs)
        try:
            return iter(result)
        except TypeError:
            raise TypeError(
                f"{self.name()} returned {type(result).__name__}, which cannot be iterated; "
                f"parallel() wants a generator function, map() a function of one item"
            ) from None


def argument(arguments: Arguments, where: Where) -> Any:
    """One argument of a call."""
    args, kwargs = arguments
    key: Any = where[1]
    return args[key] if where[0] == "args" else kwargs[key]


class Runs(Calls):
    """Call a generator function on one part, and collect what it yields.  A unit is (epoch, run, parts).

    Parts come with the unit, so that workers need not hold what is cut; the other arguments are loaded once.  The reply
    is (what was yielded; what was raised after that, or None; whether that is sealed).
    """

    def __init__(self, function: Callable[..., Any], arguments: Arguments, split: Sequence[Where], seed: int) -> None:
        super().__init__(function, arguments, seed)
        self._split = split
        self._others: Arguments | None = None

    def arguments(self) -> Arguments:
        """Arguments of the call, less those that are cut."""
        args, kwargs = super().arguments()
        cut = set(self._split)
        return (
            tuple(None if ("args", position) in cut else value for position, value in enumerate(args)),
            {name: None if ("kwargs", name) in cut else value for name, value in kwargs.items()},
        )

    def run(self, unit: tuple[int, int, list[Any]]) -> Iterator[Any]:
        """Begin a run."""
        epoch, run, parts = unit
        if self._others is None:
            self._others = self._arguments()
        return self.start(self._others, self._split, parts, epoch, run)

    def __call__(self, unit: tuple[int, int, list[Any]], note: Note | None) -> Any:
        """Do a run, in a worker."""
        del note
        arena = self.arena
        assert arena is not None
        items: list[Any] = []
        try:
            for item in self.run(unit):
                # As it is when it is yielded: the generator may fill the same array again.
                items.append(frame.sealed(item, arena))  # noqa: PERF401  what came before a failure is kept
        except _RAISED as error:
            return items, failure(error), True
        return items, None, True

    def here(self, unit: tuple[int, int, list[Any]]) -> Iterator[Any]:
        """Do a run, in this process: item by item."""
        for item in self.run(unit):
            yield [item], None, False


class Streams(Calls):
    """Step a generator: a unit is (epoch, stream, item, bounds) and asks for that item of the stream, or its end.

    A worker holds one stream.  If it is asked for an item further on, because the worker that held the stream before
    has died, it starts the generator again and drops what has been delivered.  Each call sees its arguments as they
    were sent, whatever the call before has done to them.
    """

    def __init__(self, function: Callable[..., Any], arguments: Arguments, split: Sequence[Where], seed: int) -> None:
        super().__init__(function, arguments, seed)
        self._split = split
        self._epoch = -1
        self._position = 0
        self._generator: Iterator[Any] | None = None

    def __call__(self, unit: tuple[int, int, int, tuple[int, int] | None], note: Note | None) -> Any:
        """Make an item."""
        epoch, stream, item, bounds = unit
        if self._epoch != epoch or item == 0 or self._position > item:
            self.close()
            arguments = self._arguments()
            parts = [] if bounds is None else [argument(arguments, where)[slice(*bounds)] for where in self._split]
            self._generator = self.start(arguments, self._split, parts, epoch, stream)
            self._epoch, self._position = epoch, 0
        generator, self._generator = self._generator, None  # one that raises is not asked again
        if generator is None:
            return End
        for value in generator:
            self._position += 1
            if self._position > item:
                self._generator = generator
                return value
            del value
            if note is not None:  # the limit of time is for one item
                note(0)
        return End

    def close(self) -> None:
        """Close the generator, so that its finally clauses run."""
        generator, self._generator, self._epoch = self._generator, None, -1
        close = getattr(generator, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # nobody is there to be told but standard error
                traceback.print_exc()
