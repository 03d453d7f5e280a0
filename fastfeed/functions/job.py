"""Units of Python work as the feed's job: chunks of a map, parts of a generator, items of a stream."""

from __future__ import annotations

import inspect
import itertools
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastfeed.engine.boot import AS_IN_THE_CONSUMER, WorkerKind
from fastfeed.engine.crew import Death
from fastfeed.engine.ring import Ring, Slot
from fastfeed.errors import ConfigError, SampleError, WorkerDied, WorkerError
from fastfeed.functions.caller import (
    End,
    GivenBack,
    MapChunk,
    RandomAside,
    Runs,
    Streams,
    Where,
    Work,
    argument,
    failure,
    said,
)
from fastfeed.functions.worker import packed_spec
from fastfeed.wire import frame
from fastfeed.wire.snapshot import FIXED, snapshot

if TYPE_CHECKING:
    from fastfeed.functions.caller import Arguments, Failure

# An automatic chunk is to take a worker, and the iterable, about this long, and neither it nor its results shall be
# large.
_CHUNK_S = 2e-3
_CHUNK_BYTES = 1 << 20
_CHUNK_ITEMS = 4096
_OVER = object()


class TasksJob:
    """A job whose units are payloads; see `fastfeed.engine.feed.Job`.

    A subclass says what the units are (`units`), what a worker is sent for one (`task`, `worker_of`) and what the user
    gets for a reply (`results`).
    """

    kind = WorkerKind("fastfeed.functions.worker", AS_IN_THE_CONSUMER, addressed=True)
    classes: list[str] | None = None

    def __init__(self, work: Work, careful: bool) -> None:
        self.errors: dict[int, SampleError] = {}
        self.samples = self.copies = 0
        self.failure: Exception | None = None
        self._work = work
        self._careful = careful
        self._epoch = 0
        # By sequence, units that have cost a worker: done item by item from then on, less the items in the list.
        self._suspects: dict[int, list[int]] = {}

    # ---- what a subclass says ----

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """Units in the order of opening."""
        raise NotImplementedError

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """What a worker is sent, less some items, and how many items that is."""
        raise NotImplementedError

    def worker_of(self, unit: Any) -> int:
        """The worker that a unit is for, or -1."""
        del unit
        return -1

    def slots(self, workers: int) -> int:
        """Slots where the user names none."""
        return 2 + 2 * workers

    def results(self, unit: Any, reply: Any) -> list[Any]:
        """What the user gets for a reply."""
        raise NotImplementedError

    def what(self, unit: Any) -> str:
        """What messages call a unit."""
        raise NotImplementedError

    def sent(self, unit: Any, size: int) -> None:
        """Look at a unit that was sent; for adapting."""

    def finished(self, unit: Any, reply_bytes: int, ring: Ring) -> None:
        """Look at a unit that was done; for adapting."""

    can_leave_out = False
    """Whether a unit can be done without one of its items."""

    def deadly(self, unit: Any, items: dict[int, Death]) -> None:
        """Items that killed two workers: note them, or let them be the failure."""
        death = next(iter(items.values()))
        self.failure = WorkerDied(
            f"{self.what(unit)} of {self._work.name()} has cost two workers; the last: {death}; a generator cannot "
            f"go on past it, so mend what it does there",
            pid=death.pid,
            signal=death.signal,
            sample=self.what(unit),
        )

    # ---- the feed's side ----

    def spec(self) -> bytearray:
        """The work itself."""
        try:
            return packed_spec(self._work, self._careful)
        except frame.UnpicklableError as error:
            raise ConfigError(
                f"{self._unpicklable()} cannot be sent to the workers: {error.__cause__}; make it inside the function, "
                f"or use num_workers=0"
            ) from error

    def _unpicklable(self) -> str:
        args, kwargs = self._work.arguments() or ((), {})
        names = inspect.signature(self._work.function).parameters
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            try:
                frame.frame(value)
            except frame.UnpicklableError:
                return f"{name}=, an argument of {self._work.name()},"
        return self._work.name()

    def table_fd(self) -> int | None:
        """Nothing besides."""
        return None

    def ring(self, slots: int | None, workers: int) -> Ring:
        """Make a ring of payload slots."""
        return Ring(self.slots(workers) if slots is None else slots, 1, None, workers)

    def open(self, ring: Ring, slot: Slot, unit: Any) -> int:
        """Write a unit's task into the slot and open it."""
        self._write(ring, slot, unit, None)
        worker = self.worker_of(unit)
        ring.open(slot, unit, 0, 1, worker)
        return worker

    def _write(self, ring: Ring, slot: Slot, unit: Any, without: list[int] | None) -> None:
        """Send a unit; where something must be left out and cannot, None, for the worker to give back."""
        task, items = (None, 0) if without and not self.can_leave_out else self.task(unit, without or [])
        message = without is not None, task, items
        pickled = frame.small(message)
        if pickled is not None and ring.native.send(slot.number, pickled):
            self.sent(unit, len(pickled))
            return
        try:
            size = frame.write(message, lambda size: ring.room(slot, size))
        except frame.UnpicklableError as error:
            raise ConfigError(
                f"{self._culprit(unit)} cannot be sent to a worker: {error.__cause__}; pass what can be pickled, and "
                f"make the rest in the function"
            ) from error
        ring.native.set_used(slot.number, size)
        self.sent(unit, size)

    def _culprit(self, unit: Any) -> str:
        return self.what(unit)

    def open_again(self, ring: Ring, slot: Slot) -> None:
        """The same again, after the slot was damaged."""
        self.restore(ring, slot)
        ring.open_again(slot, 0, self.worker_of(slot.unit))

    def restore(self, ring: Ring, slot: Slot) -> None:
        """Write the task again: whoever had it may have begun to write the reply over it."""
        self._write(ring, slot, slot.unit, self._suspects.get(slot.sequence))

    def blame(self, ring: Ring, slot: Slot, row: int, deaths: int) -> bool:
        """After a first death a unit is done item by item; an item that kills twice is left out, or ends it all."""
        del ring
        without = self._suspects.setdefault(slot.sequence, [])
        if deaths > 1:
            without.append(row)
        return deaths > 1

    def name(self, slot: Slot, row: int) -> str:
        """What messages call an item of a unit."""
        return self.what(slot.unit)

    def prepare(self, ring: Ring, slot: Slot) -> None:
        """Nothing: what a reply is like shows when it is there."""

    def deliver(self, ring: Ring, slot: Slot, set_aside: dict[int, Death]) -> list[Any]:
        """Read the reply of a complete slot, as views of it where it is large; what is wrong with it is the failure."""
        unit = slot.unit
        failed = None
        try:
            if not self._suspects and (pickled := ring.receive(slot)) is not None:
                size = len(pickled)
                reply = pickle.loads(pickled)
            else:
                self._suspects.pop(slot.sequence, None)
                memory = memoryview(ring.lease(slot))
                failed = ring.take(slot)
                size = len(memory)
                scarce = ring.spare() == 0
                reply = frame.read_copied(memory) if scarce else frame.read(memory)
                self.copies += scarce and frame.has_buffers(memory)
        except Exception as error:  # the user's classes, being made from what was pickled
            what = f"what {self._work.name()} returned for {self.what(unit)}"
            self.failure = WorkerError(f"{what} cannot be loaded in this process: {said(error)}")
            self.failure.__cause__ = error
            return []
        if failed:
            self.failure = self._error(unit, reply)
            return []
        self.finished(unit, size, ring)
        if set_aside:
            self.deadly(unit, dict(sorted(set_aside.items())))
        return [] if reply is GivenBack else self.results(unit, reply)

    def _error(self, unit: Any, reply: Failure) -> WorkerError:
        what, cause, text = reply
        name = self._work.name()
        if what:  # not in the function itself
            return worker_error(f"{what}, for {name},", self.what(unit), cause, text)
        return worker_error(name, self.what(unit), cause, text)

    def run_here(self, units: Iterator[Any]) -> Iterator[list[Any]]:
        """Do the same work in this process, with random numbers of its own."""
        aside = RandomAside()
        try:
            for unit in units:
                task, _ = self.task(unit, [])
                replies = self._work.here(task)
                while True:
                    with aside:
                        try:
                            reply = next(replies, _OVER)
                        except (Exception, SystemExit) as error:
                            self.failure = self._error(unit, failure(error))
                            reply = _OVER
                    if reply is _OVER:
                        break
                    yield self.results(unit, reply)
                yield []
        finally:
            with aside:
                self._work.close()

    def length(self) -> int:
        """Nobody knows how much a generator yields."""
        raise TypeError("this feed has no len(): nobody knows how many items a generator yields")

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch; it seeds the random numbers."""
        self._epoch = epoch

    def state(self) -> dict[str, Any]:
        """There is none."""
        raise ConfigError("state_dict() is for feeds with a schedule, those of images() and arrays()")

    def load(self, state: dict[str, Any]) -> None:
        """There is none."""
        del state
        raise ConfigError("load_state_dict() is for feeds with a schedule, those of images() and arrays()")

    def _epochs(self, epochs: int | None) -> Iterator[int]:
        for _ in itertools.repeat(None) if epochs is None else range(epochs):
            self._epoch += 1
            yield self._epoch - 1


def worker_error(who: str, what: str, cause: BaseException, text: str) -> WorkerError:
    """The error for what user code raised, with the remote traceback as a note of its cause."""
    try:
        cause.add_note(f"The traceback in the worker:\n{text}")
    except Exception:  # a class of the user's that takes no attributes
        cause = RuntimeError(said(cause))
        cause.add_note(f"The traceback in the worker:\n{text}")
    error = WorkerError(f"{who} raised {said(cause)} ({what})")
    error.__cause__ = cause
    return error


class MapJob(TasksJob):
    """Chunks of an iterable through a function."""

    can_leave_out = True

    def __init__(
        self,
        function: Callable[[Any], Any],
        iterable: Iterable[Any],
        batch_size: int | None,
        chunk_size: int | None,
        collate: Callable[[list[Any]], Any] | None,
        on_error: str,
        seed: int,
        careful: bool,
    ) -> None:
        super().__init__(MapChunk(function, collate, seed, on_error), careful)
        self._iterable = iterable
        self._begun = False
        self._fixed = batch_size or chunk_size
        self._batched = batch_size is not None
        self._on_error = on_error
        self._chunk = 1
        self._pull_s = self._item_bytes = 0.0  # of one item

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """(epoch, index of the first item, items): no more of the iterable than is in flight."""
        del workers
        for epoch in self._epochs(epochs):
            items = iter(self._iterable)
            if items is self._iterable and self._begun:
                raise ConfigError(
                    f"this {type(items).__name__} can be gone through only once, and the first epoch has done so: pass "
                    f"map() a list, or an object whose __iter__ begins afresh"
                )
            self._begun = True
            first = 0
            more = True
            while more:
                wanted = self._fixed or self._chunk
                chunk, stopped = self._pull(items, wanted)
                if chunk:
                    yield epoch, first, chunk
                if stopped is not None:  # what came before it is on its way
                    raise stopped
                first += len(chunk)
                more = len(chunk) == wanted
            if first == 0:
                return

    def _pull(self, items: Iterator[Any], wanted: int) -> tuple[list[Any], Exception | None]:
        chunk: list[Any] = []
        stopped = None
        begun = time.perf_counter()
        try:
            chunk.extend(itertools.islice(items, 1))  # keeps what came before an exception
            more = itertools.islice(items, wanted - 1)
            if wanted > 1 and chunk and type(chunk[0]) not in FIXED:
                chunk[0] = snapshot(chunk[0])  # the iterable may fill the same array again
                more = map(snapshot, more)  # type: ignore[assignment]
            chunk.extend(more)
        except Exception as error:
            stopped = error
        self._pull_s = (time.perf_counter() - begun) / (len(chunk) or 1)
        return chunk, stopped

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The chunk as it is."""
        return (*unit, without), len(unit[2])

    def _culprit(self, unit: Any) -> str:
        _, first, items = unit
        for offset, item in enumerate(items):
            try:
                frame.frame(item)
            except frame.UnpicklableError:
                return f"item {first + offset} for {self._work.name()} ({type(item).__name__})"
        return self.what(unit)

    def sent(self, unit: Any, size: int) -> None:
        """See how large items are."""
        self._item_bytes = size / len(unit[2])

    def finished(self, unit: Any, reply_bytes: int, ring: Ring) -> None:
        """Let chunks grow towards a fixed time, in steps, while they are small."""
        if self._fixed is not None:
            return
        samples, _, _, work_ns, _ = ring.native.totals()
        item_s = max(work_ns / 1e9 / max(samples, 1), self._pull_s, 1e-9)
        item_bytes = max(reply_bytes / len(unit[2]), self._item_bytes)
        self._chunk = max(1, int(min(_CHUNK_S / item_s, _CHUNK_BYTES / item_bytes, self._chunk * 4, _CHUNK_ITEMS)))

    def deadly(self, unit: Any, items: dict[int, Death]) -> None:
        """Note the items that are left out; the first of them is the failure where they may not be."""
        _, first, chunk = unit
        for offset, death in items.items():
            self._bad(first + offset, f"{death}; the item was tried twice")
            if self._on_error == "raise" and self.failure is None:
                self.failure = WorkerDied(
                    f"item {first + offset}, {_short(chunk[offset])}, of {self._work.name()} has cost two workers; the "
                    f'last: {death}; mend it, or pass on_error="skip"',
                    pid=death.pid,
                    signal=death.signal,
                    sample=f"item {first + offset}",
                )
        self.samples -= len(items)

    def _bad(self, index: int, reason: str) -> None:
        self.errors[index] = SampleError(f"item {index}", index, reason)

    def results(self, unit: Any, reply: Any) -> list[Any]:
        """The results; failures are noted or raised after what came before them."""
        _, first, items = unit
        results: list[Any]
        results, failures = reply
        for offset, (_, error, text) in failures.items():
            self._bad(first + offset, f"{self._work.name()} raised {said(error)}")
            if self._on_error == "raise":
                what = f"item {first + offset}, {_short(items[offset])}"
                self.failure = worker_error(self._work.name(), what, error, text)
        self.samples += len(items) - len(failures)
        return results

    def what(self, unit: Any) -> str:
        """Name the items of a chunk."""
        _, first, items = unit
        return f"item {first}" if len(items) == 1 else f"items {first} to {first + len(items) - 1}"

    def length(self) -> int:
        """As many as the iterable has, or batches of them."""
        try:
            count = len(self._iterable)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError("this feed has no len(), because its iterable has none") from None
        return -(-count // self._fixed) if self._batched and self._fixed else count


def _short(item: object) -> str:
    try:
        text = repr(item)
    except Exception:
        text = f"a {type(item).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


class RunsJob(TasksJob):
    """Runs of a split argument, each a call of its own, in one slot each."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Arguments,
        split: Sequence[Where],
        count: int,
        size: int,
        seed: int,
        careful: bool,
    ) -> None:
        super().__init__(Runs(function, arguments, split, seed), careful)
        self._whole = [argument(arguments, where) for where in split]
        self._bounds = [(start, min(start + size, count)) for start in range(0, count, size)]

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """(epoch, run, bounds)."""
        del workers
        for epoch in self._epochs(epochs if self._bounds else 0):
            yield from ((epoch, run, bounds) for run, bounds in enumerate(self._bounds))

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The run with its parts."""
        epoch, run, bounds = unit
        return (epoch, run, [whole[slice(*bounds)] for whole in self._whole]), 1

    def results(self, unit: Any, reply: Any) -> list[Any]:
        """What the run yielded; what it raised after that is the failure."""
        items, failed, sealed = reply
        self.samples += len(items)
        if failed is not None:
            self.failure = self._error(unit, failed)
        return [frame.opened(item) for item in items] if sealed else list(items)

    def what(self, unit: Any) -> str:
        """Name the elements of a run."""
        _, run, (start, stop) = unit
        return f"run {run}, elements {start} to {stop - 1}"


class StreamsJob(TasksJob):
    """Streams, each held by one worker: one for all, one per part, or one per copy."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Arguments,
        split: Sequence[Where],
        streams: int,
        count: int | None,
        seed: int,
        careful: bool,
        ordered: bool,
    ) -> None:
        super().__init__(Streams(function, arguments, split, seed), careful)
        self._ordered = ordered
        self._bounds: list[tuple[int, int] | None] = [None] * streams
        if count is not None:
            self._bounds = [(count * s // streams, count * (s + 1) // streams) for s in range(streams)]
        # Of the epoch being opened: the streams that have not ended as far as is known, and by stream, the items asked
        # for and the replies to come.
        self._opening = -1
        self._living: list[int] = []
        self._asked: list[int] = []
        self._awaited: list[int] = []

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """(epoch, stream, item, bounds), until all streams are known to have ended."""
        del workers
        streams = range(len(self._bounds))
        for epoch in self._epochs(epochs):
            before = self.samples
            self._opening, self._living = epoch, list(streams)
            self._asked, self._awaited = [0 for _ in streams], [0 for _ in streams]
            # In turn, or of the stream from which the least is awaited, which is the fastest.
            load = self._asked if self._ordered else self._awaited
            while self._living:
                stream = min(self._living, key=load.__getitem__)
                item = self._asked[stream]
                self._asked[stream] += 1
                self._awaited[stream] += 1
                yield epoch, stream, item, self._bounds[stream]
            if self.samples == before:
                return  # what yields nothing would not do so for ever

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The unit as it is."""
        return unit, 1

    def worker_of(self, unit: Any) -> int:
        """Stream s lives on worker s."""
        return int(unit[1])

    def slots(self, workers: int) -> int:
        """Two for each stream, and one that the consumer holds: few, so that their memory stays in the caches."""
        return 2 + 2 * len(self._bounds)

    def results(self, unit: Any, reply: Any) -> list[Any]:
        """The item, or nothing at the stream's end."""
        epoch, stream, _, _ = unit
        if epoch == self._opening:  # replies that run on past the end belong to the epoch before
            self._awaited[stream] -= 1
            if reply is End and stream in self._living:
                self._living.remove(stream)
        if reply is End:
            return []
        self.samples += 1
        return [reply]

    def what(self, unit: Any) -> str:
        """Name an item of a stream."""
        return f"item {unit[2]} of stream {unit[1]}"
