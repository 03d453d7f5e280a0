"""What tests need to see of a running feed: the only file of the tests that knows the engine's private names."""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import fastfeed as ff
from fastfeed import _native
from fastfeed.engine import recovery, unit
from fastfeed.engine.crew import Crew
from fastfeed.engine.ring import Ring, Slot

# Where ff_ring_header of csrc has these fields; a test of the ring holds what they say against the ring's own figures.
_CELLS_PER_SLOT, _TABLE_AT, _CELLS_AT, _SLOTS_AT, _WAITING_AT = 40, 56, 64, 88, 128
# A worker's entry of the table, and where in it its sample is; what follows that is when the sample was begun.
_ENTRY_BYTES, _SAMPLE_AT = 128, 8

# ---- workers ----


def workers(feed: ff.Feed) -> list[int]:
    """The process numbers of the workers that run now, in the order of the workers' own numbers."""
    return list(_pids(feed).values())


def kill(feed: ff.Feed, nth: int = 0) -> None:
    """Kill the nth of the workers that run now."""
    os.kill(workers(feed)[nth], signal.SIGKILL)


def kill_all(feed: ff.Feed) -> None:
    """Kill all workers that run now."""
    for pid in workers(feed):
        os.kill(pid, signal.SIGKILL)


def kill_in_its_loop(feed: ff.Feed, number: int) -> None:
    """Kill a worker, by its own number, once it has begun to work: so it does not count as one that fails to start."""
    while not feed._running.ring.is_attached(number):
        os.sched_yield()
    os.kill(_pids(feed)[number], signal.SIGKILL)


def all_attached(feed: ff.Feed, count: int) -> bool:
    """Whether these workers have all begun to work."""
    return all(feed._running.ring.is_attached(worker) for worker in range(count))


def wait_for_sleepers(feed: ff.Feed, count: int) -> None:
    """Return when this many workers are asleep."""
    while sleepers(feed) < count:
        os.sched_yield()


def sleepers(feed: ff.Feed) -> int:
    """How many workers are asleep."""
    return feed._running.ring.sleepers()


def wait_until_idle(feed: ff.Feed, count: int) -> None:
    """Return when each of this many workers is asleep, or dead and not yet reaped."""
    while True:
        dead = [
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            for pidfd in feed._running.crew._pidfds.values()
        ]
        if sum(dead) + sleepers(feed) >= count:
            return
        os.sched_yield()


def wait_until_waiting(feed: ff.Feed) -> None:
    """Return when a loop over the feed, in another thread, waits for the workers."""
    while feed._running is None:
        os.sched_yield()
    with memory(feed._running.ring) as mapped:
        while not struct.unpack_from("<I", mapped, _WAITING_AT)[0]:
            os.sched_yield()


def samples_done(feed: ff.Feed) -> int:
    """How many samples the workers have finished."""
    return feed._running.ring.totals()[0]


def kill_hits(feed: ff.Feed) -> int:
    """How often the kill point that FF_KILL_AT names was passed; needs the build with kill points."""
    return feed._running.ring._shared.kill_hits()


def _pids(feed: ff.Feed) -> dict[int, int]:
    return dict(sorted(feed._running.crew._pids.items()))


def start(feed: ff.Feed) -> None:
    """Start the workers, which a feed otherwise does when it is first iterated."""
    feed._started()


def call_after_the_grace(monkeypatch: pytest.MonkeyPatch, called: Callable[[], object], closing_s: float = 60) -> None:
    """Have workers that are to stop get half a second, then call this, and give those that are closing so long more."""
    await_closing = Crew._await_closing

    def wrapped(crew: Crew, in_loop: set[int]) -> None:
        called()
        await_closing(crew, in_loop)

    monkeypatch.setattr(Crew, "_await_closing", wrapped)
    monkeypatch.setattr("fastfeed.engine.crew._GRACE_S", 0.5)
    monkeypatch.setattr("fastfeed.engine.crew._CLOSING_S", 0.5 + closing_s)


# ---- what a feed holds ----


def job(feed: ff.Feed) -> Any:
    """The feed's job, for patching its public methods."""
    return feed.job


def ring(feed: ff.Feed) -> Ring:
    """The feed's ring, for patching its public methods."""
    return feed._running.ring


def ring_bytes(feed: ff.Feed) -> int:
    """Bytes of memory behind the ring."""
    return os.fstat(feed._running.ring.fd).st_blocks * 512


def slot_of(feed: ff.Feed, address: int) -> int:
    """The number of the slot that an address lies in."""
    memory = feed.shared_memory()
    at = address - _native.address(memory)
    assert 0 <= at < memory.nbytes
    return max(slot.number for slot in feed._running.ring.slots if slot.at <= at)


def is_leased(feed: ff.Feed, slot: int) -> bool:
    """Whether anything refers to a slot."""
    return feed._running.ring._shared.is_leased(slot)


def remembered(feed: ff.Feed) -> tuple[int, int]:
    """How many chunks and epochs a feed over a sequence keeps for its state."""
    delivered = feed.job._delivered
    return len(delivered._noted), len(delivered._at.progress)


def chunk_size(feed: ff.Feed) -> int:
    """How many items the next chunk of a map will have."""
    return feed.job._chunk


