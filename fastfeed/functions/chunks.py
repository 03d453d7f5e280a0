"""Chunks of an iterable as the feed's job: the consumer's half of map."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastfeed import _native, options
from fastfeed.engine.death import Death
from fastfeed.engine.feed import Feed
from fastfeed.engine.job import Delivery, Outline, Remedies
from fastfeed.engine.ring import Totals
from fastfeed.errors import SampleError, WorkerDied
from fastfeed.functions.chunk_caller import ChunkCaller
from fastfeed.functions.delivered import Delivered
from fastfeed.functions.job import FunctionJob
from fastfeed.functions.queues import Queues
from fastfeed.schedule.progress import Position
from fastfeed.schedule.rest import ALL, Rest
from fastfeed.schedule.schedule import Schedule
from fastfeed.schedule.state import loaded, saved
from fastfeed.wire import frame
from fastfeed.wire.failure import said, worker_error
from fastfeed.wire.snapshot import FIXED, snapshot

if TYPE_CHECKING:
    from fastfeed.functions.chunk_caller import Chunk, ChunkReply

    # Epoch, index of the first item, the items.
    Unit = tuple[int, int, list[Any]]

# Target for an automatic chunk: this long to pull and this long to run, with small input and output.
_CHUNK_S = 2e-3
_CHUNK_BYTES = 1 << 20
_CHUNK_ITEMS = 4096
# While these go on, no code of the user's runs that could change the items before.
_OF_C: tuple[type, ...] = (type(iter([])), type(iter(())))


class ChunksJob(FunctionJob):
    """Chunks of an iterable through a function."""

    remedies = Remedies(
        less_memory="lower prefetch, or the size of items and results",
        faster_source="let it yield less (a path, say) and have the function do the rest, which the workers run",
        less_work="a faster function, smaller items and results",
        pulled="the next items of the iterable",
    )
    can_leave_out = True
    spare = 24  # so that a wake-up of the consumer, or of a worker, is for a dozen small chunks

    def __init__(
        self,
        function: Callable[[Any], Any],
        iterable: Iterable[Any],
        batch_size: int | None,
        chunk_size: int | None,
        collate: Callable[[list[Any]], Any] | None,
        on_error: str,
        seed: int,
        timed: bool,
        initializer: Callable[[], object] | None,
    ) -> None:
        super().__init__(ChunkCaller(function, collate, seed, on_error), timed, initializer)
        self._iterable = iterable
        self._seed = seed
        self._as_schedule: Schedule | None = None
        self._begun = False
        self._fixed = batch_size or chunk_size
        self._batched = batch_size is not None
        self._on_error = on_error
        self._queues: Queues | None = None  # of the iterable that is being gone through
        self._chunk = 1
        self._pull_s = self._item_bytes = 0.0  # of one item
        self._delivered = Delivered(self._batched) if is_sequence(iterable) else None
        self._set_aside: Collection[int] = ()  # offsets in the chunk that is being delivered

    def units(self, epochs: int | None, workers: int) -> Iterator[Unit]:
        """Chunks of the iterable, of which no more is pulled than is in flight."""
        # Items that wait for others, or for a worker that may have to be sent them again.
        held = workers > 0 or self._batched
        for epoch, parts in self._epochs_of_parts(epochs):
            any_item = False
            for first, items in parts:
                quiet = type(items) in _OF_C
                keep = snapshot if held and not quiet else None
                self._queues = None if quiet else Queues(items) or None
                begun = yield from self._chunks(epoch, first, items, held, keep)
                any_item = any_item or begun
            if not any_item:
                return

    def _epochs_of_parts(self, epochs: int | None) -> Iterator[tuple[int, Iterator[tuple[int, Iterator[Any]]]]]:
        """Each epoch with the parts of the iterable that it goes through: where one begins, and its items."""
        position = None
        if self._delivered is not None:
            position = self._delivered.begin(self._schedule().n)
            super().set_epoch(position.epoch)
        for epoch in self._epochs(epochs):
            rest = ALL if position is None else position.of(epoch).rest
            yield epoch, self._whole() if rest == ALL else self._parts(rest)

    def _whole(self) -> Iterator[tuple[int, Iterator[Any]]]:
        items = options.begun(self._iterable, self._begun, type(self._iterable).__name__)
        self._begun = True
        yield 0, items

    def _parts(self, rest: Rest) -> Iterator[tuple[int, Iterator[Any]]]:
        iterable: Any = self._iterable
        for low, high in rest.ranges(len(iterable)):
            yield low, map(iterable.__getitem__, range(low, high))

    def _chunks(
        self, epoch: int, first: int, items: Iterator[Any], held: bool, keep: Callable[[Any], Any] | None
    ) -> Generator[Unit, None, bool]:
        """Cut items into chunks, the first of them with this index; whether there was any."""
        before, more = first, True
        while more:
            wanted = self._fixed or self._chunk
            if not held:
                wanted = 1
            chunk, more, stopped = self._pull(items, wanted, keep)
            if chunk:
                yield epoch, first, chunk
            if stopped is not None:  # what came before it is on its way
                raise stopped
            first += len(chunk)
        return first > before

    def at_hand(self) -> bool:
        """Whether the iterable does not wait for the loop, as far as is known."""
        return self._queues is None or not self._queues.are_empty()

    def _pull(
        self, items: Iterator[Any], wanted: int, keep: Callable[[Any], Any] | None
    ) -> tuple[list[Any], bool, Exception | None]:
        """The next items, whether more may follow, and what was raised after them."""
        chunk: list[Any] = []
        more, stopped = True, None
        queues = self._queues
        empty = queues is not None and queues.are_empty()
        # One by one where the iterable may wait for what becomes of the item before; a batch has to be whole.
        step = wanted if self._batched or not queues else 1
        begun = time.perf_counter()
        try:
            # Not imported here: without NumPy there are no arrays.
            array = getattr(sys.modules.get("numpy"), "ndarray", None)
            while more and len(chunk) < wanted and not (chunk and queues and queues.are_empty()):
                had = len(chunk)
                _native.pull(items, chunk, step, FIXED, keep, array)
                more = len(chunk) == had + step
        except Exception as error:
            stopped = error
        if chunk and empty and queues:
            queues.gave_while_empty()
        self._pull_s = (time.perf_counter() - begun) / (len(chunk) or 1)
        return chunk, more, stopped

    def task(self, unit: Unit, without: list[int]) -> tuple[Chunk, int]:
        """The chunk as it is, and what to leave out of it."""
        return (*unit, without), len(unit[2])

    def _culprit(self, unit: Unit) -> str:
        _, first, items = unit
        for offset, item in enumerate(items):
            try:
                frame.frame(item)
            except frame.UnpicklableError:
                return f"item {first + offset} for {self._caller.name()} ({type(item).__name__})"
        return self.what(unit)

    def sent(self, unit: Unit, size: int) -> None:
        """Note how large items are."""
        self._item_bytes = size / len(unit[2])

    def finished(self, unit: Unit, reply_bytes: int, totals: Totals) -> None:
        """Let chunks grow, step by step, towards a fixed time and no further than a fixed size."""
        if self._fixed is not None:
            return
        samples, _, _, work_ns, _ = totals()
        item_s = max(work_ns / 1e9 / max(samples, 1), self._pull_s, 1e-9)
        item_bytes = max(reply_bytes / len(unit[2]), self._item_bytes)
        self._chunk = max(1, int(min(_CHUNK_S / item_s, _CHUNK_BYTES / item_bytes, self._chunk * 4, _CHUNK_ITEMS)))

    def deadly(self, unit: Unit, items: dict[int, Death]) -> WorkerDied | None:
        """Note the items that are left out; what is to be raised for the first of them where they may not be."""
        _, first, chunk = unit
        self._set_aside = items
        died = None
        for offset, death in items.items():
            self._bad(first + offset, f"{death}; the item was tried twice")
            if self._on_error == "raise" and died is None:
                died = WorkerDied(
                    f"{_item(first + offset, chunk[offset])} has cost two workers of {self._caller.name()}; the last: "
                    f"{death}; {options.mend('mend it', self._on_error)}",
                    pid=death.pid,
                    signal=death.signal,
                    sample=f"item {first + offset}",
                )
        self.ledger.samples -= len(items)
        return died

    def _bad(self, index: int, reason: str) -> None:
        remedy = options.mend("mend or remove it", self._on_error)
        self.ledger.errors[index] = SampleError(f"item {index}", index, reason, remedy)

    def results(self, unit: Unit, reply: ChunkReply) -> Delivery:
        """The results; failures are noted, or raised after what came before them."""
        epoch, first, items = unit
        results, failures = reply
        failure = None
        for offset, (_, error, text) in failures.items():
            self._bad(first + offset, f"{self._caller.name()} raised {said(error)}")
            if self._on_error == "raise":
                what = _item(first + offset, items[offset])
                failure = worker_error(self._caller.name(), what, error, text)
        self.ledger.samples += len(items) - len(failures)
        if self._delivered is not None:
            if failures or self._set_aside:
                self._note_without(unit, len(results), {*failures, *self._set_aside})
            else:
                self._delivered.note(epoch, first, len(items), len(results), ())
        return results, failure

    def _note_without(self, unit: Unit, results: int, missing: set[int]) -> None:
        """Note a chunk of which items have failed."""
        epoch, first, items = unit
        done = len(items)
        if self._on_error == "raise":
            done = min(missing)  # what is behind it is not done, and it would fail again
        elif self._on_error == "replace":
            missing.clear()
        self._set_aside = ()
        assert self._delivered is not None
        self._delivered.note(epoch, first, done, results, missing)

    def what(self, unit: Unit) -> str:
        """Name the items of a chunk."""
        _, first, items = unit
        return f"item {first}" if len(items) == 1 else f"items {first} to {first + len(items) - 1}"

    def contents(self) -> str:
        """The function, and what it is mapped over."""
        try:
            count = len(self._iterable)  # type: ignore[arg-type]
            over = "1 item" if count == 1 else f"{count:,} items"
        except TypeError:
            over = f"a {type(self._iterable).__name__}"
        return f"map of {self._caller.name()} over {over}"

    def standing(self, waiting: int) -> str:
        """The epoch, and for a sequence how many of its items the loop has had the results of."""
        if self._delivered is None:
            return super().standing(waiting)
        position, count = self._delivered.position(waiting), len(self._iterable)  # type: ignore[arg-type]
        left = position.progress[0].rest.count(count) if position.progress else count
        return f"epoch {position.epoch}, {count - left:,} of {count:,} items delivered"

    def length(self) -> int:
        """As many as the iterable has, or batches of them."""
        try:
            count = len(self._iterable)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError("this feed has no len(), because its iterable has none") from None
        return -(-count // self._fixed) if self._batched and self._fixed else count

    def outline(self) -> Outline:
        """How many results a batch has, if they are made batches of."""
        whole = self._delivered is None or self._delivered.start.is_whole
        exact = self._on_error != "skip" and whole
        return Outline(rows=(self._fixed or 1) if self._batched else 0, exact=exact)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch."""
        super().set_epoch(epoch)
        if self._delivered is not None:
            self._delivered.move(Position(epoch))

    def state(self, ordered: bool, waiting: int) -> dict[str, Any]:
        """Where the loop stands, for a sequence."""
        if self._delivered is None:
            return super().state(ordered, waiting)
        schedule = self._schedule()
        return saved(self._delivered.position(waiting), schedule, schedule.fingerprint(), ordered)

    def load(self, given: Any) -> None:
        """Go on there, for a sequence."""
        if self._delivered is None:
            super().load(given)
            return
        schedule = self._schedule()
        position = loaded(given, schedule, schedule.fingerprint())
        position.forget_complete(schedule.batches_of)
        super().set_epoch(position.epoch)
        self._delivered.move(position)

    def _schedule(self) -> Schedule:
        """The items, one by one, as a schedule."""
        count = max(1, len(self._iterable))  # type: ignore[arg-type]
        if self._as_schedule is None or self._as_schedule.n != count:
            self._as_schedule = Schedule(count, 1, seed=self._seed)
        return self._as_schedule


def is_sequence(iterable: object) -> bool:
    """Whether something has a length and is read by index, so that one may begin anywhere in it."""
    whole = hasattr(iterable, "__len__") and hasattr(iterable, "__getitem__") and not isinstance(iterable, Feed)
    return whole and not isinstance(iterable, Mapping) and not hasattr(iterable, "keys")


def _item(index: int, item: object) -> str:
    """What messages call an item: its number, and what it is where that says more."""
    try:
        text = repr(item)
    except Exception:
        text = f"a {type(item).__name__}"
    if text == str(index):
        return f"item {index}"
    return f"item {index}: {text if len(text) <= 60 else text[:57] + '...'}"
