"""Recovery without a process: who is blamed for what, and when a row is set aside."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import probe
import pytest

from fastfeed.engine.death import Death
from fastfeed.engine.job import Ledger, Order
from fastfeed.engine.payload import PayloadRing
from fastfeed.engine.recovery import Recovery
from fastfeed.engine.ring import Damaged, Ring, Slot
from fastfeed.errors import WorkerDied, WorkerError


class RecordingJob:
    """A job that notes what the recovery asks of it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.asked: list[tuple[object, ...]] = []

    def order(self, unit: Any, index: memoryview, without: list[int] | None) -> Order:
        self.asked.append(("order", without))
        return (0, 1, -1, b"afresh") if unit == "payload" else (0, 4, -1, None)

    def forbidden(self, row: int, rows: int) -> range:
        self.asked.append(("forbidden", row))
        return range(row, row + 1)

    def name(self, unit: Any, index: memoryview, row: int) -> str:
        return f"row {row}"


class FakeCrew:
    """A crew whose only worker dies whenever a test says so."""

    def __init__(self) -> None:
        self.unburied: dict[int, Death] = {}
        self.replaced: list[str | None] = []
        self.killed: list[tuple[int, int, str, float]] = []
        self.starting: list[tuple[int, int, float]] = []

    def die(self, cause: str | None = None) -> None:
        self.unburied[0] = Death(0, 1, 9, None, cause)

    is_whole = False

    def alive(self) -> list[int]:
        return [] if self.killed else [0]

    def kill(self, worker: int, cause: str) -> None:
        self.die(cause)

    def dying(self) -> list[tuple[int, int, str, float]]:
        return self.killed

    def await_dying(self) -> bool:
        return not self.killed

    def loading(self) -> list[tuple[int, int, float]]:
        return self.starting

    def replace(self, death: Death, sample: str | None) -> None:
        del self.unburied[death.worker]
        self.replaced.append(sample)

    def restart_due(self) -> None:
        pass

    def wake(self) -> None:
        pass


@pytest.fixture
def at_work() -> Any:
    """(job, crew, ring, an open slot, recovery), the slot's cells all in the worker's hands."""
    ring = Ring(slots=2, rows=4, row_bytes=16, workers=1)
    slot = ring.next_free()
    np.asarray(slot.index)[:] = 0
    ring.open(slot, 0, 0, 4)
    job, crew = RecordingJob(), FakeCrew()
    yield job, crew, ring, slot, Recovery(job, ring, crew, deque([slot]), timeout=1.0)
    del slot.index  # which keeps the ring mapped
    ring.close()


@pytest.fixture
def at_work_on_a_payload() -> Any:
    """The same where the slot carries a payload, which the worker has begun to write over."""
    ring = PayloadRing(slots=2, workers=1)
    slot = ring.next_free()
    ring.put(slot, b"as sent")
    ring.open(slot, "payload", 0, 1)
    ring.room(slot, 7)[:] = b"a reply"
    job, crew = RecordingJob(), FakeCrew()
    yield job, crew, ring, slot, Recovery(job, ring, crew, deque([slot]), timeout=1.0)
    del slot.index
    ring.close()


def work_on(ring: Ring, slot: Slot, row: int, started_ns: int = 0) -> None:
    probe.finish(ring, slot, skip=(0, 1, 2, 3))
    probe.set_in_hand(ring, 0, slot.sequence, row, started_ns)


def test_a_row_is_given_up_at_the_second_death_and_not_at_the_first(at_work: Any) -> None:
    job, crew, ring, slot, recovery = at_work
    for _ in range(2):
        work_on(ring, slot, 2)
        crew.die()
        recovery.bury()
    assert job.asked == [("forbidden", 2)]
    assert probe.failed_rows(ring, slot) == [2]
    assert crew.replaced == ["row 2", "row 2"]
    assert job.ledger.deaths == 2
    assert list(recovery.set_aside(slot)) == [2]
    assert recovery.set_aside(slot) == {}


def test_one_death_on_each_of_two_rows_gives_up_neither(at_work: Any) -> None:
    job, crew, ring, slot, recovery = at_work
    for row in (1, 3):
        work_on(ring, slot, row)
        crew.die()
        recovery.bury()
    assert job.asked == []
    assert probe.failed_rows(ring, slot) == []
    assert recovery.set_aside(slot) == {}


