"""arrays: NumPy arrays in, a Feed of their rows out."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from fastfeed import _native, options
from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.feed import Feed
from fastfeed.engine.job import Remedies
from fastfeed.errors import ConfigError, SampleError
from fastfeed.numeric import aligned_copy
from fastfeed.rank import warn_if_unsharded
from fastfeed.schedule.job import ScheduledJob
from fastfeed.schedule.order import order_of
from fastfeed.schedule.plan import Plan
from fastfeed.schedule.schedule import Schedule
from fastfeed.table.columns import Columns
from fastfeed.table.worker import gather_of
from fastfeed.wire.memmap import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def arrays(
    *arrays: Any,
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int | None = 0,
    drop_last: bool = False,
    sampler: Iterable[Any] | None = None,
    weights: Any = None,
    shard: tuple[int, int] | str | None = None,
    uneven: str = "pad",
    with_index: bool = False,
    num_workers: int | None = None,
    ordered: bool = True,
    prefetch: int | None = None,
    timeout: float | None = None,
) -> Feed:
    """Feed batches of the rows of arrays, picked by worker processes.

    Parameters
    ----------
    *arrays : array-likes of shape (samples, ...), or one dict of them
        Arrays, memmaps, lists, tensors: whatever `numpy.asarray` takes, of any dtype but object.  A `numpy.memmap`, or
        a part of one whose rows are contiguous, is read from its file and may be larger than the memory: what is
        written to the file is seen, as it is with the memmap.  Everything else is copied once, when the first
        iteration begins, to memory that all workers share, and is not to be changed while it is fed; with
        ``num_workers=0`` nothing is copied.
    batch_size : int
        Samples in a batch; the last batch of an epoch is shorter unless `drop_last`.
    shuffle : bool
        A fresh order for each epoch; no index of it is kept in memory.
    seed : int or None
        Decides the order; None draws one.
    sampler : iterable of int, or of lists of int, optional
        The order, in place of `shuffle`: indices of samples, each as often as it comes, or batches of them of at most
        `batch_size`.  Gone through once an epoch, in this process; it may be endless.  Its ``set_epoch`` is called.
    weights : sequence of float, or Weights, optional
        Draw samples at random, each by its weight.  See `Weights`.
    shard : (int, int) or "auto", optional
        (rank, world): this process's part of every epoch.  "auto" asks torch.distributed, JAX, or the launcher's
        variables.  A launcher's rank without it is warned of.
    uneven : {"pad", "drop", "keep"}
        Where the samples cannot be dealt evenly to the shards: some are given a first sample of the epoch once more,
        the last few are left out, or some shards have a sample more, and so perhaps a batch, for which others that
        wait for them in each step would wait for ever.
    with_index : bool
        Yield the samples' int64 positions as well, last.
    num_workers : int, optional
        Worker processes; None: as many as the affinity and the cgroup allow, 0: none, the same bytes made here.
    ordered : bool
        False yields a batch as soon as it is complete.
    prefetch : int, optional
        Batches in flight in total; the ring's slots.
    timeout : float, optional
        Seconds that a worker may take for the rows it picks at once (one, or a 64th of a batch where that is more).

    Returns
    -------
    Feed
        Yields the batch of one array, or a tuple with one for each, or a dict.  Each is a contiguous array of shape
        (rows, ...) and the array's own dtype, aligned to 64 bytes, writable, and yours as long as you keep it.

    Raises
    ------
    ConfigError
        An option or an array that cannot work, or arrays of different lengths.
    RingMemoryError
        While iterating: the copies do not fit into memory.
    SampleError
        While iterating: a file has shrunk or cannot be read.
    """
    given = {name: value for name, value in locals().items() if name != "arrays"}
    engine = options.EngineOptions(num_workers=num_workers, ordered=ordered, prefetch=prefetch, timeout=timeout)
    options.flag("with_index", with_index)
    seed = options.seed(seed)
    columns, keys = _as_columns(arrays)
    warn_if_unsharded(shard)
    order = order_of(sampler, weights, shuffle, columns.samples, batch_size, seed)
    schedule = Schedule(columns.samples, batch_size, shuffle, seed, drop_last, shard, uneven, order)
    given |= {"seed": seed, "shard": schedule.shard}
    values = [column.array for column in columns.columns]
    whole = values if keys is None else [dict(zip(keys, values, strict=True))]
    job = _ArraysJob(columns, keys, schedule, with_index)
    return Feed(job, engine, None if sampler is not None else lambda: Plan(_DOOR, whole, given))


_DOOR = arrays  # whose argument has its name


def _as_columns(given: tuple[Any, ...]) -> tuple[Columns, list[Hashable] | None]:
    if not given:
        raise ConfigError("arrays() was given no array: pass at least one, or a dict of them")
    if not any(isinstance(value, Mapping) for value in given):
        names = [f"array {number}" for number in range(len(given))] if len(given) > 1 else ["the array"]
        return Columns(list(zip(names, given, strict=True))), None
    if len(given) > 1:
        raise ConfigError("arrays() was given a dict and something else: pass one dict that holds all arrays")
    if not given[0]:
        raise ConfigError("arrays() was given an empty dict: pass at least one array")
    return Columns([(f"array {key!r}", value) for key, value in given[0].items()]), list(given[0])


# Rows in memory up to this size together are one worker's, who takes 10 us for them: to share them out would cost more.
_CELL_BYTES = 64 << 10
# So many rows tell arrays from others, in a plan's digest.
_ROWS = 64


class _ArraysJob(ScheduledJob):
    """Rows of arrays as the feed's work."""

    kind = WorkerKind("fastfeed.table.worker", isolated=True, addressed=False)
    remedies = Remedies(
        less_memory="lower prefetch or batch_size",
        faster_source="use faster storage, arrays in memory, or more workers to overlap the reads",
        less_work="smaller rows, a dtype of fewer bytes",
    )

    def __init__(self, columns: Columns, keys: list[Hashable] | None, schedule: Schedule, with_index: bool) -> None:
        rows = schedule.most_rows
        self._starts, size = columns.layout(rows)
        # The columns of a slot begin at multiples of 64 bytes, so a row of the ring is a little more than one of each.
        super().__init__(schedule, max(1, -(-size // rows)))
        if all(column.place is None for column in columns.columns):  # what is read from a file may take long for a row
            self.cell_rows = max(1, _CELL_BYTES // self._row_bytes)
        self._columns = columns
        self._keys = keys
        self._with_index = with_index

    def spec(self) -> bytes:
        return marshal.dumps(self._located(self._columns.places()))

    def _located(self, places: list[Place | None]) -> dict[str, Any]:
        """Columns that lie in files, as `gather_of` takes them."""
        columns = self._columns.columns
        return {
            "samples": self._columns.samples,
            "shuffle": self._schedule.shuffle or self._schedule.order is not None,
            "columns": [
                (astuple(place), column.row_bytes, at)
                for place, column, at in zip(places, columns, self._starts, strict=True)
                if place is not None
            ],
        }

    def table_fd(self) -> int | None:
        return self._columns.table_fd()

    def views(self, memory: Any, rows: int) -> list[NDArray[Any]]:
        import numpy as np

        return [
            np.ndarray((rows, *column.array.shape[1:]), column.array.dtype, memory, at)
            for column, at in zip(self._columns.columns, self._starts, strict=True)
        ]

    def batch_maker(self) -> Callable[[int, NDArray[np.int64], Any, list[NDArray[Any]]], dict[int, str]]:
        import numpy as np

        columns = self._columns.columns
        from_files = gather_of(self._located([column.place for column in columns]), lambda path, fd, *_: fd)
        from_memory = _native.Gather(self._columns.samples, len(columns))
        scattered = []
        for number, (column, at) in enumerate(zip(columns, self._starts, strict=True)):
            if column.place is not None or not column.row_bytes:
                continue
            if column.array.flags.c_contiguous:
                table = column.array.reshape(-1).view(np.uint8)
                from_memory.add(table, -1, 0, column.row_bytes, column.row_bytes, at)
            else:
                scattered.append((number, column.array))

        def make(epoch: int, indices: NDArray[np.int64], memory: Any, arrays: list[NDArray[Any]]) -> dict[int, str]:
            code = from_files.rows(indices, memory) or from_memory.rows(indices, memory)
            for number, array in scattered:
                arrays[number][...] = array[indices]
            return {0: self._fault()} if code else {}

        return make

    def _fault(self) -> str:
        for column in self._columns.columns:
            fault = column.place.fault() if column.place is not None else None
            if column.place is not None and fault is not None:
                return f"{column.name}, {column.place.path}: {fault}"
        return "its bytes cannot be read from their file; is the disk sound?"

    def reason(self, code: int, content: bytes) -> str:
        return self._fault()

    def forbidden(self, row: int, rows: int) -> range:
        """Forbid every row of the batch: which row of a cell costs workers is not known."""
        return range(rows)

    def sample_error(self, index: int, reason: str) -> SampleError:
        return SampleError(self.sample_name(index), index, reason, remedy="mend the file, and make a new feed")

    def source_digest(self) -> str:
        """By what a row looks like: the data are too many to be looked at."""
        rows = [(column.array.dtype.str, column.array.shape[1:]) for column in self._columns.columns]
        return hashlib.blake2s(repr((rows, self._keys)).encode(), digest_size=8).hexdigest()

    def samples_in_words(self) -> str:
        count = len(self._columns.columns)
        return f"{self._columns.samples:,} rows of {'an array' if count == 1 else f'{count} arrays'}"

    def described(self) -> Iterator[bytes]:
        step = -(-self._columns.samples // _ROWS)
        yield repr((self._keys, self._with_index)).encode()
        for column in self._columns.columns:
            yield repr((column.array.dtype.str, column.array.shape)).encode()
            yield column.array[::step].tobytes()

    def assemble(self, arrays: list[NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        index = [aligned_copy(indices)] if self._with_index else []
        if self._keys is not None:
            named = dict(zip(self._keys, arrays, strict=True))
            return (named, *index) if index else named
        parts = [*arrays, *index]
        return tuple(parts) if len(parts) > 1 else parts[0]
