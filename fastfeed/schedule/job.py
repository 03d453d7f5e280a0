"""Batches of rows by a schedule: what images and arrays have in common as the feed's work."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from fastfeed import options
from fastfeed._native import ERR_LEN
from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Ledger, Order, Outline, Remedies
from fastfeed.engine.ring import Shape, Taken
from fastfeed.errors import ConfigError, SampleError, WorkerError
from fastfeed.numeric import aligned, aligned_copy
from fastfeed.rank import automatic
from fastfeed.schedule import state
from fastfeed.schedule.cursor import Cursor, Unit
from fastfeed.schedule.progress import Progress
from fastfeed.schedule.rest import ALL
from fastfeed.schedule.sampler import SamplerOrder
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
    cell_rows = 1
    """Rows that a worker takes at once, at least."""

    def __init__(self, schedule: Schedule, row_bytes: int, on_error: str = "raise") -> None:
        self.ledger = Ledger()
        self.classes: list[str] | None = None
        self.rank = schedule.rank
        self._schedule = schedule
        self._cursor = Cursor(schedule)
        self._row_bytes = row_bytes
        self._on_error = on_error
        self._digest_of_source: str | None = None
        self._maker: Callable[..., dict[int, Any]] | None = None
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

    def samples_in_words(self) -> str:
        """What the samples are, and how many: "60 rows of 2 arrays"."""
        raise NotImplementedError

    def described(self) -> Iterator[bytes]:
        """What decides the rows besides the order, for the digest of a plan."""
        raise NotImplementedError

    def assemble(self, arrays: list[NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        """What the user gets for these rows; arrays that are made for it are aligned, as those of the slot are."""
        raise NotImplementedError

    # ---- the feed's side ----

    def shape(self, workers: int) -> Shape:
        """Ask for one row for each sample; see `default_prefetch` for how many slots."""
        rows = self._schedule.most_rows
        return Shape(default_prefetch(workers, -(-rows // self.cell_rows)), rows, self._row_bytes, self.cell_rows)

    def units(self, epochs: int | None, workers: int) -> Iterator[Unit]:
        """Batches in the order of opening."""
        self._check_shard()
        return self._cursor.begin(epochs)

    def at_hand(self) -> bool:
        """A schedule waits for nobody."""
        return True

    def _check_shard(self) -> None:
        """Refuse a rank that has come to be known only since the feed was made."""
        then = self._schedule.rank, self._schedule.world
        now = automatic() if self._schedule.automatic else then
        if now != then:
            raise ConfigError(
                f"shard='auto' was rank {then[0]} of {then[1]} when the feed was made, and now is rank {now[0]} of "
                f"{now[1]}: make the feed after the processes have been initialised, or pass shard=(rank, world)"
            )

    def order(self, unit: Unit, index: memoryview, without: list[int] | None) -> Order:
        """Write the batch's indices; any worker may take it."""
        epoch, batch, part = unit
        return epoch, self._schedule.fill(epoch, batch, index, part), -1, None

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
        return self.handed(unit, self.batches_of(taken, set_aside)), None

    def batches_of(self, taken: Taken, set_aside: dict[int, Death]) -> list[Any]:
        """What a complete slot holds: a batch, or nothing."""
        (arrays, indices), failed, scarce, _ = taken
        reasons: dict[int, Any] = {}
        for row, (code, content) in failed.items():
            death = set_aside.get(row)
            reasons[row] = self.reason(code, content) if death is None else f"{death}; the sample was tried twice"
        failed.clear()  # or a traceback would keep what the rows held
        return self._finish(arrays, indices, reasons, scarce)

    def handed(self, unit: Unit, batches: list[Any]) -> list[Any]:
        """Count a unit as delivered; `batches` has what was made of it, wherever that was."""
        self._count_barren(batches)
        # Last, so that a batch which an interrupt has lost counts as not delivered.
        self._cursor.advance(*unit)
        return batches

    def run_here(self, units: Iterator[Unit]) -> Iterator[Delivery]:
        """Make the same batches in this process."""
        make = self.batch_maker()
        for unit in units:
            yield self.handed(unit, self._made(unit, make, None)), None

    def _made(self, unit: Unit, make: Callable[..., dict[int, Any]], memory: Any) -> list[Any]:
        import numpy as np

        epoch, batch, part = unit
        rows = self._schedule.rows(batch, part)
        indices = np.empty(rows, np.int64)
        self._schedule.fill(epoch, batch, indices.data, part)
        if memory is None:
            memory = aligned((self.batch_bytes,), np.dtype(np.uint8))
        arrays = self.views(memory, rows)
        reasons = make(epoch, indices, memory, arrays)
        del memory
        return self._finish(arrays, indices, reasons, scarce=False)

    def _finish(
        self, arrays: list[NDArray[Any]], indices: NDArray[np.int64], reasons: dict[int, Any], scarce: bool
    ) -> list[Any]:
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
            arrays = [aligned_copy(array) for array in arrays]
            self.ledger.copies += 1
        self.ledger.samples += len(indices)
        return [self.assemble(arrays, indices)] if len(indices) else []

    def _count_barren(self, batches: list[Any]) -> None:
        """Say where an epoch's worth of batches has given the loop nothing: it would end as if all were well."""
        self._barren = 0 if batches else self._barren + 1
        if self._barren < self._schedule.batches:
            return
        self._barren = 0
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

    def ended(self) -> None:
        """The loop has had its last batch, and asked for more."""
        self._cursor.ended()

    def length(self) -> int:
        """Batches in an epoch."""
        order = self._schedule.order
        if order is not None and order.length is None:
            raise TypeError("this feed has no len(), because its sampler has none")
        return self._schedule.batches

    def outline(self) -> Outline:
        """The batch of a slot of zeros, with the labels that come first."""
        import numpy as np

        schedule = self._schedule
        rows = schedule.most_rows if schedule.batches else 0
        memory = np.zeros(self.batch_bytes, np.uint8)  # never looked at, so there is no memory behind it
        batch = self.assemble(self.views(memory, rows), np.arange(rows) % schedule.n)
        if isinstance(schedule.order, SamplerOrder):  # only it knows how long its batches are, and how many
            return Outline(batch)
        last_rows = schedule.rows(schedule.batches - 1) if rows else 0
        return Outline(batch, rows, last_rows, self._is_strict() and self._cursor.at_start)

    def contents(self) -> str:
        """The samples, and which part of them is this process's."""
        schedule = self._schedule
        shard = f", shard {schedule.rank} of {schedule.world}" if schedule.world > 1 else ""
        return f"{self.samples_in_words()}{shard}"

    def standing(self, waiting: int) -> str:
        """The epoch, and how many of its batches the loop has had."""
        position = self._cursor.position()
        progress = next(iter(position.progress), Progress())  # another thread's loop may empty it
        had, total = progress.first + len(progress.ahead), progress.total
        if total is None and not self._schedule.is_of_unknown_length:
            total = self._schedule.batches_of(progress.rest)
        of = "" if total is None else f" of {total:,}" if progress.rest == ALL else f" of the last {total:,}"
        return f"epoch {position.epoch}, {had:,}{of} batches delivered"

    def sizes(self) -> tuple[int, ...]:
        """Sizes of batches, the largest first: also of those of an epoch that is not begun anew, but gone on with."""
        schedule, sizes = self._schedule, set()
        if isinstance(schedule.order, SamplerOrder):
            return ()  # it may yield lists of any length
        for rest in (ALL, *(progress.rest for progress in self._cursor.position().progress)):
            if last := schedule.batches_of(rest):
                sizes |= {schedule.rows(0, rest), schedule.rows(last - 1, rest)}
        return tuple(sorted(sizes, reverse=True))

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch."""
        self._cursor.set_epoch(epoch)

    def state(self, ordered: bool, waiting: int) -> dict[str, Any]:
        """The position, and what it depends on."""
        return state.saved(self._cursor.position(), self._schedule, self._of(), ordered)

    def load(self, saved: Any) -> None:
        """Go on at a position in the same order."""
        self._cursor.load(state.loaded(saved, self._schedule, self._of()))

    # ---- a plan's side ----

    @property
    def next_epoch(self) -> int:
        """The epoch that the next iteration begins with."""
        return self._cursor.next_epoch

    @property
    def batch_bytes(self) -> int:
        """Memory that the arrays of a batch need."""
        return self._schedule.most_rows * self._row_bytes

    def make(self, epoch: int, batch: int, out: Any) -> Any:
        """Make one batch in this process, in `out` or in memory of its own; None where nothing is left of it."""
        if self._maker is None:
            self._maker = self.batch_maker()
        batches = self._made((epoch, batch, ALL), self._maker, None if out is None else self._checked(out))
        self._count_barren(batches)
        return batches[0] if batches else None

    def _checked(self, out: Any) -> Any:
        import numpy as np

        try:
            memory: NDArray[np.uint8] = np.frombuffer(out, np.uint8)
        except (TypeError, ValueError, BufferError) as error:
            raise options.wrong("out", type(out).__name__, f"pass a contiguous writable buffer: {error}") from error
        if not memory.flags.writeable or memory.nbytes < self.batch_bytes or memory.ctypes.data % 64:
            remedy = f"pass writable memory of at least {self.batch_bytes} bytes (batch_bytes) that is aligned to 64"
            raise options.wrong("out", f"a buffer of {memory.nbytes} bytes", remedy)
        return memory

    def _is_strict(self) -> bool:
        """Whether no bad sample shortens a batch."""
        return self._on_error != "skip" and not self.has_unusable()

    def digested(self) -> Iterator[bytes]:
        """What tells a plan from others."""
        schedule = self._schedule
        options_of = (schedule.batch_size, schedule.drop_last, schedule.shard, schedule.uneven, self._on_error)
        yield repr((schedule.fingerprint(), options_of)).encode()
        yield from self.described()

    def _of(self) -> dict[str, Any]:
        if self._digest_of_source is None:
            self._digest_of_source = self.source_digest()
        return {**self._schedule.fingerprint(), "source": self._digest_of_source}


def default_prefetch(workers: int, cells: int) -> int:
    """Slots where the user names none: one that the consumer holds, one that waits for it, and two for the workers.

    Two cells for each worker are wanted in flight, so batches of few cells get more slots.
    """
    return 2 + max(2, -(-2 * workers // cells))