def test_a_payload_is_written_afresh_after_each_death_without_what_was_given_up(at_work_on_a_payload: Any) -> None:
    job, crew, ring, slot, recovery = at_work_on_a_payload
    for _ in range(2):
        probe.finish(ring, slot, skip=(0,))
        probe.set_in_hand(ring, 0, slot.sequence, 0, 0)
        crew.die()
        recovery.bury()
        assert bytes(ring.room(slot, 6)) == b"afresh"
        ring.room(slot, 6)[:] = b"spoilt"
    assert [asked for asked in job.asked if asked[0] == "order"] == [("order", []), ("order", [0])]


def test_blame_is_forgotten_when_the_slots_are_taken_back(at_work: Any) -> None:
    job, crew, ring, slot, recovery = at_work
    work_on(ring, slot, 2)
    crew.die()
    recovery.bury()
    recovery.forget()
    work_on(ring, slot, 2)
    crew.die()
    recovery.bury()
    assert job.asked == []


def test_a_worker_that_had_nothing_in_hand_is_replaced_and_nothing_is_blamed(at_work: Any) -> None:
    job, crew, _, _, recovery = at_work
    crew.die()
    recovery.bury()
    assert crew.replaced == [None]
    assert job.asked == []


def test_a_worker_that_takes_too_long_is_killed_and_its_row_is_blamed(at_work: Any) -> None:
    job, crew, ring, slot, recovery = at_work
    work_on(ring, slot, 1, started_ns=1)  # soon after the machine was started
    assert recovery.until_deadline() == 0.0
    recovery.recover()
    assert crew.replaced == ["row 1"]
    assert job.ledger.deaths == 1


def test_damage_blames_nobody_and_is_mended_three_times(at_work: Any) -> None:
    job, crew, ring, slot, recovery = at_work
    work_on(ring, slot, 1)
    for _ in range(3):
        recovery.quarantine(slot, Damaged("worker 0"))
    assert job.asked == [("order", None)] * 3
    assert recovery.set_aside(slot) == {}
    assert crew.replaced == [None] * 3
    with pytest.raises(WorkerError, match="damaged 4 times, last by worker 0"):
        recovery.quarantine(slot, Damaged("worker 0"))


def test_a_worker_that_does_not_load_in_time_is_an_error_that_names_the_option(at_work: Any) -> None:
    _, crew, _, _, recovery = at_work
    crew.starting = [(0, 77, 10.5)]
    assert 0 < recovery.until_deadline() <= 0.5
    recovery.recover()
    crew.starting = [(0, 77, 11.5)]
    assert recovery.until_deadline() == 0.0
    with pytest.raises(WorkerDied, match=r"pid 77\) took longer than timeout=1 s.* to load .*: pass a larger timeout"):
        recovery.recover()
    assert list(crew.unburied) == [0]


def test_a_worker_that_does_not_die_is_an_error_only_when_nothing_else_is_left() -> None:
    ring = Ring(slots=3, rows=1, row_bytes=16, workers=2)
    first, second = (opened(ring) for _ in range(2))
    crew = FakeCrew()
    probe.finish(ring, first, owner=1, skip=(0,))
    probe.set_in_hand(ring, 0, first.sequence, 0, 0)
    crew.alive = lambda: [1]
    crew.killed = [(0, 77, "took longer than timeout=1 s", 6.0)]
    unordered = Recovery(RecordingJob(), ring, crew, deque([first, second]), None, ordered=False)
    unordered.recover()  # the other worker may do the second one
    assert unordered.until_deadline() == 0.0
    ordered = Recovery(RecordingJob(), ring, crew, deque([first, second]), None, ordered=True)
    with pytest.raises(WorkerDied, match=r"pid 77\) took .* on row 0; it was killed 6 s ago and has not ended"):
        ordered.recover()
    alone = Recovery(RecordingJob(), ring, crew, deque([first]), None, ordered=False)
    with pytest.raises(WorkerDied, match="hangs in the kernel"):
        alone.recover()
    crew.killed = [(0, 77, "took longer than timeout=1 s", 2.0)]
    ordered.recover()
    assert 2.0 < ordered.until_deadline() <= 3.0
    del first.index, second.index
    ring.close()


def opened(ring: Ring) -> Slot:
    slot = ring.next_free()
    ring.open(slot, 0, 0, 1)
    return slot
