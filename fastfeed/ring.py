"""The ring as the consumer sees it: slots, their books, and the memory behind them.

    FREE --open--> OPEN --complete--> take --> LEASED --last view dies--> FREE
                     |                                                     ^
                     +--abandon--> DRAINING --no cell is being written-----+

The words in shared memory say how far the workers are; these books say what the consumer asked for, and only they are
believed.  ``sweep`` brings slots back whose leases have died, so nothing here needs a callback or a thread.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

from fastfeed import _native
from fastfeed.errors import RingMemoryError
from fastfeed.machine import memory_limit

FREE: Final = "free"
OPEN: Final = "open"
LEASED: Final = "leased"
DRAINING: Final = "draining"

_MADV_POPULATE_WRITE = 23
_SEQUENCES = 1 << 32


class Damaged(Exception):
    """A cell word that cannot be there; the text says whose."""


class Slot:
    """The consumer's own record of one slot."""

    __slots__ = ("batch", "epoch", "index", "number", "rows", "sequence", "state")

    def __init__(self, number: int, index: memoryview) -> None:
        self.number = number
        self.index = index
        self.state = FREE
        self.sequence = 0
        self.epoch = 0
        self.batch = 0
        self.rows = 0


class Ring:
    """Slots in one sealed memfd.

    Parameters
    ----------
    slots : int
        Batches in flight at most.
    rows : int
        Rows of a slot.
    row_bytes : int
        Bytes of a row.
    workers : int
        Entries of the worker table.

    Raises
    ------
    RingMemoryError
        If the memory limit or the memory itself does not allow it.
    """

    def __init__(self, slots: int, rows: int, row_bytes: int, workers: int) -> None:
        # Cells are single rows up to 64 rows, so that a slot's last rows are shared out too; more cells than that
        # would only make the scan for an open one longer.
        rows_per_cell = -(-rows // 64)
        size = _native.Ring.size(slots, rows, rows_per_cell, workers, row_bytes)
        self.size = size
        _refuse_too_large(size, slots, rows, row_bytes)
        self.fd = os.memfd_create("fastfeed-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
            self._allocated = 0
            self._mapping = _native.Mapping(self.fd, size, True)
            self._allocate(self._mapping_head(slots, rows, rows_per_cell, workers, row_bytes))
            self.native = _native.Ring(self._mapping, slots, rows, rows_per_cell, workers, row_bytes)
        except BaseException:
            os.close(self.fd)
            raise
        self.slots = [Slot(number, memoryview(self.native.index(number))) for number in range(slots)]
        self._sequence = 0
        self._debug = os.environ.get("FASTFEED_DEBUG") == "1"

    @staticmethod
    def _mapping_head(slots: int, rows: int, rows_per_cell: int, workers: int, row_bytes: int) -> int:
        """Bytes before the first slot: the size of the same ring less its slots, which are page-aligned."""
        stride = -(-rows * row_bytes // 4096) * 4096
        return _native.Ring.size(slots, rows, rows_per_cell, workers, row_bytes) - slots * stride

    def _allocate(self, upto: int) -> None:
        """Have the pages up to this offset exist, so that no store can meet a bus error, and map them here.

        Mapped in the consumer too they count as shared, and nobody takes a page fault in the first epoch.
        """
        start, self._allocated = self._allocated, max(upto, self._allocated)
        if upto <= start:
            return
        try:
            os.posix_fallocate(self.fd, start, upto - start)
        except OSError as error:
            raise RingMemoryError(
                f"the ring needs {_megabytes(self.size)}, and the system refused it after {_megabytes(start)} "
                f"({error.strerror}): lower prefetch, batch_size or the image size, or use dtype='uint8'"
            ) from error
        page = start // 4096 * 4096
        self._mapping.advise(page, upto - page, _MADV_POPULATE_WRITE)

    def allocate_next(self) -> int | None:
        """Allocate one more slot; its number, or None when all exist.

        Slot by slot, so that the workers fill the first while the next are being zeroed.
        """
        number = (self._allocated - self.native.slots_at) // self.native.slot_stride
        if number >= len(self.slots):
            return None
        self._allocate(self.native.slots_at + (number + 1) * self.native.slot_stride)
        return int(number)

    def sweep(self) -> None:
        """Bring back the slots that nobody refers to or writes to any more."""
        native = self.native
        for slot in self.slots:
            if (slot.state is LEASED and not native.is_leased(slot.number)) or (
                slot.state is DRAINING and not native.withdraw(slot.number)
            ):
                native.release(slot.number, self._debug)
                slot.state = FREE

    def free(self) -> Slot | None:
        """Any free slot, allocated if it is a new one."""
        for slot in self.slots:
            if slot.state is FREE:
                while self._allocated < self.native.slots_at + (slot.number + 1) * self.native.slot_stride:
                    self.allocate_next()
                return slot
        return None

    def open(self, slot: Slot, epoch: int, batch: int, rows: int) -> None:
        """Offer a batch, whose indices are in the slot's index column, to the workers."""
        slot.state, slot.epoch, slot.batch, slot.rows = OPEN, epoch, batch, rows
        slot.sequence = self._sequence
        self._sequence = (self._sequence + 1) % _SEQUENCES
        self.native.open(slot.number, slot.sequence, epoch, rows)

    def complete(self, slot: Slot) -> bool:
        """Whether every row of an open slot is done, read off its cells."""
        state = self.native.check(slot.number, slot.sequence, slot.rows)
        if state < 0:
            raise Damaged(f"worker {-2 - state}" if state < -1 else "an unknown writer")
        return state == 1

    def take(self, slot: Slot) -> tuple[_native.Lease, list[int] | None]:
        """Lease a complete slot: the lease, and the rows that failed."""
        slot.state = LEASED
        return self.native.lease(slot.number, slot.rows)

    def spare(self) -> int:
        """Slots that workers can fill."""
        return sum(slot.state is not LEASED for slot in self.slots)

    def drained(self) -> bool:
        """Whether a slot could be opened now."""
        self.sweep()
        return any(slot.state is FREE for slot in self.slots)

    def open_again(self, slot: Slot) -> None:
        """Offer an open slot's batch afresh; every worker that knew it is dead and reaped."""
        self.native.open(slot.number, slot.sequence, slot.epoch, slot.rows)

    def abandon(self, slot: Slot) -> None:
        """Take an open slot back; cells that a worker has in hand are waited for by sweep."""
        self.native.withdraw(slot.number)
        slot.state = DRAINING

    def close(self) -> None:
        """Give the ring up; the mapping goes with the last lease.  May be called again."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.slots.clear()
            del self.native, self._mapping


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _refuse_too_large(size: int, slots: int, rows: int, row_bytes: int) -> None:
    limit = memory_limit()
    if size == 0 or size > limit:
        raise RingMemoryError(
            f"the ring needs {_megabytes(slots * rows * row_bytes)} ({slots} slots of {rows} rows of {row_bytes:,} "
            f"bytes), and this process may use {_megabytes(limit)}: lower prefetch, batch_size or the image size, "
            f"or use dtype='uint8'"
        )
