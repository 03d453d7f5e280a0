"""Units of Python work as the feed's job: chunks of a map, parts of a generator, items of a stream."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fastfeed import _native, payload
from fastfeed.crew import Death
from fastfeed.errors import ConfigError, SampleError, WorkerDied, WorkerError
from fastfeed.function_worker import packed_spec
from fastfeed.ring import Ring, Slot
from fastfeed.work import Calls, End, MapChunk, Runs, Streams, failure, unseeded

if TYPE_CHECKING:
    from fastfeed.work import Failure

# An automatic chunk is to take a worker about this long, and neither it nor its results shall be large.
_CHUNK_S = 2e-3
_CHUNK_BYTES = 1 << 20
_CHUNK_ITEMS = 4096


class TasksJob:
    """A job whose units are payloads; see `fastfeed.feed.Job`.

    A subclass says what the units are (`units`), what a worker is sent for one (`task`, `worker_of`) and what the user
    gets for a reply (`results`).
    """

    main = "function_worker"
    classes: list[str] | None = None

    def __init__(self, work: Any, careful: bool) -> None:
        self.errors: dict[int, SampleError] = {}
        self.samples = self.copies = 0
        self.failure: Exception | None = None
        self._work = work
        self._careful = careful
        self._epoch = 0
        self._clumsy: set[int] = set()  # slots whose unit has cost a worker: done item by item from then on
        self._left_out: dict[int, list[int]] = {}

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

    def finished(self, unit: Any, reply_bytes: int, ring: Ring) -> None:
        """Look at a unit that was done; for adapting."""

    def deadly(self, unit: Any, rows: list[int], death: Death) -> list[int]:
        """Items that killed workers: those to leave out.  Raises where they cannot be."""
        raise WorkerDied(
            f"{self.what(unit)} of {self._work.describe()} has cost two workers; the last: {death}; a generator cannot "
            f"go on past it, so mend what it does there",
            pid=death.pid,
            signal=death.signal,
            sample=self.what(unit),
        )

    # ---- the feed's side ----

    def spec(self) -> bytes:
        """The work itself."""
        return packed_spec(self._work, self._careful)

    def table_fd(self) -> int | None:
        """Nothing besides."""
        return None

    def ring(self, slots: int | None, workers: int) -> Ring:
        """Make a ring of payload slots."""
        return Ring(self.slots(workers) if slots is None else slots, 1, None, workers)

    def open(self, ring: Ring, slot: Slot, unit: Any) -> int:
        """Write a unit's task into the slot and open it."""
        self._write(ring, slot, unit, False)
        worker = self.worker_of(unit)
        ring.open(slot, unit, 0, 1, worker)
        return worker

    def _write(self, ring: Ring, slot: Slot, unit: Any, careful: bool) -> None:
        task, items = self.task(unit, self._left_out.get(slot.sequence, []) if careful else [])
        pickled = payload.small((careful, task, items))
        if pickled is not None and ring.native.send(slot.number, pickled):
            return
        try:
            size = payload.write((careful, task, items), lambda size: ring.room(slot, size))
        except payload.UnpicklableError as error:
            raise ConfigError(f"{self.what(unit)}: {error}; pass what can be pickled, or make it in the worker") from error
        ring.native.set_used(slot.number, size)

    def open_again(self, ring: Ring, slot: Slot) -> None:
        """The same again, after the slot was damaged."""
        self._write(ring, slot, slot.unit, slot.sequence in self._clumsy)
        ring.open_again(slot, 0, self.worker_of(slot.unit))

    def blame(self, ring: Ring, slot: Slot, row: int, deaths: int) -> bool:
        """After a first death a unit is done item by item; an item that kills then is left out, or ends it all."""
        if slot.sequence in self._clumsy or deaths > 1:
            self._left_out.setdefault(slot.sequence, []).append(row)
        self._clumsy.add(slot.sequence)
        if slot.sequence in self._left_out and not self.can_leave_out():
            ring.native.set_status(slot.number, 0, _native.E_POISON)
        self._write(ring, slot, slot.unit, True)
        return slot.sequence in self._left_out

    def can_leave_out(self) -> bool:
        """Whether a unit can be done without one of its items."""
        return False

    def name(self, slot: Slot, row: int) -> str:
        """What messages call an item of a unit."""
        return self.what(slot.unit)

    def deliver(self, ring: Ring, slot: Slot, set_aside: dict[int, Death]) -> list[Any]:
        """Read the reply of a complete slot, as views of it where it is large."""
        unit = slot.unit
        if not self._clumsy and (pickled := ring.receive(slot)) is not None:
            self.finished(unit, len(pickled), ring)
            return self.results(unit, pickle.loads(pickled))
        lease, failed = ring.take(slot)
        memory = memoryview(lease)
        del lease
        if self._clumsy:
            self._clumsy.discard(slot.sequence)
            self._left_out.pop(slot.sequence, None)
        if failed and ring.native.status(slot.number, 0) == 128 - _native.E_POISON:
            self.deadly(unit, [], next(iter(set_aside.values())))
        scarce = ring.spare() == 0
        reply = payload.read_copied(memory) if scarce else payload.read(memory)
        self.copies += scarce and payload.has_buffers(memory)
        if failed:
            raise self._error(unit, reply)
        self.finished(unit, len(memory), ring)
        if set_aside:
            self.deadly(unit, sorted(set_aside), next(iter(set_aside.values())))
        return self.results(unit, reply)

    def _error(self, unit: Any, reply: Failure) -> WorkerError:
        what, cause, text = reply
        return worker_error(self._work.describe(), what or self.what(unit), cause, text)

    def run_here(self, units: Iterator[Any]) -> Iterator[list[Any]]:
        """Do the same work in this process, with its random state put back afterwards."""
        for unit in units:
            task, _ = self.task(unit, [])
            with unseeded():
                try:
                    reply = self._work(task, None)
                except Exception as error:
                    raise self._error(unit, failure(error)) from error
            yield self.results(unit, reply)

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


