"""The ring as the consumer sees it: slots, their books, and the memory behind them.

    FREE --open--> OPEN --complete--> take --> LEASED --last view dies--> FREE
                     |                                                     ^
                     +--abandon--> DRAINING --no cell is being written-----+

The words in shared memory say how far the workers are; these books say what the consumer asked for, and only they are
believed.  ``sweep`` brings slots back whose leases have died, so nothing here needs a callback or a thread.

An interrupt may end any call here half-way, after any call that it makes.  A slot's state is therefore what counts: it
is stored just before the slot changes lists, with no call in between, and what an interrupted call has not done yet is
done by the next one.

The slots of a `Ring` hold rows of one size, and exist once they have been used; see `payload` for those that grow.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fastfeed import _native
from fastfeed.engine.boot import FAILURE_BYTES
from fastfeed.engine.fork import part, tell
from fastfeed.engine.memory import allocate, refused, sealed, too_large
from fastfeed.errors import RingMemoryError
from fastfeed.machine import memory_limit, said_bytes

FREE: Final = "free"
OPEN: Final = "open"
LEASED: Final = "leased"
DRAINING: Final = "draining"

PAGE = os.sysconf("SC_PAGE_SIZE")
LESS = "lower prefetch or batch_size"
_MADV_POPULATE_WRITE = 23
_SEQUENCES = 1 << 32
# What a slot is to carry: bytes, or a size and what fills so much memory.
Payload = bytes | tuple[int, Callable[[memoryview], None]]


class Shape(NamedTuple):
    """The slots that a kind of work wants.

    Attributes
    ----------
    slots : int
        How many, where the user names no number.
    rows : int
        Rows of a slot.
    row_bytes : int or None
        Bytes of a row; None where a slot carries one payload.
    cell_rows : int
        Rows that a worker takes at once, at least.
    spare : int
        Slots besides, for units that come and go in next to no time.
    plain : bytes
        How a payload begins that may be copied out of its slot.
    """

    slots: int
    rows: int = 1
    row_bytes: int | None = None
    cell_rows: int = 1
    spare: int = 0
    plain: bytes = b""


Totals = Callable[[], tuple[int, int, int, int, int]]

# A complete slot, taken from the workers; a bare tuple, as `Delivery` is.
#   memory: what was prepared for it; or the payload, as what exports the slot, or as the bytes behind `Shape.plain`
#   failed: by row, the FF_E_* code and what the row's bytes hold
#   whether slots are scarce: the consumer holds every one now, and must be given a copy, or no worker could go on
#   totals: `Ring.totals`
Taken = tuple[Any, dict[int, tuple[int, bytes]], bool, Totals]


NO_ROWS: dict[int, tuple[int, bytes]] = {}


class Damaged(Exception):
    """A cell word that cannot be there; the text says whose."""


class NoAddressesError(RingMemoryError):
    """The process has no address space for a ring of this size."""


class Slot:
    """The consumer's own record of one slot.

    `at` is where its memory begins in the ring's file, `unit` what the feed put there, `indices` the consumer's copy of
    what was written to `index`, `prepared` what the job has made ready for its delivery, `needed` about the number of
    bytes that it carried lately.
    """

    __slots__ = ("at", "index", "indices", "needed", "number", "prepared", "rows", "sequence", "state", "unit")

    def __init__(self, number: int, at: int, index: memoryview) -> None:
        self.number = number
        self.at = at
        self.index = index
        self.indices = bytearray()
        self.state = FREE
        self.sequence = 0
        self.rows = 0
        self.unit: Any = None
        self.prepared: Any = None
        self.needed = 0


class Ring:
    """Slots for rows in one sealed memfd, and every word that the consumer exchanges with its workers.

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
    remedy : str
        What the user can do where the memory is too small.
    cell_rows : int
        Rows of a cell, at least.

    Raises
    ------
    RingMemoryError
        If the memory limit or the memory itself does not allow it.
    """

    payloads = False

    def __init__(
        self, slots: int, rows: int, row_bytes: int, workers: int, remedy: str = LESS, cell_rows: int = 1
    ) -> None:
        # Cells are small, so that a slot's last rows are shared out too; more of them than 64 would only make the scan
        # for an open one longer.
        rows_per_cell = max(min(cell_rows, rows), -(-rows // 64))
        self.size = size = _native.Ring.size(slots, rows, rows_per_cell, workers, row_bytes)
        self._remedy = remedy
        self._row_bytes = row_bytes
        self._refuse_too_large(slots, rows, row_bytes)
        self.fd = -1
        try:
            self.fd = sealed("ring", lambda fd: os.ftruncate(fd, size), writable=True)
            self._mapping = _native.Mapping(self.fd, size, True)
            # The words before the slots are written while the ring is laid out, and only then is it known where the
            # slots begin: so what the slots, rounded up to pages, leave of the whole.
            self._allocated = self._mapped = 0
            self._allocate(size - slots * (-(-rows * row_bytes // PAGE) * PAGE))
            self._map(size if self.payloads else self._allocated)
            self._shared = _native.Ring(
                self._mapping, slots, rows, rows_per_cell, workers, row_bytes, payloads=self.payloads
            )
        except BaseException as error:
            if self.fd >= 0:
                os.close(self.fd)
            unmapped = isinstance(error, MemoryError) and not isinstance(error, RingMemoryError)
            if unmapped or (isinstance(error, OSError) and error.errno == errno.EFBIG):
                what = f"address space for the ring, {said_bytes(size)} in one file,"
                limits = "raise the limits of this process (ulimit -v and ulimit -f)"
                raise NoAddressesError(str(refused(what, error, f"{limits}, or {remedy}"))) from error
            raise
        part(self._shared)
        tell(self)
        # Every unit passes these, and they need no books: the native ring's own, with no call in between.
        # sleepers(): how many workers may be asleep.  rouse(worker, wake_fds): post a token to a worker that is asleep
        # (-1: to any that is), by its eventfd.
        # totals(): samples, bytes read, and nanoseconds of reading, working and idling, over all workers.
        # owe(timer, after_ns), pay(): leave it to a timer to wake somebody; say that it is done.
        self.sleepers, self.rouse, self.totals = self._shared.sleepers, self._shared.rouse, self._shared.totals
        # ready(due): how many slots are complete; 0 where the one that is due is not (-1: any may be due).
        self.owe, self.pay, self.ready = self._shared.owe, self._shared.pay, self._shared.ready
        self._stride = self._shared.slot_stride
        self.slots = [
            Slot(number, self._shared.slots_at + number * self._stride, self._shared.index(number))
            for number in range(slots)
        ]
        # How many are in flight at most, unless units come and go in next to no time.
        self.usual = slots
        # The one that was used last is used next: it is in the caches, and spare ones that are not needed cost nothing.
        self._free = deque(self.slots)
        self._held: list[Slot] = []  # leased or draining
        self._sequence = 0
        self._debug = os.environ.get("FASTFEED_DEBUG") == "1"

    def _refuse_too_large(self, slots: int, rows: int, row_bytes: int) -> None:
        limit = memory_limit()
        ring = f"the ring, {slots} slots of {rows} rows of {said_bytes(row_bytes)},"
        if self.size == 0:
            raise RingMemoryError(f"{ring} has more rows, or larger ones, than a ring can have: {self._remedy}")
        if self.size > limit:
            raise too_large(f"{ring} needs", slots * rows * row_bytes, limit, self._remedy)

    def _allocate(self, upto: int) -> None:
        """Have the pages up to this offset exist, so that no store can meet a bus error."""
        allocate(self.fd, self._allocated, upto - self._allocated, self._remedy)
        self._allocated = upto

    def _map(self, upto: int) -> None:
        """Map what exists up to this offset here: then it counts as shared, and the loop takes no page faults.

        That takes three times as long as to make it exist.
        """
        page = self._mapped // PAGE * PAGE
        self._mapping.advise(page, min(upto, self._allocated) - page, _MADV_POPULATE_WRITE)
        self._mapped = upto

    def memory(self) -> memoryview | None:
        """All of the ring's memory, made to exist, for somebody who wants to lock its pages; None for payloads."""
        if self._allocated < self.size:
            self._allocate(self.size)
            self._map(self.size)
        return self._mapping.memory()

    # ---- a slot's round ----

    def next_free(self) -> Slot | None:
        """The free slot that is to be opened next, or None.

        Slots for rows are allocated when they are first needed, one by one, so that the workers fill the first while
        the next are being zeroed.
        """
        if not self._free:
            return None
        slot = self._free[0]
        if slot.at + self._stride > self._allocated:
            self._allocate(slot.at + self._stride)
        return slot

    def open(self, slot: Slot, unit: Any, epoch: int, rows: int, worker: int = -1) -> None:
        """Offer what lies in the next free slot to the workers, or to one worker."""
        if slot is not self._free[0]:
            raise ValueError(f"slot {slot.number} is not the next free one")
        slot.unit, slot.rows, slot.sequence = unit, rows, self._sequence
        if not self.payloads:
            slot.indices = self._shared.indices(slot.number, rows)
        self._sequence = (self._sequence + 1) % _SEQUENCES
        slot.state = OPEN
        self._free.popleft()
        self._shared.open(slot.number, slot.sequence, epoch, rows, worker)

    def open_again(self, slot: Slot, epoch: int, worker: int = -1) -> None:
        """Offer an open slot's unit afresh; every worker that knew it is dead and reaped."""
        self._shared.open(slot.number, slot.sequence, epoch, slot.rows, worker)

    def complete(self, slot: Slot) -> bool:
        """Whether every row of an open slot is done, read off its cells."""
        state = self._shared.check(slot.number, slot.sequence, slot.rows)
        return _sound(state) == 1 if state < 0 else state == 1

    def lease(self, slot: Slot) -> _native.Lease:
        """What exports a slot's memory and keeps it from being used again; may be had before the slot is complete.

        A slot is mapped here when it is first leased, which is best done while the workers are at it.
        """
        if slot.at + self._stride > self._mapped:
            self._map(slot.at + self._stride)
        return self._shared.lease(slot.number, slot.rows)

    def take(self, slot: Slot) -> list[int] | None:
        """Take a complete slot from the workers: the rows that failed, or None."""
        slot.state = LEASED
        slot.prepared = None
        self._held.append(slot)
        return self._shared.take(slot.number, slot.rows)

    def collect(self, slot: Slot) -> Taken:
        """Take a complete slot from the workers."""
        memory = self._memory(slot)
        failed = self.take(slot)
        rows = {row: self._failed_row(slot, row) for row in failed} if failed else NO_ROWS
        return memory, rows, self.scarce, self.totals

    def _memory(self, slot: Slot) -> Any:
        return slot.prepared

    @property
    def scarce(self) -> bool:
        """Whether the consumer holds every slot, so that what it is given next must be a copy: no worker can go on."""
        return len(self._held) >= len(self.slots) and all(slot.state is LEASED for slot in self._held)

    @property
    def holds(self) -> bool:
        """Whether any slot is leased, or still being written for a loop that was left."""
        return bool(self._held)

    def abandon(self) -> None:
        """Take all open slots back; cells that a worker has in hand are waited for by sweep."""
        for slot in self.slots:
            if slot.state is OPEN:
                self._withdraw(slot)  # a damage is found by the next sweep
                slot.prepared = None
                slot.state = DRAINING
                self._held.append(slot)

    def withdraw_abandoned(self) -> bool:
        """Take back the cells of abandoned slots again, as far as no worker has them; whether any is being written."""
        return any(slot.state is DRAINING and self._withdraw(slot) != 0 for slot in self._held)

    def _withdraw(self, slot: Slot) -> int:
        return self._shared.withdraw(slot.number, slot.sequence)

    def free_abandoned(self) -> None:
        """Bring back every abandoned slot; the workers that wrote to them are dead and reaped."""
        for slot in self._held:
            if slot.state is DRAINING:
                self._bring_back(slot)

    def _bring_back(self, slot: Slot) -> None:
        self._release(slot)
        slot.state = FREE
        slot.unit = None
        self._free.appendleft(slot)

    def sweep(self) -> bool:
        """Bring back the slots that nobody refers to or writes to any more; whether any slot is free then.

        Raises
        ------
        Damaged
            If an abandoned slot has a word that cannot be there.
        """
        if not self._held:
            return bool(self._free)
        shared = self._shared
        held = []
        for slot in self._held:
            leased = slot.state is LEASED
            if not leased and slot.state is not DRAINING:
                continue  # a sweep that was interrupted has brought it back
            if shared.is_leased(slot.number) or (not leased and _sound(self._withdraw(slot))):
                held.append(slot)
                continue
            self._bring_back(slot)
        self._held = held
        return bool(self._free)

    def _release(self, slot: Slot) -> None:
        self._shared.release(slot.number, self._debug)

    def put(self, slot: Slot, payload: Payload) -> None:
        """Have a slot carry a payload."""
        raise NotImplementedError

    # ---- rows ----

    def _failed_row(self, slot: Slot, row: int) -> tuple[int, bytes]:
        start = row * self._row_bytes
        end = start + min(self._row_bytes, FAILURE_BYTES)
        return self._shared.code(slot.number, row), bytes(self._shared.payload(slot.number, end)[start:])

    def forbid(self, slot: Slot, row: int) -> None:
        """Mark a row as failed, so that workers pass over it."""
        self._shared.set_status(slot.number, row, _native.E_POISON)

    # ---- workers ----

    def want_signal(self, after: int = _native.WAIT_BATCH) -> None:
        """Have the workers signal when a batch may be complete, after each cell, or after several batches."""
        self._shared.set_waiting(after)

    def want_no_signal(self) -> None:
        """Save the workers the signals: the consumer is awake."""
        self._shared.set_waiting(_native.WAIT_NOT)

    def set_stop(self) -> None:
        """Let the workers end, each as soon as it has finished its cell."""
        self._shared.set_stop()

    def is_attached(self, worker: int) -> bool:
        """Whether a worker has reached its loop."""
        return self._shared.is_attached(worker)

    def in_hand(self, worker: int) -> tuple[int, int, int] | None:
        """(sequence, row, monotonic nanoseconds of its beginning) of what a worker works on, or None."""
        return self._shared.sample_of(worker)

    def writes(self, worker: int, slot: Slot) -> bool:
        """Whether a cell of a slot is in a worker's hands."""
        return self._shared.writes(worker, slot.number)

    def reopen(self, worker: int) -> int:
        """Offer the cells of a worker that is dead and reaped to the others; how many there were."""
        return self._shared.reopen(worker)

    def forget(self, worker: int) -> None:
        """Clear the table entry of a worker that is no more."""
        self._shared.forget(worker)

    # ---- the end ----

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
            del self.sleepers, self.rouse, self.totals, self.owe, self.pay, self.ready, self._shared, self._mapping
            os.close(fd)

    def forked(self) -> None:
        """In a forked child: the ring is the parent's."""
        self.close()


def _sound(state: int) -> int:
    if state < 0:
        raise Damaged(f"worker {-2 - state}" if state < -1 else "an unknown writer")
    return state
