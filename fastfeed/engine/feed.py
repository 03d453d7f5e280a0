"""Feed: the consumer's loop.

    job --unit--> free slot --open--> ring --claim--> workers
                     ^                                   |
         sweep, when the last view dies              rows or a payload, READY
                     |                                   v
    the user's loop <--batch-- job <--lease-- next complete slot (the oldest, or any)

The job knows what a unit is (a batch of a schedule, a chunk of a map, an item of a stream) and what the user gets for
it; the feed knows workers, order and waiting.  Everything happens inside ``next()``: opening, waiting, reaping,
restarting, delivering.  There is no thread, so there is nothing to shut down but the crew, and an exception, an
interrupt or a ``break`` leaves consistent books behind.
"""

from __future__ import annotations

import gc
import itertools
import os
import time
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Self

from fastfeed import machine
from fastfeed.engine.crew import Crew
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Job
from fastfeed.engine.ring import Damaged, Ring, Slot
from fastfeed.engine.stats import Stats
from fastfeed.errors import FeedClosed, RingMemoryError, SampleError, WorkerError
from fastfeed.options import Engine, whole

# A sample that kills its worker this often is set aside.
_ATTEMPTS = 2
# Units that come and go faster than this are not worth waking a further worker for.
_BRISK_NS = 100_000
# A source that takes longer than this for a unit is one to wait for, like a queue: what is complete goes first.
_SLOW_SOURCE_NS = 10_000_000
# Damaged rings that are mended before giving up.
_DAMAGES = 3