def worker_error(function: str, what: str, cause: BaseException, text: str) -> WorkerError:
    """The error for what user code raised, with the remote traceback as a note of its cause."""
    cause.add_note(f"The traceback in the worker:\n{text}")
    error = WorkerError(f"{function} raised {type(cause).__name__}: {cause} ({what})")
    error.__cause__ = cause
    return error


class MapJob(TasksJob):
    """Chunks of an iterable through a function."""

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
        super().__init__(MapChunk(function, collate, seed, on_error == "raise"), careful)
        self._iterable = iterable
        self._fixed = batch_size or chunk_size
        self._batched = batch_size is not None
        self._on_error = on_error
        self._chunk = 1
        self._item_bytes = 1.0

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """(index of the first item, items): no more of the iterable than is in flight."""
        del workers
        for _ in self._epochs(epochs):
            items = iter(self._iterable)
            first = 0
            while chunk := list(itertools.islice(items, self._fixed or self._chunk)):
                yield first, chunk
                first += len(chunk)

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The chunk as it is."""
        return (*unit, without), len(unit[1])

    def finished(self, unit: Any, reply_bytes: int, ring: Ring) -> None:
        """Let chunks grow towards a fixed time, in steps, while they are small."""
        if self._fixed is not None:
            return
        samples, _, _, work_ns, _ = ring.native.totals()
        by_time = _CHUNK_S * 1e9 * samples / max(work_ns, 1)
        by_size = _CHUNK_BYTES * len(unit[1]) / max(reply_bytes, 1)
        self._chunk = max(1, int(min(by_time, by_size, self._chunk * 4, _CHUNK_ITEMS)))

    def can_leave_out(self) -> bool:
        """A chunk can be done without one of its items."""
        return True

    def deadly(self, unit: Any, rows: list[int], death: Death) -> list[int]:
        """Note the items that are left out, or raise."""
        for row in rows:
            self._bad(unit[0] + row, f"{death}; the item was tried twice")
            if self._on_error == "raise":
                raise WorkerDied(
                    f"item {unit[0] + row} ({_short(unit[1][row])}) of {self._work.describe()} has cost two workers; "
                    f'the last: {death}; mend it, or pass on_error="skip"',
                    pid=death.pid,
                    signal=death.signal,
                    sample=f"item {unit[0] + row}",
                )
        return rows

    def _bad(self, index: int, reason: str) -> None:
        self.errors[index] = SampleError(f"item {index}", index, reason)

    def results(self, unit: Any, reply: Any) -> list[Any]:
        """The results; failures are noted or raised after what came before them."""
        first, items = unit
        results, failures = reply
        for offset, (_, error, text) in failures.items():
            self._bad(first + offset, f"{self._work.describe()} raised {type(error).__name__}: {error}")
            if self._on_error == "raise":
                what = f"item {first + offset}, {_short(items[offset])}"
                self.failure = worker_error(self._work.describe(), what, error, text)
        self.samples += len(results) if not self._batched else len(items) - len(failures)
        return results

    def what(self, unit: Any) -> str:
        """Name the items of a chunk."""
        first, items = unit
        return f"item {first}" if len(items) == 1 else f"items {first} to {first + len(items) - 1}"

    def length(self) -> int:
        """As many as the iterable has, or batches of them."""
        try:
            count = len(self._iterable)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError("this feed has no len(), because its iterable has none") from None
        return -(-count // self._fixed) if self._batched and self._fixed else count


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."


class RunsJob(TasksJob):
    """Runs of a split argument, each a call of its own, in one slot each."""

    def __init__(self, calls: Calls, count: int, size: int, careful: bool) -> None:
        super().__init__(Runs(calls), careful)
        self._bounds = [(start, min(start + size, count)) for start in range(0, count, size)]

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """(epoch, run, bounds)."""
        del workers
        for epoch in self._epochs(epochs):
            yield from ((epoch, run, bounds) for run, bounds in enumerate(self._bounds))

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The run as it is."""
        return unit, 1

    def results(self, unit: Any, reply: list[Any]) -> list[Any]:
        """What the run yielded."""
        self.samples += len(reply)
        return reply

    def what(self, unit: Any) -> str:
        """Name the elements of a run."""
        _, run, (start, stop) = unit
        return f"run {run}, elements {start} to {stop - 1}"


