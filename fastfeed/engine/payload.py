"""A ring of payloads: its slots lie far apart in a sparse file and grow to what they carry.

No value is too large for its slot, only for the memory.
"""

from __future__ import annotations

import resource
from typing import Any

from fastfeed._native import MAX_SLOTS
from fastfeed.engine.memory import grow
from fastfeed.engine.ring import FREE, LESS, NO_ROWS, PAGE, NoAddressesError, Payload, Ring, Shape, Slot, Taken
from fastfeed.machine import memory_limit

_MADV_REMOVE = 9
# Payload slots: addresses for all of them together, far below the 2^47 that a process has; half as many where several
# feeds have used them up, and again, but no fewer for a slot than this.
_SPARSE_BYTES = 1 << 45
_LEAST_SLOT_BYTES = 64 << 20
# A payload slot that has grown beyond this gives the memory back when it has carried far less for a while: the size
# that is remembered decays by a quarter per use.  The end of an epoch must not cost the next one all its page faults.
_KEEP_BYTES = 4 << 20
# A payload up to this size is copied out of its slot, which costs less than a lease; but not out of a slot that has
# grown beyond what it may keep, since the lease's end is when it gives memory back.
_COPIED_OUT_BYTES = 64 << 10


class PayloadRing(Ring):
    """A ring whose slots carry one payload each, of any size.

    Parameters
    ----------
    slots, workers, remedy
        As for `Ring`.
    plain : bytes
        How a payload begins that may be copied out of its slot.
    """

    payloads = True

    def __init__(self, slots: int, workers: int, remedy: str = LESS, plain: bytes = b"") -> None:
        self._plain = plain
        slot_bytes = max(PAGE, min(memory_limit(), _sparse_bytes() // slots) // PAGE * PAGE)
        while True:
            try:
                super().__init__(slots, 1, slot_bytes, workers, remedy)
                return
            except NoAddressesError:
                slot_bytes = slot_bytes // 2 // PAGE * PAGE
                if slot_bytes < _LEAST_SLOT_BYTES:
                    raise

    def _refuse_too_large(self, slots: int, rows: int, row_bytes: int) -> None:
        """Nothing: its slots are address space until something is put there."""

    def next_free(self) -> Slot | None:
        """The free slot that is to be opened next, or None."""
        return self._free[0] if self._free else None

    def memory(self) -> memoryview | None:
        """None: far more addresses than memory."""
        return None

    def put(self, slot: Slot, payload: Payload) -> None:
        """Have a slot carry a payload."""
        if isinstance(payload, bytes):
            if self._shared.put(slot.number, payload):
                return
            self.room(slot, len(payload))[:] = payload
            self.set_used(slot, len(payload))
        else:
            size, fill = payload
            fill(self.room(slot, size))
            self.set_used(slot, size)

    def room(self, slot: Slot, size: int) -> memoryview:
        """The first `size` bytes of a slot, made to exist."""
        had = self._shared.allocated(slot.number)
        slot.needed = max(slot.needed, size)
        if size > had:
            self._shared.set_allocated(slot.number, grow(self.fd, slot.at, size, self._stride, had, self._remedy))
        return self._shared.payload(slot.number, size)

    def set_used(self, slot: Slot, size: int) -> None:
        """Note how many bytes of a slot are the payload."""
        self._shared.set_used(slot.number, size)

    def collect(self, slot: Slot) -> Taken:
        """Take a complete slot from the workers; a small payload is copied out, and its slot is free then."""
        content = self._shared.copied_out(slot.number, self._plain, _COPIED_OUT_BYTES, _KEEP_BYTES)
        if content is None:
            return super().collect(slot)
        slot.state = FREE
        slot.unit = None
        self._free.appendleft(slot)
        return content, NO_ROWS, False, self.totals

    def _memory(self, slot: Slot) -> Any:
        return memoryview(self.lease(slot))

    def _failed_row(self, slot: Slot, row: int) -> tuple[int, bytes]:
        return self._shared.code(slot.number, row), b""  # the payload says why

    def _release(self, slot: Slot) -> None:
        self._shared.release(slot.number, False)
        allocated = self._shared.allocated(slot.number)
        slot.needed = max(self._shared.used(slot.number), slot.needed - slot.needed // 4)
        if allocated > max(_KEEP_BYTES, 4 * slot.needed) and self._mapping.advise(slot.at, allocated, _MADV_REMOVE):
            self._shared.set_allocated(slot.number, 0)


def ring_of(shape: Shape, slots: int | None, held: int, workers: int, remedy: str) -> Ring:
    """Make a ring of this many slots (None: as many as suit the work), for a loop that holds so many when it asks."""
    spare = shape.spare if slots is None else 0
    slots = shape.slots if slots is None else slots
    if held > 1:  # what it is given next is leased besides, and one more is with the workers
        slots = min(max(slots + held - 1, held + 2), MAX_SLOTS)
    if shape.row_bytes is None:
        ring = PayloadRing(min(slots + spare, MAX_SLOTS), workers, remedy, shape.plain)
        ring.usual = slots
        return ring
    return Ring(slots, shape.rows, shape.row_bytes, workers, remedy, shape.cell_rows)


def _sparse_bytes() -> int:
    """Address space for all payload slots: at most a quarter of what this process may have, for two feeds may run."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _SPARSE_BYTES if limit == resource.RLIM_INFINITY else min(_SPARSE_BYTES, limit // 4)
