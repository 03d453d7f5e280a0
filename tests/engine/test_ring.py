"""The ring without a process: layout, books, leases, and words that cannot be there."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import select
import threading

import numpy as np
import probe
import pytest
from probe import finish

from fastfeed import _native
from fastfeed.engine.payload import PayloadRing
from fastfeed.engine.ring import FREE, LEASED, Damaged, Ring
from fastfeed.errors import RingMemoryError


@pytest.fixture
def ring() -> Ring:
    ring = Ring(slots=2, rows=4, row_bytes=16, workers=1)
    yield ring
    ring.close()


def open_batch(ring: Ring, rows: int = 4, batch: int = 0):
    slot = ring.next_free()
    np.asarray(slot.index)[:rows] = np.arange(rows)
    ring.open(slot, 0, batch, rows)
    return slot


def test_a_batch_is_complete_only_when_every_cell_is_ready(ring: Ring) -> None:
    slot = open_batch(ring)
    assert not ring.complete(slot)
    finish(ring, slot, skip=(2,))
    assert not ring.complete(slot)
    finish(ring, slot)
    assert ring.complete(slot)


def test_a_short_batch_needs_only_its_own_rows(ring: Ring) -> None:
    slot = open_batch(ring, rows=3)
    finish(ring, slot)
    assert ring.complete(slot)


@pytest.mark.parametrize("rows", [3, 4])
def test_complete_slots_are_counted_while_they_wait_to_be_taken(ring: Ring, rows: int) -> None:
    first, second = open_batch(ring, rows), open_batch(ring, rows)
    assert ring.ready(-1) == 0
    finish(ring, second)
    assert (ring.ready(-1), ring.ready(second.number), ring.ready(first.number)) == (1, 1, 0)
    finish(ring, first, skip=(rows - 1,))
    assert ring.ready(-1) == 1
    finish(ring, first)
    assert (ring.ready(-1), ring.ready(first.number)) == (2, 2)
    ring.take(first)
    assert ring.ready(-1) == 1
    assert ring.sweep()
    assert ring.ready(-1) == 1
    assert open_batch(ring, rows) is first
    assert ring.ready(-1) == 1
    ring.abandon()
    assert ring.ready(-1) == 0


def test_rows_without_a_done_status_are_reported_as_failed(ring: Ring) -> None:
    slot = open_batch(ring)
    finish(ring, slot)
    assert ring.take(slot) == [0, 1, 2, 3]


def test_a_slot_returns_when_the_last_view_dies_and_not_before(ring: Ring) -> None:
    slot = open_batch(ring)
    finish(ring, slot)
    lease = ring.lease(slot)
    ring.take(slot)
    array = np.ndarray((4, 16), np.uint8, buffer=lease)
    view = array[1:3, ::2]
    del lease, array
    gc.collect()
    ring.sweep()
    assert slot.state is LEASED
    view[:] = 7
    del view
    gc.collect()
    ring.sweep()
    assert slot.state is FREE


def test_a_view_outlives_the_ring() -> None:
    ring = Ring(slots=1, rows=4, row_bytes=16, workers=1)
    slot = open_batch(ring)
    finish(ring, slot)
    array = np.ndarray((4, 16), np.uint8, buffer=ring.lease(slot))
    ring.take(slot)
    array[:] = 9
    ring.close()
    del ring, slot
    gc.collect()
    assert (array == 9).all()


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(lambda good: good | 0xF << 60, id="no such state"),
        pytest.param(lambda good: good ^ 1, id="another sequence"),
        pytest.param(lambda good: good ^ 1 << 32, id="another generation"),
        pytest.param(lambda good: good | 0xFFF << 48, id="owner beyond the table"),
        pytest.param(lambda good: good & ~(0xFFF << 48), id="ready and owned by nobody"),
        pytest.param(lambda good: good & ((1 << 60) - 1), id="free while the batch is open"),
    ],
)
def test_a_word_that_cannot_be_there_is_noticed(ring: Ring, word) -> None:
    slot = open_batch(ring)
    finish(ring, slot)
    probe.set_word(ring, slot, 0, word(probe.word(ring, slot, 0)))
    with pytest.raises(Damaged):
        ring.complete(slot)


def test_an_abandoned_slot_waits_for_the_cell_that_is_being_written(ring: Ring) -> None:
    slot = open_batch(ring)
    finish(ring, slot, skip=(1,))
    ring.abandon()
    ring.sweep()
    assert slot.state != FREE
    finish(ring, slot)
    ring.sweep()
    assert slot.state is FREE


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(lambda good: good | 0xFFF << 48, id="owner beyond the table"),
        pytest.param(lambda good: good & ~(0xFFF << 48), id="written by nobody"),
        pytest.param(lambda good: good ^ 1 << 32, id="another generation"),
        pytest.param(lambda good: good | 0xF << 60, id="no such state"),
    ],
)
def test_a_word_that_cannot_be_there_is_noticed_in_an_abandoned_slot(ring: Ring, word) -> None:
    slot = open_batch(ring)
    finish(ring, slot, skip=(1,))
    ring.abandon()
    probe.set_word(ring, slot, 1, word(probe.word(ring, slot, 1)))
    assert ring.withdraw_abandoned()
    with pytest.raises(Damaged):
        ring.sweep()
    ring.free_abandoned()  # its writers are dead
    ring.sweep()
    assert probe.free_slots(ring) == [0, 1]


def test_a_token_for_a_worker_without_an_eventfd_is_refused() -> None:
    ring = Ring(slots=1, rows=1, row_bytes=16, workers=4)
    probe.set_asleep(ring, 3)
    with pytest.raises(IndexError):
        ring.rouse(-1, [0])
    assert ring.sleepers() == 1
    ring.close()


def test_a_lease_can_neither_be_copied_nor_made_from_nothing(ring: Ring) -> None:
    slot = open_batch(ring)
    finish(ring, slot)
    lease = ring.lease(slot)
    for make in (copy.copy, copy.deepcopy, pickle.dumps, type(lease).__new__):
        with pytest.raises(TypeError):
            make(type(lease) if make is type(lease).__new__ else lease)
    with pytest.raises(ValueError, match="0"):
        type(lease)(probe.native(ring), slot.number, 16)  # there is one already
    with pytest.raises(ValueError, match="1"):
        type(lease)(probe.native(ring), 1, 1 << 40)


def test_cells_of_a_reaped_worker_open_again_under_the_next_generation(ring: Ring) -> None:
    slot = open_batch(ring)
    finish(ring, slot, skip=(1, 3))
    assert ring.reopen(0) == 2
    assert not ring.complete(slot)
    finish(ring, slot)
    assert ring.complete(slot)


def test_sequences_wrap_without_a_batch_being_taken_for_another(ring: Ring) -> None:
    probe.set_sequence(ring, 2**32 - 1)
    first, second = open_batch(ring), open_batch(ring, batch=1)
    assert (first.sequence, second.sequence) == (2**32 - 1, 0)
    finish(ring, first)
    finish(ring, second)
    assert ring.complete(first)
    assert ring.complete(second)


def test_the_probe_reads_the_header_where_the_ring_has_it(ring: Ring) -> None:
    assert probe.slots_at(ring) == probe.native(ring).slots_at
    slot = open_batch(ring)
    assert probe.word(ring, slot, 3) == probe.word(ring, slot, 0) == 1 << 60 | 1 << 32


def test_the_memory_is_sealed_against_resizing(ring: Ring) -> None:
    for size in (0, ring.size * 2):
        with pytest.raises(PermissionError):
            os.ftruncate(ring.fd, size)


def test_a_ring_beyond_the_memory_limit_is_refused_in_words() -> None:
    with pytest.raises(RingMemoryError, match=r"8 slots of 4 rows of 32,768.0 GiB, needs .* use smaller rows"):
        Ring(slots=8, rows=4, row_bytes=1 << 45, workers=1, remedy="use smaller rows")


def test_debug_mode_overwrites_freed_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTFEED_DEBUG", "1")
    ring = Ring(slots=1, rows=4, row_bytes=16, workers=1)
    slot = open_batch(ring)
    finish(ring, slot)
    del slot.index
    lease = ring.lease(slot)
    ring.take(slot)
    del lease
    ring.sweep()
    at = probe.slots_at(ring)
    with probe.memory(ring) as memory:
        assert memory[at : at + 64] == b"\xdb" * 64
    ring.close()


def test_numbers_that_make_no_ring_have_no_size() -> None:
    assert _native.Ring.size(0, 4, 1, 1, 16) == 0
    assert _native.Ring.size(1, 4, 5, 1, 16) == 0
    assert _native.Ring.size(1, 4, 1, 4096, 16) == 0
    assert _native.Ring.size(1 << 20, 1 << 26, 1, 1, 1 << 46) == 0


class Interrupting:
    """A native ring whose call of one name is interrupted, once, before or after it is done."""

    def __init__(self, native: object, name: str, after: bool) -> None:
        self._native, self._name, self._after = native, name, after

    def __getattr__(self, name: str) -> object:
        call = getattr(self._native, name)
        if name != self._name:
            return call
        self._name = ""

        def interrupted(*args: object) -> None:
            if self._after:
                call(*args)
            raise KeyboardInterrupt

        return interrupted


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["open", "withdraw", "lease", "take", "is_leased", "release"])
def test_an_interrupt_anywhere_loses_no_slot_and_frees_none_twice(ring: Ring, name: str, after: bool) -> None:
    def use() -> None:
        finish(ring, open_batch(ring))
        lease = ring.lease(ring.slots[0])
        ring.take(ring.slots[0])
        open_batch(ring)
        del lease
        ring.abandon()
        ring.sweep()

    interrupting = Interrupting(probe.native(ring), name, after)
    with probe.native_replaced(ring, interrupting), contextlib.suppress(KeyboardInterrupt):
        use()
    ring.abandon()
    ring.sweep()
    assert probe.free_slots(ring) == [0, 1]
    assert not ring.scarce


def test_an_abandoned_slot_waits_for_its_lease(ring: Ring) -> None:
    slot = open_batch(ring)
    lease = ring.lease(slot)
    ring.abandon()
    ring.sweep()
    assert slot.state is not FREE
    assert not ring.withdraw_abandoned()
    del lease
    ring.sweep()
    assert slot.state is FREE


def test_a_lease_that_the_garbage_collector_finds_frees_its_slot(ring: Ring) -> None:
    slot = open_batch(ring)
    finish(ring, slot)
    cycle: list[object] = [memoryview(ring.lease(slot))]
    cycle.append(cycle)
    ring.take(slot)
    del cycle
    gc.collect()
    ring.sweep()
    assert slot.state is FREE


def test_the_index_column_stays_mapped_as_long_as_anybody_has_it() -> None:
    ring = Ring(slots=1, rows=4, row_bytes=16, workers=1)
    index = ring.slots[0].index
    ring.close()
    del ring
    index[3] = 7
    assert index.tolist() == [0, 0, 0, 7]


def test_a_slot_that_is_not_the_next_free_one_cannot_be_opened(ring: Ring) -> None:
    with pytest.raises(ValueError, match="slot 1 is not the next free one"):
        ring.open(ring.slots[1], 0, 0, 4)
    assert probe.free_slots(ring) == [0, 1]
    assert open_batch(ring) is ring.slots[0]


def test_slots_are_scarce_when_the_consumer_holds_them_all(ring: Ring) -> None:
    leases = []
    for number in range(2):
        assert not ring.scarce
        slot = open_batch(ring)
        finish(ring, slot)
        leases.append(ring.lease(slot))
        ring.take(slot)
        assert ring.scarce == (number == 1)
    leases.pop()
    ring.sweep()
    assert not ring.scarce


def test_memory_that_was_refused_is_asked_for_again(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def allocate(fd: int, start: int, size: int, remedy: str) -> None:
        asked.append((start, size))
        if len(asked) == 1:
            raise RingMemoryError("refused")

    monkeypatch.setattr("fastfeed.engine.ring.allocate", allocate)
    with pytest.raises(RingMemoryError):
        ring.next_free()
    assert ring.next_free() is ring.slots[0]
    assert asked[0] == asked[1]


def test_a_worker_has_the_consumer_look_at_a_word_that_cannot_be_there(ring: Ring) -> None:
    slot = open_batch(ring, rows=2)
    probe.set_word(ring, slot, 1, 0)
    ring.want_signal()
    ready = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        worker = _native.FunctionWorker(probe.mapping(ring), 0, -1, ready)
        assert worker.take() == slot.number
        worker.reply(0, 0, 1)
        assert os.eventfd_read(ready) == 1
    finally:
        os.close(ready)
    with pytest.raises(Damaged):
        ring.complete(slot)


def test_a_signal_is_held_back_until_several_batches_are_there_or_a_worker_finds_nothing_to_do() -> None:
    ring = Ring(slots=4, rows=1, row_bytes=16, workers=1)
    ready, work = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0)
    worker = _native.FunctionWorker(probe.mapping(ring), 0, work, ready)
    idle = threading.Thread(target=worker.take)

    def make(batches: int) -> None:
        for _ in range(batches):
            worker.take()
            worker.reply(0, 0, 1)

    try:
        for batch in range(4):
            open_batch(ring, rows=1, batch=batch)
        ring.want_signal(_native.WAIT_SEVERAL + 1)
        make(1)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(ready)
        make(1)
        assert os.eventfd_read(ready) == 1
        ring.want_signal(_native.WAIT_SEVERAL + 7)
        make(2)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(ready)
        idle.start()
        assert select.select([ready], [], [], 60)[0]
    finally:
        ring.set_stop()
        os.eventfd_write(work, 1)
        idle.join()
        os.close(ready)
        os.close(work)
        ring.close()


def test_rows_are_taken_by_as_many_as_a_cell_is_to_have() -> None:
    ring = Ring(slots=1, rows=7, row_bytes=16, workers=1, cell_rows=3)
    worker = _native.FunctionWorker(probe.mapping(ring), 0, -1, -1)
    try:
        slot = open_batch(ring, rows=7)
        for _ in range(3):
            assert not ring.complete(slot)
            assert worker.take() == slot.number
            worker.reply(0, 0, 1)
        assert ring.complete(slot)
    finally:
        ring.close()


def carry(ring: PayloadRing, size: int) -> int:
    """Pass a payload through the first free slot; the bytes that the slot has then."""
    slot = ring.next_free()
    ring.room(slot, size)
    ring.set_used(slot, size)
    ring.open(slot, 0, 0, 1)
    lease = ring.lease(slot)
    ring.take(slot)
    del lease
    ring.sweep()
    return probe.allocated(ring, slot)


def test_a_payload_slot_keeps_its_memory_over_a_few_small_values_and_not_for_ever() -> None:
    ring = PayloadRing(slots=1, workers=1)
    try:
        large = carry(ring, 40 << 20)
        assert large < 41 << 20
        assert [carry(ring, 100) for _ in range(4)] == [large] * 4
        assert min(carry(ring, 100) for _ in range(20)) < 1 << 20
        assert carry(ring, 40 << 20) == large
    finally:
        ring.close()
