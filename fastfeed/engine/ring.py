"""The ring as the consumer sees it: slots, their books, and the memory behind them.

    FREE --open--> OPEN --complete--> take --> LEASED --last view dies--> FREE
                     |                                                     ^
                     +--abandon--> DRAINING --no cell is being written-----+

The words in shared memory say how far the workers are; these books say what the consumer asked for, and only they are
believed.  ``sweep`` brings slots back whose leases have died, so nothing here needs a callback or a thread.

An interrupt may end any call here half-way, after any call that it makes.  A slot's state is therefore what counts: it
is stored just before the slot changes lists, with no call in between, and what an interrupted call has not done yet is
done by the next one.

A slot holds rows of one size, or a payload of any size.  Slots for rows are allocated up front.  Slots for payloads
are far apart in a sparse file and grow to what they carry: no value is too large for its slot, only for the memory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections import deque
from typing import Any, Final

from fastfeed import _native
from fastfeed.engine.memory import allocate, grow
from fastfeed.errors import RingMemoryError
from fastfeed.machine import memory_limit

FREE: Final = "free"
OPEN: Final = "open"
LEASED: Final = "leased"
DRAINING: Final = "draining"

PAGE = 4096
_MADV_REMOVE = 9
_MADV_POPULATE_WRITE = 23
_SEQUENCES = 1 << 32
# Payload slots: addresses for all of them together, far below the 2^47 that a process has.
_SPARSE_BYTES = 1 << 45
# A payload slot that has grown beyond this gives the memory back when it has carried far less for a while: what it
# needs is forgotten by a quarter each time.  The end of an epoch must not cost the next one all its page faults.
_KEEP_BYTES = 4 << 20


class Damaged(Exception):
    """A cell word that cannot be there; the text says whose."""


class Slot:
    """The consumer's own record of one slot.

    `unit` is what the feed put there, `prepared` what the job has made ready for its delivery, `needed` about how
    many bytes it carried lately.
    """

    __slots__ = ("index", "needed", "number", "prepared", "rows", "sequence", "state", "unit")

    def __init__(self, number: int, index: memoryview) -> None:
        self.number = number
        self.index = index
        self.state = FREE
        self.sequence = 0
        self.rows = 0
        self.unit: Any = None
        self.prepared: Any = None
        self.needed = 0


class Ring:
    """Slots in one sealed memfd.

    Parameters
    ----------
    slots : int
        Batches in flight at most.
    rows : int
        Rows of a slot.
    row_bytes : int or None
        Bytes of a row; None for slots that carry payloads.
    workers : int
        Entries of the worker table.

    Raises
    ------
    RingMemoryError
        If the memory limit or the memory itself does not allow it.
    """

    def __init__(self, slots: int, rows: int, row_bytes: int | None, workers: int) -> None:
        self._sparse = row_bytes is None
        if row_bytes is None:
            row_bytes = min(memory_limit(), _sparse_bytes() // slots) // PAGE * PAGE
        # Cells are single rows up to 64 rows, so that a slot's last rows are shared out too; more cells than that
        # would only make the scan for an open one longer.
        rows_per_cell = -(-rows // 64)
        size = _native.Ring.size(slots, rows, rows_per_cell, workers, row_bytes)
        if not self._sparse:
            _refuse_too_large(size, slots, rows, row_bytes)
        self.size = size
        self.fd = os.memfd_create("fastfeed-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
            self._mapping = _native.Mapping(self.fd, size, True)
            # What comes before the slots: the size of the same ring less its slots, which are page-aligned.
            self._allocated = 0
            self._allocate(size - slots * (-(-rows * row_bytes // PAGE) * PAGE))
            self.native = _native.Ring(self._mapping, slots, rows, rows_per_cell, workers, row_bytes, self._sparse)
        except BaseException as error:
            os.close(self.fd)
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.EFBIG):
                raise RingMemoryError(
                    f"the ring needs {_megabytes(size)} of address space in one file ({error}): raise the limits of "
                    f"this process (ulimit -v and ulimit -f), or lower prefetch or batch_size"
                ) from error
            raise
        self.slots = [Slot(number, self.native.index(number)) for number in range(slots)]
        self._free = deque(self.slots)
        self._held: list[Slot] = []  # leased or draining
        self._leased = 0
        self._sequence = 0
        self._debug = os.environ.get("FASTFEED_DEBUG") == "1"

    def _allocate(self, upto: int) -> None:
        """Have the pages up to this offset exist, so that no store can meet a bus error, and map them here.

        Mapped in the consumer too they count as shared, and nobody takes a page fault in the first epoch.
        """
        start = self._allocated
        if upto > start:
            allocate(self.fd, start, upto - start)
            page = start // PAGE * PAGE
            self._mapping.advise(page, upto - page, _MADV_POPULATE_WRITE)
            self._allocated = upto

    def sweep(self) -> None:
        """Bring back the slots that nobody refers to or writes to any more."""
        if not self._held:
            return
        native = self.native
        held = []
        for slot in self._held:
            leased = slot.state is LEASED
            if not leased and slot.state is not DRAINING:
                continue  # a sweep that was interrupted has brought it back
            if native.is_leased(slot.number) or (not leased and native.withdraw(slot.number)):
                held.append(slot)
                continue
            native.release(slot.number, self._debug and not self._sparse)
            if self._sparse:
                self._trim(slot)
            self._leased -= leased
            slot.state = FREE
            slot.unit = None
            self._free.append(slot)
        self._held = held

    def free(self) -> Slot | None:
        """Any free slot.

        Slots for rows are allocated when they are first needed, one by one, so that the workers fill the first while
        the next are being zeroed.
        """
        if not self._free:
            return None
        slot = self._free[0]
        if not self._sparse:
            self._allocate(self.native.slots_at + (slot.number + 1) * self.native.slot_stride)
        return slot

    def open(self, slot: Slot, unit: Any, epoch: int, rows: int, worker: int = -1) -> None:
        """Offer what lies in the first free slot to the workers, or to one worker."""
        slot.unit, slot.rows, slot.sequence = unit, rows, self._sequence
        self._sequence = (self._sequence + 1) % _SEQUENCES
        slot.state = OPEN
        self._free.popleft()
        self.native.open(slot.number, slot.sequence, epoch, rows, worker)

    def open_again(self, slot: Slot, epoch: int, worker: int = -1) -> None:
        """Offer an open slot's unit afresh; every worker that knew it is dead and reaped."""
        self.native.open(slot.number, slot.sequence, epoch, slot.rows, worker)

    def complete(self, slot: Slot) -> bool:
        """Whether every row of an open slot is done, read off its cells."""
        state = self.native.check(slot.number, slot.sequence, slot.rows)
        if state < 0:
            raise Damaged(f"worker {-2 - state}" if state < -1 else "an unknown writer")
        return state == 1

    def receive(self, slot: Slot) -> bytes | None:
        """The pickle in a complete payload slot, where it is small and refers to no buffers; the slot is free then."""
        pickled = self.native.receive(slot.number)
        if pickled is not None:
            slot.state = FREE
            slot.unit = None
            self._free.append(slot)
        return pickled

    def lease(self, slot: Slot) -> _native.Lease:
        """What exports a slot's memory and keeps it from being used again; may be had before the slot is complete."""
        return self.native.lease(slot.number, slot.rows)

    def take(self, slot: Slot) -> list[int] | None:
        """Take a complete slot from the workers: the rows that failed, or None."""
        slot.state = LEASED
        slot.prepared = None
        self._leased += 1
        self._held.append(slot)
        return self.native.take(slot.number, slot.rows)

    @property
    def holding(self) -> bool:
        """Whether any slot is leased, or still being written for a loop that was left."""
        return bool(self._held)

    @property
    def draining(self) -> bool:
        """Whether any slot is still being written for a loop that was left."""
        return any(slot.state is DRAINING and self.native.withdraw(slot.number) for slot in self._held)

    def spare(self) -> int:
        """Slots that workers can fill."""
        return len(self.slots) - self._leased

    def drained(self) -> bool:
        """Whether a slot could be opened now."""
        self.sweep()
        return bool(self._free)

    def abandon(self) -> None:
        """Take all open slots back; cells that a worker has in hand are waited for by sweep."""
        for slot in self.slots:
            if slot.state is OPEN:
                self.native.withdraw(slot.number)
                slot.prepared = None
                slot.state = DRAINING
                self._held.append(slot)

    def room(self, slot: Slot, size: int) -> memoryview:
        """The first `size` bytes of a payload slot, made to exist."""
        had = self.native.allocated(slot.number)
        slot.needed = max(slot.needed, size)
        if size > had:
            offset = self.native.slots_at + slot.number * self.native.slot_stride
            self.native.set_allocated(slot.number, grow(self.fd, offset, size, self.native.slot_stride, had))
        return self.native.payload(slot.number, size)

    def _trim(self, slot: Slot) -> None:
        allocated = self.native.allocated(slot.number)
        slot.needed = max(self.native.used(slot.number), slot.needed - slot.needed // 4)
        if allocated > max(_KEEP_BYTES, 4 * slot.needed):
            offset = self.native.slots_at + slot.number * self.native.slot_stride
            if self._mapping.advise(offset, allocated, _MADV_REMOVE):
                self.native.set_allocated(slot.number, 0)

    @property
    def closed(self) -> bool:
        """Whether the ring has been given up."""
        return self.fd < 0

    def close(self) -> None:
        """Give the ring up; the mapping goes with the last lease.  May be called again."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            for slot in self.slots:
                slot.prepared = None  # a lease; an iterator that is kept knows the slot
            self.slots.clear()
            self._free.clear()
            self._held.clear()
            del self.native, self._mapping
            os.close(fd)


def _sparse_bytes() -> int:
    """Address space for all payload slots: at most a quarter of what this process may have, for two feeds may run."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _SPARSE_BYTES if limit == resource.RLIM_INFINITY else min(_SPARSE_BYTES, limit // 4)


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
