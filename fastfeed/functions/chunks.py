"""Chunks of an iterable as the feed's job: the consumer's half of map."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fastfeed import _native
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Outline, Remedies
from fastfeed.engine.ring import Totals
from fastfeed.errors import ConfigError, SampleError, WorkerDied
from fastfeed.functions.chunk_caller import ChunkCaller
from fastfeed.functions.job import FunctionJob
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
        self._begun = False
        self._fixed = batch_size or chunk_size
        self._batched = batch_size is not None
        self._on_error = on_error
        self._chunk = 1
        self._pull_s = self._item_bytes = 0.0  # of one item

    def units(self, epochs: int | None, workers: int) -> Iterator[Unit]:
        """Chunks of the iterable, of which no more is pulled than is in flight."""
        # Items that wait for others, or for a worker that may have to be sent them again.
        held = workers > 0 or self._batched
        for epoch in self._epochs(epochs):
            items = iter(self._iterable)
            if items is self._iterable and self._begun:
                raise ConfigError(
                    f"this {type(items).__name__} can be gone through only once, and the first epoch has done so: pass "
                    f"map() a list, or an object whose __iter__ begins afresh"
                )
            self._begun = True
            keep = snapshot if held and type(items) not in _OF_C else None
            first = 0
            more = True
            while more:
                wanted = self._fixed or self._chunk
                if not held:
                    wanted = 1
                chunk, stopped = self._pull(items, wanted, keep)
                if chunk:
                    yield epoch, first, chunk
                if stopped is not None:  # what came before it is on its way
                    raise stopped
                first += len(chunk)
                more = len(chunk) == wanted
            if first == 0:
                return

    def _pull(
        self, items: Iterator[Any], wanted: int, keep: Callable[[Any], Any] | None
    ) -> tuple[list[Any], Exception | None]:
        chunk: list[Any] = []
        stopped = None
        begun = time.perf_counter()
        try:
            # Not imported here: without NumPy there are no arrays.
            array = getattr(sys.modules.get("numpy"), "ndarray", None)
            _native.pull(items, chunk, wanted, FIXED, keep, array)
        except Exception as error:
            stopped = error
        self._pull_s = (time.perf_counter() - begun) / (len(chunk) or 1)
        return chunk, stopped

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
        died = None
        for offset, death in items.items():
            self._bad(first + offset, f"{death}; the item was tried twice")
            if self._on_error == "raise" and died is None:
                died = WorkerDied(
                    f"item {first + offset}, {_short(chunk[offset])}, of {self._caller.name()} has cost two workers; "
                    f'the last: {death}; mend it, or pass on_error="skip"',
                    pid=death.pid,
                    signal=death.signal,
                    sample=f"item {first + offset}",
                )
        self.ledger.samples -= len(items)
        return died

    def _bad(self, index: int, reason: str) -> None:
        self.ledger.errors[index] = SampleError(f"item {index}", index, reason)

    def results(self, unit: Unit, reply: ChunkReply) -> Delivery:
        """The results; failures are noted, or raised after what came before them."""
        _, first, items = unit
        results, failures = reply
        failure = None
        for offset, (_, error, text) in failures.items():
            self._bad(first + offset, f"{self._caller.name()} raised {said(error)}")
            if self._on_error == "raise":
                what = f"item {first + offset}, {_short(items[offset])}"
                failure = worker_error(self._caller.name(), what, error, text)
        self.ledger.samples += len(items) - len(failures)
        return results, failure

    def what(self, unit: Unit) -> str:
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

    def outline(self) -> Outline:
        """How many results a batch has, if they are made batches of."""
        return Outline(rows=(self._fixed or 1) if self._batched else 0, exact=self._on_error != "skip")


def _short(item: object) -> str:
    try:
        text = repr(item)
    except Exception:
        text = f"a {type(item).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
