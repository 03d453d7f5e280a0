"""Units of Python work as the feed's job: chunks of a map, parts of a generator, items of a stream."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Ledger, Order, Outline, Remedies
from fastfeed.engine.ring import Payload, Shape, Taken, Totals
from fastfeed.errors import ConfigError, WorkerDied, WorkerError
from fastfeed.functions.caller import COLLATING, Caller, GivenBack
from fastfeed.functions.spec import packed_spec, spec_digest
from fastfeed.interrupt import interrupts
from fastfeed.randomness.seeds import RandomAside
from fastfeed.wire import frame
from fastfeed.wire.callables import Initializer, warn_outdated
from fastfeed.wire.failure import item_failure, said, worker_error
from fastfeed.wire.obstacle import remedied, travels

if TYPE_CHECKING:
    from fastfeed.functions.caller import Task
    from fastfeed.wire.failure import Failure

_OVER = object()
_RESUMABLE = "feeds of images(), of arrays(), and of map() over a sequence, which has len() and is read by index"


class FunctionJob:
    """A job whose units are payloads; see `fastfeed.engine.job.Job`.

    A subclass says what the units are (`units`), what a worker is sent for one (`task`, `worker_of`), what the user
    gets for a reply (`results`), and what can be done about slow work (`remedies`).
    """

    kind = WorkerKind("fastfeed.functions.worker", isolated=False, addressed=True)
    remedies: Remedies
    classes: list[str] | None = None
    rank = 0

    def __init__(self, caller: Caller, timed: bool, initializer: Callable[[], object] | None) -> None:
        self.ledger = Ledger()
        self._caller = caller
        self._timed = timed
        self._initializer = Initializer(initializer)
        self._digest = b""  # of the last spec
        self._epoch = 0

    # ---- what a subclass says ----

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """Units in the order of opening."""
        raise NotImplementedError

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The unit as a worker is sent it, without some of its items, and how many are left."""
        raise NotImplementedError

    def worker_of(self, unit: Any) -> int:
        """The worker that a unit is for, or -1."""
        return -1

    def slots(self, workers: int) -> int:
        """Slots where the user names none."""
        return 2 + 2 * workers

    spare = 0
    """Slots besides, for units that come and go in next to no time."""

    def at_hand(self) -> bool:
        """Whether the next unit can be had at once, as far as is known."""
        return True

    def results(self, unit: Any, reply: Any) -> Delivery:
        """What the user gets for a reply, and what is to be raised after that."""
        raise NotImplementedError

    def what(self, unit: Any) -> str:
        """What messages call a unit."""
        raise NotImplementedError

    def contents(self) -> str:
        """What is fed, and how much of it, in words."""
        raise NotImplementedError

    def sent(self, unit: Any, size: int) -> None:
        """Look at a unit that was sent; for adapting."""

    def finished(self, unit: Any, reply_bytes: int, totals: Totals) -> None:
        """Look at a unit that was done, and at what the workers have done so far; for adapting."""

    can_leave_out = False
    """Whether a unit can be done without one of its items."""

    def deadly(self, unit: Any, items: dict[int, Death]) -> WorkerDied | None:
        """Note the items that killed two workers; what is to be raised for them, if anything."""
        death = next(iter(items.values()))
        return WorkerDied(
            f"{self.what(unit)} of {self._caller.name()} has cost two workers; the last: {death}; a generator cannot "
            f"go on past it, so mend what it does there",
            pid=death.pid,
            signal=death.signal,
            sample=self.what(unit),
        )

    # ---- the feed's side ----

    def spec(self) -> bytearray:
        """The caller, its arguments and the initializer, as they are now."""
        try:
            spec, self._digest = packed_spec(self._caller, self._initializer.function, self._timed)
            return spec
        except frame.UnpicklableError as error:
            name, value = self._unpicklable()
            raise ConfigError(f"{name} cannot be sent to the workers: {remedied(value, error)}") from error

    def is_outdated(self) -> bool:
        """Whether the function, its arguments or what workers inherit have changed since they were packed."""
        try:
            return spec_digest(self._caller, self._initializer.function) != self._digest
        except frame.UnpicklableError as error:
            warn_outdated(*self._unpicklable(), error)
            return False

    def _unpicklable(self) -> tuple[str, Any]:
        """What cannot be sent, and what messages call it."""
        args, kwargs = self._caller.arguments() or ((), {})
        names = inspect.signature(self._caller.function).parameters
        name = self._caller.name()
        for parameter, value in (*zip(names, args, strict=False), *kwargs.items()):
            if not travels(value):
                return f"{parameter}=, an argument of {name},", value
        if not travels(self._initializer.function):
            return f"the initializer for {name}", self._initializer.function
        return name, self._caller if travels(self._caller.function) else self._caller.function

    def table_fd(self) -> int | None:
        """Nothing besides."""
        return None

    def shape(self, workers: int) -> Shape:
        """Ask for slots that carry payloads."""
        return Shape(self.slots(workers), spare=self.spare, plain=frame.PLAIN)

    def order(self, unit: Any, index: memoryview, without: list[int] | None) -> Order:
        """The task of a unit; with a list of items to leave out, one that has killed a worker and is done item by item.

        Where something must be left out and cannot, None is sent, for the worker to give back.
        """
        task, items = (None, 0) if without and not self.can_leave_out else self.task(unit, without or [])
        one_by_one = without is not None
        message: Task = one_by_one, task, items
        payload: Payload | None = frame.small(message)
        if payload is not None:
            self.sent(unit, len(payload))
        else:
            try:
                size, pieces = frame.frame(message)
            except frame.UnpicklableError as error:
                raise ConfigError(
                    f"{self._culprit(unit)} cannot be sent to a worker: {error.__cause__}; pass what can be pickled, "
                    f"and make the rest in the function"
                ) from error
            payload = size, functools.partial(frame.fill, pieces=pieces)
            self.sent(unit, size)
        return 0, 1, self.worker_of(unit), payload

    def _culprit(self, unit: Any) -> str:
        return self.what(unit)

    def forbidden(self, row: int, rows: int) -> range:
        """Nothing: the item is left out when the task is written again."""
        return range(0)

    def name(self, unit: Any, index: memoryview, row: int) -> str:
        """What messages call an item of a unit."""
        return self.what(unit)

    def prepare(self, memory: Any, indices: bytearray) -> Any:
        """Nothing: what a reply is like shows when it is there."""

    def deliver(self, unit: Any, taken: Taken, set_aside: dict[int, Death]) -> Delivery:
        """Read the reply of a complete slot, as views of it where it is large."""
        memory, rows, scarce, totals = taken
        try:
            if isinstance(memory, bytes):
                reply = frame.read_plain(memory)
            elif scarce:
                reply = frame.read_copied(memory)
                self.ledger.copies += frame.has_buffers(memory)
            else:
                reply = frame.read(memory)
        except Exception as error:  # the user's classes, being made from what was pickled
            if interrupts(error):
                raise
            return [], self._unloadable(unit, error)
        if rows:
            return [], self._error(unit, reply)
        self.finished(unit, len(memory), totals)
        died = self.deadly(unit, dict(sorted(set_aside.items()))) if set_aside else None
        if reply is GivenBack:
            return [], died
        results = self.results(unit, reply)
        return results if died is None else (results[0], results[1] or died)

    def _unloadable(self, unit: Any, cause: Exception) -> WorkerError:
        what = f"what {self._caller.name()} returned for {self.what(unit)}"
        error = WorkerError(f"{what} cannot be loaded in this process: {said(cause)}")
        error.__cause__ = cause
        return error

    def _error(self, unit: Any, reply: Failure) -> WorkerError:
        what, cause, text = reply
        name = self._caller.name()
        if isinstance(cause, ConfigError) and what == COLLATING:  # in our words, which a cause would only say again
            return WorkerError(f"{what}, for {name}: {cause} ({self.what(unit)})")
        if what:  # not in the function itself
            return worker_error(f"{what}, for {name},", self.what(unit), cause, text)
        return worker_error(name, self.what(unit), cause, text)

    def run_here(self, units: Iterator[Any]) -> Iterator[Delivery]:
        """Do the same in this process, with random numbers apart from those of the rest of it."""
        aside = RandomAside(self._caller.look_again())
        try:
            for unit in units:
                self._initializer.call_once()
                task, _ = self.task(unit, [])
                replies = self._caller.replies(task)
                failed = None
                while True:
                    with aside:
                        try:
                            reply = next(replies, _OVER)
                        except BaseException as error:
                            failed = self._error(unit, item_failure(error, in_worker=False))
                            reply = _OVER
                    if reply is _OVER:
                        break
                    yield self.results(unit, reply)
                yield [], failed
                del failed  # its traceback may keep this frame: no circle
        finally:
            with aside:
                self._caller.close()

    def ended(self) -> None:
        """Nothing: what was delivered says it."""

    def length(self) -> int:
        """Nobody knows how much a generator yields."""
        raise TypeError("this feed has no len(): nobody knows how many items a generator yields")

    def outline(self) -> Outline:
        """Nothing is known of what a generator yields."""
        return Outline()

    def sizes(self) -> tuple[int, ...]:
        """Nobody knows what the user's functions make."""
        return ()

    def standing(self, waiting: int) -> str:
        """The epoch that has not begun: of a generator, nothing else is known beforehand."""
        return f"next epoch {self._epoch}"

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch; it seeds the random numbers."""
        self._epoch = epoch

    def state(self, ordered: bool, waiting: int) -> dict[str, Any]:
        """There is none."""
        raise ConfigError(f"state_dict() is for {_RESUMABLE}")

    def load(self, saved: Any) -> None:
        """There is none."""
        raise ConfigError(f"load_state_dict() is for {_RESUMABLE}")

    def _epochs(self, epochs: int | None) -> Iterator[int]:
        for _ in itertools.repeat(None) if epochs is None else range(epochs):
            self._epoch += 1
            yield self._epoch - 1