class StreamsJob(TasksJob):
    """Streams, each held by one worker: one for all, one per part, or one per copy."""

    def __init__(self, calls: Calls, streams: int, count: int | None, careful: bool) -> None:
        super().__init__(Streams(calls), careful)
        self._streams = streams
        self._bounds: list[tuple[int, int] | None] = [None] * streams
        if count is not None:
            self._bounds = [(count * s // streams, count * (s + 1) // streams) for s in range(streams)]
        self._ended: set[int] = set()

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """(epoch, stream, item, bounds): one item of each stream in turn, until all are known to have ended."""
        del workers
        for epoch in self._epochs(epochs):
            self._ended = set()
            for item in itertools.count():
                living = [stream for stream in range(self._streams) if stream not in self._ended]
                if not living:
                    break
                for stream in living:
                    if stream not in self._ended:
                        yield epoch, stream, item, self._bounds[stream]

    def task(self, unit: Any, without: list[int]) -> tuple[Any, int]:
        """The unit as it is."""
        return unit, 1

    def worker_of(self, unit: Any) -> int:
        """Stream s lives on worker s."""
        return int(unit[1])

    def slots(self, workers: int) -> int:
        """Two for each stream, one that the consumer holds and one that waits."""
        return 2 + 2 * self._streams

    def results(self, unit: Any, reply: Any) -> list[Any]:
        """The item, or nothing at the stream's end."""
        if reply is End:
            self._ended.add(unit[1])
            return []
        self.samples += 1
        return [reply]

    def what(self, unit: Any) -> str:
        """Name an item of a stream."""
        return f"item {unit[2]} of stream {unit[1]}"