def table_fd(feed: ff.Feed) -> int | None:
    """The descriptor of what all workers share besides the ring; it is made if it is not there yet."""
    return feed.job.table_fd()


def has_copied(feed: ff.Feed) -> bool:
    """Whether a feed of arrays has made its copies."""
    return feed.job._columns._fd is not None


def damage(feed: ff.Feed) -> None:
    """Overwrite the first word of the batch that is to be delivered next."""
    set_word(feed._running.ring, feed._pending[0], 0, 0xFFFF_FFFF_FFFF_FFFF)


def doubt_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever waits for the workers have a look at them ten times a second."""
    monkeypatch.setattr(recovery, "_DOUBT_S", 0.1)


def hold_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every source count as a slow one, to be held off for as long as anything is pending."""
    monkeypatch.setattr(unit, "_SLOW_SOURCE_NS", -1)
    monkeypatch.setattr(unit, "_PART_TO_HOLD_OFF", 1e-9)


def room(items: Any) -> int:
    """How many items the thread of a prefetch may pull."""
    return items._run.room.qsize()


# ---- the ring's words ----


@contextmanager
def memory(ring: Ring) -> Iterator[mmap.mmap]:
    """The ring's whole file, mapped."""
    with mmap.mmap(ring.fd, ring.size) as mapped:
        yield mapped


def slots_at(ring: Ring) -> int:
    """Where the first slot begins, as the ring's header has it."""
    with memory(ring) as mapped:
        return struct.unpack_from("<Q", mapped, _SLOTS_AT)[0]


def word(ring: Ring, slot: Slot, cell: int) -> int:
    """The word of a cell."""
    with memory(ring) as mapped:
        return struct.unpack_from("<Q", mapped, _cell_at(mapped, slot, cell))[0]


def set_word(ring: Ring, slot: Slot, cell: int, value: int) -> None:
    """Write the word of a cell."""
    with memory(ring) as mapped:
        struct.pack_into("<Q", mapped, _cell_at(mapped, slot, cell), value)


def _cell_at(mapped: mmap.mmap, slot: Slot, cell: int) -> int:
    per_slot = struct.unpack_from("<I", mapped, _CELLS_PER_SLOT)[0]
    return struct.unpack_from("<Q", mapped, _CELLS_AT)[0] + (slot.number * per_slot + cell) * 8


def finish(ring: Ring, slot: Slot, owner: int = 1, skip: tuple[int, ...] = ()) -> None:
    """Do what a worker does to the words: every cell READY (those in `skip`: still WRITING)."""
    for cell in range(slot.rows):
        state = 2 if cell in skip else 3
        set_word(ring, slot, cell, state << 60 | owner << 48 | (word(ring, slot, cell) & ((1 << 48) - 1)))


def is_being_written(feed: ff.Feed, number: int) -> bool:
    """Whether the first cell of a slot is in a worker's hands."""
    ring = feed._running.ring
    return word(ring, ring.slots[number], 0) >> 60 == 2


def scribble_indices(feed: ff.Feed) -> None:
    """Overwrite the index column of every open slot."""
    for slot in feed._pending:
        slot.index[0] = 0x7FFF_FFFF


def set_asleep(ring: Ring, worker: int) -> None:
    """Write that a worker sleeps, as the worker itself does."""
    with memory(ring) as mapped:
        entry = struct.unpack_from("<Q", mapped, _TABLE_AT)[0] + worker * _ENTRY_BYTES
        struct.pack_into("<I", mapped, entry, 1)


def failed_rows(ring: Ring, slot: Slot) -> list[int]:
    """The rows that are marked as failed."""
    return [row for row in range(slot.rows) if ring._shared.code(slot.number, row) != 0]


def failed_row(ring: Ring, slot: Slot, row: int) -> tuple[int, bytes]:
    """What a job is given of a failed row."""
    return ring._failed_row(slot, row)


def set_in_hand(ring: Ring, worker: int, sequence: int, row: int, started_ns: int) -> None:
    """Write that a worker works on this row, as the worker itself does."""
    with memory(ring) as mapped:
        entry = struct.unpack_from("<Q", mapped, _TABLE_AT)[0] + worker * _ENTRY_BYTES
        struct.pack_into("<QQ", mapped, entry + _SAMPLE_AT, sequence << 32 | row, started_ns)


def native(ring: Ring) -> Any:
    """The native ring."""
    return ring._shared


def mapping(ring: Ring) -> Any:
    """The native mapping of the ring's file."""
    return ring._mapping


@contextmanager
def native_replaced(ring: Ring, other: object) -> Iterator[None]:
    """Put something else in the native ring's place for a while."""
    own = ring._shared
    ring._shared = other
    try:
        yield
    finally:
        ring._shared = own


def free_slots(ring: Ring) -> list[int]:
    """The numbers of the free slots."""
    return sorted(slot.number for slot in ring._free)


def allocated(ring: Ring, slot: Slot) -> int:
    """Bytes of a payload slot that exist."""
    return ring._shared.allocated(slot.number)


def set_sequence(ring: Ring, sequence: int) -> None:
    """Let the next batch that is opened have this sequence number."""
    ring._sequence = sequence
