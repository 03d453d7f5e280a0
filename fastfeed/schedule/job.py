"""Batches of rows by a schedule: what images and arrays have in common as the feed's work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from fastfeed._native import ERR_LEN
from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Ledger, Order, Remedies
from fastfeed.engine.ring import Shape, Taken
from fastfeed.errors import SampleError, WorkerError
from fastfeed.schedule import state
from fastfeed.schedule.cursor import Cursor, Unit
from fastfeed.schedule.schedule import Schedule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastfeed.wire.row_failure import RowFailure

    Reason: TypeAlias = str | RowFailure


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
        self.rank = schedule.rank
        self._schedule = schedule
        self._cursor = Cursor(schedule)
        self._row_bytes = row_bytes
        self._on_error = on_error
        self._digest_of_source: str | None = None
        self._barren = 0  # batches on end in which no sample could be used

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

    def is_outdated(self) -> bool:
        """Nothing that workers are told changes."""
        return False

    def reason(self, code: int, content: bytes) -> Reason:
        """Why a row failed in a worker: an FF_E_* code, and what the row's bytes hold, a text up to the first NUL.

        What comes behind the longest text may be pixels.
        """
        return content[:ERR_LEN].split(b"\0", 1)[0].decode("utf-8", "replace")

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

    def source_digest(self) -> str:
        """Tell this source from others of as many samples: a few characters, the same wherever it lies."""
        raise NotImplementedError

    def assemble(self, arrays: list[NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        """What the user gets for these rows."""
        raise NotImplementedError

    # ---- the feed's side ----

    def shape(self, workers: int) -> Shape:
        """Ask for one row for each sample; see `default_prefetch` for how many slots."""
        rows = self._schedule.rows(0)
        return Shape(default_prefetch(workers, rows), rows, self._row_bytes)

    def units(self, epochs: int | None, workers: int) -> Iterator[Unit]:
        """Batches in the order of opening."""
        return self._cursor.begin(epochs)

    def order(self, unit: Unit, index: memoryview, without: list[int] | None) -> Order:
        """Write the batch's indices; any worker may take it."""
        epoch, batch, rest = unit
        return epoch, self._schedule.fill(epoch, batch, index, rest), -1, None

    def forbidden(self, row: int, rows: int) -> range:
        """Forbid the row itself."""
        return range(row, min(row + 1, rows))

    def name(self, unit: Unit, index: memoryview, row: int) -> str:
        """What messages call the sample of a row."""
        return self.sample_name(index[row])

    def prepare(self, memory: Any, indices: bytearray) -> tuple[list[NDArray[Any]], NDArray[np.int64]]:
        """Make the arrays of a batch, which may not be complete yet."""
        import numpy as np

        samples = np.frombuffer(indices, np.int64)
        return self.views(memory, len(samples)), samples

    def deliver(self, unit: Unit, taken: Taken, set_aside: dict[int, Death]) -> Delivery:
        """The batch of a complete slot; nothing where none of its samples could be used."""
        (arrays, indices), failed, scarce, _ = taken
        reasons: dict[int, Any] = {}
        for row, (code, content) in failed.items():
            death = set_aside.get(row)
            reasons[row] = self.reason(code, content) if death is None else f"{death}; the sample was tried twice"
        failed.clear()  # or a traceback would keep what the rows held
        return self._finish(unit, arrays, indices, reasons, scarce)

    def run_here(self, units: Iterator[Unit]) -> Iterator[Delivery]:
        """Make the same batches in this process."""
        import numpy as np

        make = self.batch_maker()
        for unit in units:
            epoch, batch, rest = unit
            rows = self._schedule.rows(batch, rest)
            indices = np.empty(rows, np.int64)
            self._schedule.fill(epoch, batch, indices.data, rest)
            memory = np.empty(self._schedule.rows(0) * self._row_bytes + 63, np.uint8)
            memory = memory[-memory.ctypes.data % 64 :]
            arrays = self.views(memory, rows)
            reasons = make(epoch, indices, memory, arrays)
            del memory
            yield self._finish(unit, arrays, indices, reasons, scarce=False)
            del arrays

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
        self._barren = 0 if batches else self._barren + 1
        if self._barren == self._schedule.batches:
            self._barren = 0
            self._warn_of_nothing()
        self.ledger.samples += len(indices)
        self._cursor.advance(
            unit[0], unit[1]
        )  # last, so that a batch which an interrupt has lost counts as not delivered
        return batches, None

    def _warn_of_nothing(self) -> None:
        """Say that an epoch's worth of batches has given the loop nothing: it would end as if all were well."""
        errors = self.ledger.errors
        warnings.warn(
            f"no sample of an epoch could be used, and on_error='skip' has left out all {len(errors)}; the first: "
            f"{errors[min(errors)]}",
            RuntimeWarning,
            stacklevel=2,
        )

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

    def state(self, ordered: bool, waiting: int) -> dict[str, Any]:
        """The position, and what it depends on."""
        return state.saved(self._cursor.position(), self._schedule, self._of(), ordered)

    def load(self, saved: Any) -> None:
        """Go on at a position in the same order."""
        self._cursor.load(state.loaded(saved, self._schedule, self._of()))

    def _of(self) -> dict[str, Any]:
        if self._digest_of_source is None:
            self._digest_of_source = self.source_digest()
        return {**self._schedule.fingerprint(), "source": self._digest_of_source}


def default_prefetch(workers: int, rows: int) -> int:
    """Slots where the user names none: one that the consumer holds, one that waits for it, and two for the workers.

    Two cells for each worker are wanted in flight, so small batches get more slots.
    """
    return 2 + max(2, -(-2 * workers // rows))
