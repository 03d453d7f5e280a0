"""Batches of rows by a schedule: what images and arrays have in common as the feed's work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Ledger, Remedies
from fastfeed.engine.ring import Ring, Slot
from fastfeed.errors import ConfigError, SampleError, WorkerError
from fastfeed.schedule.cursor import Cursor
from fastfeed.schedule.schedule import Schedule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastfeed.wire.row_failure import RowFailure

    Reason: TypeAlias = str | RowFailure

Unit = tuple[int, int]  # epoch, batch


class ScheduledJob:
    """A job whose units are the batches of a schedule; see `fastfeed.engine.job.Job`.

    A subclass says what a row is, who makes it, and what can be done about slow work: `kind`, `remedies`, `views`,
    `row_maker` or `batch_maker`, `sample_error`, `unusable`, `assemble`.
    """

    kind: WorkerKind
    remedies: Remedies

    def __init__(self, schedule: Schedule, row_bytes: int, on_error: str = "raise") -> None:
        self.ledger = Ledger()
        self.classes: list[str] | None = None
        self._schedule = schedule
        self._cursor = Cursor(schedule.batches)
        self._row_bytes = row_bytes
        self._on_error = on_error

    # ---- what a subclass says ----

    def views(self, memory: Any, rows: int) -> list[NDArray[Any]]:
        """Arrays over the memory of one slot, `rows` long each; the memory is a whole slot, aligned to 64 bytes."""
        raise NotImplementedError

    def row_maker(self) -> Callable[[int, int, list[NDArray[Any]], int], Reason | None]:
        """``make(epoch, index, arrays, row)`` for num_workers=0: fills the row, or returns why it cannot."""
        raise NotImplementedError

    def batch_maker(self) -> Callable[[int, NDArray[np.int64], Any, list[NDArray[Any]]], dict[int, Any]]:
        """``make(epoch, indices, memory, arrays)`` for num_workers=0: fills a batch; why it cannot, by row."""
        make = self.row_maker()

        def make_all(epoch: int, indices: NDArray[np.int64], memory: Any, arrays: list[NDArray[Any]]) -> dict[int, Any]:
            outcomes = ((row, make(epoch, index, arrays, row)) for row, index in enumerate(indices.tolist()))
            return {row: reason for row, reason in outcomes if reason is not None}

        return make_all

    def reason(self, ring: Ring, slot: Slot, row: int) -> Reason:
        """Why a row failed in a worker."""
        return ring.reason(slot, row)

    def sample_name(self, index: int) -> str:
        """What messages call a sample."""
        return f"sample {index}"

    def sample_error(self, index: int, reason: str) -> SampleError:
        """The error for one sample."""
        raise NotImplementedError

    def row_error(self, index: int, reason: Any) -> SampleError | WorkerError:
        """The error for a row that failed; a WorkerError is raised whatever `on_error` says."""
        return self.sample_error(index, reason)

    def unusable(self, index: int) -> str | None:
        """Why a sample cannot be used whatever its bytes are, or None."""
        return None

    def has_unusable(self) -> bool:
        """Whether any sample is unusable."""
        return False

    def assemble(self, arrays: list[NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        """What the user gets for these rows."""
        raise NotImplementedError

    # ---- the feed's side ----

    def ring(self, slots: int | None, workers: int) -> Ring:
        """Make a ring; see `default_prefetch` for how many slots."""
        rows = self._schedule.rows(0)
        slots = default_prefetch(workers, rows) if slots is None else slots
        return Ring(slots, rows, self._row_bytes, workers, self.remedies.less_memory)

    def units(self, epochs: int | None, workers: int) -> Iterator[Unit]:
        """(epoch, batch) in the order of opening."""
        return self._cursor.begin(epochs)

    def open(self, ring: Ring, slot: Slot, unit: Unit) -> int:
        """Write the batch's indices into the slot and open it to all."""
        epoch, batch = unit
        rows = self._schedule.fill(epoch, batch, slot.index)
        ring.open(slot, unit, epoch, rows)
        return -1

    def open_again(self, ring: Ring, slot: Slot, without: list[int] | None) -> None:
        """The same again, after the slot was damaged."""
        epoch, batch = slot.unit
        self._schedule.fill(epoch, batch, slot.index)
        ring.open_again(slot, epoch)

    def give_up(self, ring: Ring, slot: Slot, row: int) -> None:
        """Mark the row, so that workers pass over it."""
        if row < slot.rows:
            ring.forbid(slot, row)

    def restore(self, ring: Ring, slot: Slot, without: list[int] | None) -> None:
        """Nothing: a worker writes its rows and their status, and reads what it does not write."""

    def name(self, slot: Slot, row: int) -> str:
        """What messages call the sample of a row."""
        return self.sample_name(slot.index[min(row, slot.rows - 1)])

    def prepare(self, ring: Ring, slot: Slot) -> None:
        """Make the arrays of a batch that is not complete yet.

        The consumer does it before it sleeps, while its caches are warm: after a wake-up the same takes ten times as
        long.
        """
        slot.prepared = self._prepared(ring, slot)

    def _prepared(self, ring: Ring, slot: Slot) -> tuple[list[NDArray[Any]], NDArray[np.int64]]:
        import numpy as np

        indices = np.frombuffer(ring.indices(slot), np.int64)
        return self.views(ring.lease(slot), slot.rows), indices

    def deliver(self, ring: Ring, slot: Slot, set_aside: dict[int, Death]) -> Delivery:
        """The batch of a complete slot; nothing where none of its samples could be used."""
        arrays, indices = slot.prepared or self._prepared(ring, slot)
        failed = ring.take(slot)
        reasons = {row: self._reason(ring, slot, row, set_aside.get(row)) for row in failed} if failed else {}
        return self._finish(slot.unit, arrays, indices, reasons, scarce=ring.scarce)

    def run_here(self, units: Iterator[Unit]) -> Iterator[Delivery]:
        """Make the same batches in this process."""
        import numpy as np

        make = self.batch_maker()
        for unit in units:
            rows = self._schedule.rows(unit[1])
            indices = np.empty(rows, np.int64)
            self._schedule.fill(*unit, indices.data)
            memory = np.empty(self._schedule.rows(0) * self._row_bytes + 63, np.uint8)
            memory = memory[-memory.ctypes.data % 64 :]
            arrays = self.views(memory, rows)
            reasons = make(unit[0], indices, memory, arrays)
            del memory
            yield self._finish(unit, arrays, indices, reasons, scarce=False)
            del arrays

    def _reason(self, ring: Ring, slot: Slot, row: int, death: Death | None) -> Reason:
        return self.reason(ring, slot, row) if death is None else f"{death}; the sample was tried twice"

    def _finish(
        self, unit: Unit, arrays: list[NDArray[Any]], indices: NDArray[np.int64], reasons: dict[int, Any], scarce: bool
    ) -> Delivery:
        keep: list[int] | None = None
        if reasons or self.has_unusable():
            keep, error = self._judge(arrays, indices, reasons)
            if error is not None:
                arrays.clear()  # or the traceback would keep the slot
                raise error
        if keep is not None:
            for array in arrays:
                # Rows move to the left only, so none is overwritten before it is read.
                for to, row in enumerate(keep):
                    if to != row:
                        array[to] = array[row]
            arrays = [array[: len(keep)] for array in arrays]
            indices = indices[keep]
        if scarce and len(indices):
            arrays = [array.copy() for array in arrays]
            self.ledger.copies += 1
        batches = [self.assemble(arrays, indices)] if len(indices) else []
        self.ledger.samples += len(indices)
        self._cursor.advance(*unit)  # last, so that a batch which an interrupt has lost counts as not delivered
        return batches, None

    def _judge(
        self, arrays: list[NDArray[Any]], indices: NDArray[np.int64], reasons: dict[int, Any]
    ) -> tuple[list[int] | None, SampleError | WorkerError | None]:
        """Apply on_error to a batch's bad rows: the rows to keep (None: all of them), and what to raise."""
        for row, index in enumerate(indices.tolist()):
            unusable = self.unusable(index)
            if unusable is not None:
                reasons[row] = unusable
        keep = set(range(len(indices)))
        for row in sorted(reasons):
            index = int(indices[row])
            error = self.row_error(index, reasons[row])
            if isinstance(error, WorkerError):
                return None, error
            self.ledger.errors[index] = error
            if self._on_error == "raise":
                return None, error
            if self._on_error == "replace" and self.unusable(index) is None:
                for array in arrays:
                    array[row] = 0
            else:
                keep.discard(row)
        return (sorted(keep) if len(keep) < len(indices) else None), None

    def length(self) -> int:
        """Batches in an epoch."""
        return self._schedule.batches

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch."""
        self._cursor.set_epoch(epoch)

    def state(self) -> dict[str, Any]:
        """The position, and what it depends on."""
        return {**self._cursor.state(), "schedule": self._schedule.fingerprint()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on at a position of the same schedule."""
        if not isinstance(state, dict) or not {"epoch", "batch", "ahead", "schedule"} <= state.keys():
            raise ConfigError("load_state_dict: this is not what state_dict() returned; pass that, unchanged")
        self._schedule.check_fingerprint(state["schedule"])
        self._cursor.load(state)


def default_prefetch(workers: int, rows: int) -> int:
    """Slots where the user names none: one that the consumer holds, one that waits for it, and two for the workers.

    Two cells for each worker are wanted in flight, so small batches get more slots.
    """
    return 2 + max(2, -(-2 * workers // rows))