class Feed:
    """Ready batches: iterate it once per epoch.

    Made by ``fastfeed.images`` and its siblings.  ``iter(feed)`` is one epoch, and the next ``iter`` the next one.  A
    loop may ``break`` and start again; a newer iteration ends an older one (`FeedClosed`).  Batches are views of
    shared memory that nothing overwrites while you keep them; if you keep many, further ones are copies.
    """

    def __init__(self, job: Job[Any], engine: Engine) -> None:
        self._job = job
        self._engine = engine
        self._workers = machine.available_cpus() if engine.num_workers is None else engine.num_workers
        self._ring: Ring | None = None
        self._crew: Crew | None = None
        self._stop: weakref.finalize[..., Any] | None = None
        self._pid = os.getpid()
        self._closed = False
        self._turn = 0
        self._pending: deque[Slot] = deque()
        # By (sequence, row): how many workers died on it, and the last death of those set aside.
        self._attempts: dict[tuple[int, int], int] = {}
        self._set_aside: dict[tuple[int, int], Death] = {}
        self._batches: deque[Any] = deque()
        self._delivered = self._deaths = self._damages = 0
        self._wait_ns = self._consumer_ns = 0
        self._brisk = False  # the last unit took next to no time
        self._totals = (0, 0, 0, 0, 0)  # of the workers, once they are gone

    # ---- epochs ----

    def __iter__(self) -> Iterator[Any]:
        return self._iterate(1)

    def repeat(self, n: int | None = None) -> Iterator[Any]:
        """Run on across epochs, without a pause between them.

        Parameters
        ----------
        n : int, optional
            How many epochs; endless where it is None.
        """
        return self._iterate(
            None if n is None else whole("n", n, 0, remedy="pass a number of epochs, or None for ever")
        )

    def __len__(self) -> int:
        return self._job.length()

    def set_epoch(self, epoch: int) -> None:
        """Let the next ``iter`` be this epoch."""
        self._job.set_epoch(whole("epoch", epoch, 0))

    def state_dict(self) -> dict[str, Any]:
        """Where the feed stands: everything delivered so far is behind it.  Plain values, a few dozen bytes."""
        return self._job.state()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next ``iter`` go on where a state was taken.

        Raises
        ------
        ConfigError
            If the state was taken from a feed with another source length, batch size, seed, order or shard.
        """
        self._job.load(state)

    def _iterate(self, epochs: int | None) -> Iterator[Any]:
        self._check_open()
        self._turn += 1
        units = self._job.units(epochs, self._workers)
        run = self._run(units) if self._workers else self._run_here(self._job.run_here(units))
        return self._timed(run, self._turn)

    def _timed(self, run: Iterator[None], turn: int) -> Iterator[Any]:
        """Hand batches over, and see who waits for whom."""
        resumed = time.perf_counter_ns()
        batches = self._batches
        try:
            for _ in run:
                handed = time.perf_counter_ns()
                self._wait_ns += handed - resumed
                self._delivered += len(batches)
                while batches:
                    # Not through a local: the generator's frame must not keep the batch alive.
                    yield batches.popleft()
                    if turn != self._turn or self._closed:
                        self._check_open()
                        raise FeedClosed("a newer iteration of this feed has begun: use one feed for each loop")
                before, resumed = resumed, time.perf_counter_ns()
                self._consumer_ns += resumed - handed
                self._brisk = resumed - before < _BRISK_NS
                if os.getpid() != self._pid:
                    self._check_open()
        except Exception as error:
            if self._closed and not isinstance(error, FeedClosed):  # closed by a signal's handler, or another thread
                raise FeedClosed("this feed was closed while its next batch was waited for") from error
            raise
        finally:
            if turn == self._turn and os.getpid() == self._pid:
                self._abandon()

    # ---- with workers ----

    def _run(self, units: Iterator[Any]) -> Iterator[None]:
        self._abandon()
        first = next(units, None)
        if first is None:
            return
        ring, crew = self._started()
        job, pending = self._job, self._pending
        upcoming: Iterator[Any] | None = itertools.chain((first,), units)
        del first
        stopped: Exception | None = None  # of the units
        asked_ns = 0  # how long the last unit took to come
        while True:
            ring.sweep()
            # Nothing is taken from the units before there is a slot for it.
            while upcoming is not None and (slot := ring.next_free()) is not None:
                if asked_ns > _SLOW_SOURCE_NS and self._first_complete(ring, crew):
                    break
                try:
                    asked = time.perf_counter_ns()
                    unit = next(upcoming, None)
                    asked_ns = time.perf_counter_ns() - asked
                    addressee = -1 if unit is None else job.open(ring, slot, unit)
                except Exception as error:  # the user's iterable or item; what came before it is delivered first
                    unit, stopped = None, error
                if unit is None:
                    upcoming = None
                    break
                pending.append(slot)
                crew.wake(addressee, self._brisk)
            if upcoming is None and not pending:
                if stopped is not None:
                    raise stopped
                return
            done = self._first_complete(ring, crew) or self._wait(ring, crew)
            failure = None
            while done is not None:
                if done is pending[0]:
                    pending.popleft()
                else:
                    pending.remove(done)
                failure = self._deliver(ring, done)
                if crew.unstarted:
                    crew.start_more()
                # What holds no slot is handed over together: small units spend less on going round.
                more = pending and failure is None and not ring.holds
                done = self._first_complete(ring, crew) if more else None
            if self._batches:
                yield
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # its traceback keeps this frame: no circle

    def _run_here(self, deliveries: Iterator[Delivery]) -> Iterator[None]:
        self._abandon()
        for delivery in deliveries:
            self._batches.extend(delivery.batches)
            delivery.batches.clear()  # the generator's frame must not keep them alive
            if self._batches:
                yield
            if delivery.failure is not None:
                try:
                    raise delivery.failure
                finally:
                    del delivery  # its traceback keeps this frame: no circle

    def _started(self) -> tuple[Ring, Crew]:
        if self._ring is None or self._crew is None:
            job = self._job
            ring = job.ring(self._engine.prefetch, self._workers)
            try:
                crew = Crew(ring, job.kind, job.spec(), job.table_fd(), self._workers)
                self._stop = weakref.finalize(self, _shut_down, crew, ring, self._pid)
                crew.start()
                self._ring, self._crew = ring, crew
            except BaseException:
                ring.close()
                raise
        return self._ring, self._crew

    def _deliver(self, ring: Ring, slot: Slot) -> Exception | None:
        """Put the batches of a complete slot where the user gets them from; what is to be raised after them."""
        set_aside = {}
        if self._attempts:
            for key in [key for key in self._attempts if key[0] == slot.sequence]:
                del self._attempts[key]
                if key in self._set_aside:
                    set_aside[key[1]] = self._set_aside.pop(key)
        delivery = self._job.deliver(ring, slot, set_aside)
        self._batches.extend(delivery.batches)
        return delivery.failure

    def _first_complete(self, ring: Ring, crew: Crew) -> Slot | None:
        for slot in self._pending:
            try:
                if ring.complete(slot):
                    return slot
            except Damaged as damage:
                self._quarantine(ring, crew, slot, damage)
                return None
            if self._engine.ordered:
                return None
        return None

    def _wait(self, ring: Ring, crew: Crew) -> Slot | None:
        """Sleep until something can have changed, and see to deaths and hung workers; a slot that is complete now."""
        if self._pending and self._engine.ordered and self._pending[0].prepared is None:
            self._job.prepare(ring, self._pending[0])
        if crew.unburied:
            self._bury_dead(ring, crew)
        # With nothing pending all slots drain after a loop that was left, and any cell that is finished may free one.
        ring.want_signal(each_cell=not self._pending)
        try:
            done = self._first_complete(ring, crew)
            if done is not None or (not self._pending and ring.sweep()):
                return done
            if not self._pending and not ring.withdraw_abandoned():
                self._free_leases(ring)
                return None
            if not crew.wait(self._until_deadline(ring, crew)):
                crew.wake()  # whoever was to do the work may be stopped: the others look, too
        finally:
            ring.want_no_signal()
        if self._engine.timeout is not None:
            for worker in self._hung(ring, crew):
                crew.kill(worker, f"took longer than timeout={self._engine.timeout:g} s")
        if crew.unburied:
            self._bury_dead(ring, crew)
        crew.restart_due()
        return self._first_complete(ring, crew)

    def _free_leases(self, ring: Ring) -> None:
        """Every slot is leased, though what is delivered is copied in time: no worker can help."""
        gc.collect()
        if not ring.sweep():
            raise RingMemoryError(
                f"all {len(ring.slots)} slots are still referred to, by an exception that was kept, perhaps: its "
                f"traceback keeps what it passed through; let go of it, or raise prefetch"
            )

    def _in_hand(self, ring: Ring, crew: Crew) -> Iterator[tuple[int, float]]:
        """(worker, seconds it has spent on its sample) for those that have one."""
        now = time.monotonic_ns()
        for worker in range(self._workers):
            sample = ring.in_hand(worker)
            if sample is not None and crew.running(worker):
                yield worker, max(0, now - sample[2]) / 1e9

    def _until_deadline(self, ring: Ring, crew: Crew) -> float | None:
        timeout = self._engine.timeout
        if timeout is None:
            return None
        return max(0.0, timeout - max((spent for _, spent in self._in_hand(ring, crew)), default=0.0))

    def _hung(self, ring: Ring, crew: Crew) -> list[int]:
        timeout = self._engine.timeout
        return [worker for worker, spent in self._in_hand(ring, crew) if timeout is not None and spent > timeout]

    def _bury_dead(self, ring: Ring, crew: Crew, guilty: bool = True) -> None:
        """For workers that are dead and reaped: blame their samples, give their cells to the others, replace them."""
        for death in list(crew.unburied.values()):
            self._deaths += 1
            blamed = self._blame(ring, death) if guilty else None
            for slot in self._pending:
                if ring.writes(death.worker, slot):
                    self._job.restore(ring, slot)
            ring.reopen(death.worker)
            try:
                crew.replace(death, blamed)
            finally:
                # The dead may have taken a token along.
                crew.wake()

    def _blame(self, ring: Ring, death: Death) -> str | None:
        """Count a death against the sample in hand; the second one sets the sample aside.  Its name, if any."""
        sample = ring.in_hand(death.worker)
        if sample is None:
            return None
        sequence, row, _ = sample
        slot = next((slot for slot in self._pending if slot.sequence == sequence), None)
        if slot is None:
            return None
        key = (sequence, row)
        self._attempts[key] = deaths = self._attempts.get(key, 0) + 1
        if self._job.blame(ring, slot, row, deaths) or deaths >= _ATTEMPTS:
            self._set_aside[key] = death
        return self._job.name(slot, row)

    def _quarantine(self, ring: Ring, crew: Crew, slot: Slot, damage: Damaged) -> None:
        """A word that cannot be there: nobody's word counts now, so every worker ends and the slot is opened afresh."""
        self._damages += 1
        if self._damages > _DAMAGES:
            raise WorkerError(
                f"the ring's words were damaged {self._damages} times, last by {damage}: something in the workers "
                f"writes through a wild pointer; run `fastfeed doctor`, and try num_workers=0"
            )
        for worker in range(self._workers):
            if crew.running(worker):
                crew.kill(worker, "was ended because the ring's words were damaged")
        self._bury_dead(ring, crew, guilty=False)
        self._job.open_again(ring, slot)
        crew.wake()

    def _abandon(self) -> None:
        """Take back what was opened and not delivered."""
        # At the interpreter's end the ring is closed before the generators are.
        if self._ring is not None and not self._ring.closed:
            self._ring.abandon()
        self._pending.clear()
        self._batches.clear()
        self._attempts.clear()
        self._set_aside.clear()

    # ---- the rest ----

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes, by integer label, where the labels came from folders."""
        return self._job.classes

    @property
    def errors(self) -> list[SampleError]:
        """Every bad sample met so far, once each, in the order of their index."""
        errors = self._job.ledger.errors
        return [errors[index] for index in sorted(errors)]

    def stats(self) -> Stats:
        """What happened so far, with a verdict on which side is slow."""
        _, size, read_ns, work_ns, idle_ns = self._totals if self._ring is None else self._ring.totals()
        ledger = self._job.ledger
        return Stats(
            batches=self._delivered,
            samples=ledger.samples,
            bytes_read=size,
            wait_s=self._wait_ns / 1e9,
            consumer_s=self._consumer_ns / 1e9,
            read_s=read_ns / 1e9,
            work_s=work_ns / 1e9,
            idle_s=idle_ns / 1e9,
            workers=self._workers,
            deaths=self._deaths,
            copies=ledger.copies,
            failed=len(ledger.errors),
        )

    def _check_open(self) -> None:
        if self._closed:
            raise FeedClosed("this feed is closed: make a new one")
        if os.getpid() != self._pid:
            raise FeedClosed(
                f"this feed belongs to process {self._pid}, which forked: make a feed in the process that iterates it"
            )

    def close(self) -> None:
        """End the workers and give the ring back.  Batches that you keep stay valid.  May be called again."""
        self._closed = True
        self._pending.clear()
        self._batches.clear()
        if self._ring is not None and self._crew is not None and self._stop is not None:
            if not self._ring.closed:
                self._totals = self._ring.totals()
            _shut_down(self._crew, self._ring, self._pid)
            self._stop.detach()  # not before: what an interrupt has left is for the next call, or for the end
        self._ring = self._crew = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _shut_down(crew: Crew, ring: Ring, pid: int) -> None:
    if os.getpid() == pid:  # a forked child must not end its parent's workers
        try:
            crew.stop()
        finally:
            ring.close()
