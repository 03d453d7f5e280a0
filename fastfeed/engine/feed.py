"""Feed: the consumer's loop.

    job --unit--> free slot --open--> ring --claim--> workers
                     ^                                   |
         sweep, when the last view dies              rows or a payload, READY
                     |                                   v
    the user's loop <--batch-- job <--lease-- next complete slot (the oldest, or any)

The job knows what a unit is (a batch of a schedule, a chunk of a map, an item of a stream) and what the user gets for
it; the feed knows order and waiting; the recovery knows what follows from a worker's death; the turns know which loop
may go on.  Everything happens inside ``next()``: opening, waiting, reaping, restarting, delivering.  There is no
thread, so there is nothing to shut down but the crew, and an exception, an interrupt or a ``break`` leaves consistent
books behind.
"""

from __future__ import annotations

import functools
import gc
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from threading import get_ident
from types import GeneratorType
from typing import Any, Self, cast

from fastfeed._native import MAX_SLOTS, WAIT_BATCH, WAIT_CELL, WAIT_SEVERAL, Clock
from fastfeed.engine.crew import Crew
from fastfeed.engine.faces import Faces
from fastfeed.engine.fork import tell
from fastfeed.engine.job import Job
from fastfeed.engine.launch import limits_named
from fastfeed.engine.payload import ring_of
from fastfeed.engine.recovery import Recovery
from fastfeed.engine.ring import Damaged, Ring, Slot, Totals
from fastfeed.engine.stats import Stats, added, stats_of
from fastfeed.engine.turn import Turn, Turns
from fastfeed.engine.unit import Units
from fastfeed.errors import ConfigError, FeedClosed, RingMemoryError, SampleError
from fastfeed.interrupt import interrupts
from fastfeed.options import EngineOptions, whole
from fastfeed.rank import rank_here

_NOTHING: dict[int, Any] = {}
# Units that come and go faster than this are not worth waking a further worker for.
_BRISK_NS = 100_000
# Nor, faster than this, the consumer for each.  It looks by itself after as long again: the next may take long.
_SMALL_NS = 1_000_000
# No more batches than this are handed over together.
TOGETHER = 4096
# How often somebody looks for deaths and for workers that take too long, where the loop never waits.
_LOOK_NS = 50_000_000
# A feed that is dropped or outlives the program waits this long for a thread that is inside next().
_PATIENCE_S = 2.0


@dataclass(slots=True)
class _Running:
    """What is there while a feed has workers."""

    ring: Ring
    crew: Crew
    recovery: Recovery
    held: int  # batches that the loop may hold
    looked_ns: int = 0  # when somebody last looked for deaths


class Feed(Faces):
    """Ready batches: iterate it once per epoch.

    Made by ``fastfeed.images`` and its siblings.  ``iter(feed)`` is one epoch, and the next ``iter`` the next one.  An
    iteration begins with its first ``next``: an iterator that is never stepped changes nothing.  A loop may ``break``
    and start again; a newer iteration ends an older one (`FeedClosed`).  Batches are views of shared memory that
    nothing overwrites while you keep them; if you keep many, further ones are copies.  `job` is what is fed.
    """

    def __init__(self, job: Job, engine: EngineOptions, plan: Callable[[], Any] | None = None) -> None:
        self.job = job
        self._plan = plan
        self._engine = engine
        self._workers = engine.workers()
        self._held = 1  # batches that the loop holds when it asks for the next
        self._running: _Running | None = None
        self._stop: weakref.finalize[..., Any] | None = None
        self._pid = os.getpid()
        self._rank = rank_here(job.rank)
        self._turns = Turns()
        self._pending: deque[Slot] = deque()
        # How often an iteration has begun, or something else has said where the next one begins; for adapters.
        self.moves = 0
        self._clock = Clock()
        self._brisk = self._small = False  # the last unit took next to no time; little time
        self._totals: Totals = lambda: (0, 0, 0, 0, 0)
        tell(self)

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
        return self.job.length()

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch, also that of an iterator which has not been stepped yet."""
        self.job.set_epoch(whole("epoch", epoch, 0))
        self.moves += 1

    def reserve(self, batches: int) -> None:
        """Let the loop hold this many batches at once; from the next iteration on the ring has slots for them.

        A loop that looks ahead holds several when it asks for the next.  The ring has a slot more for each beyond the
        first, whatever `prefetch` says, so that none is copied.  To ask for fewer than before changes nothing.

        Parameters
        ----------
        batches : int
            At least 1.
        """
        self._held = max(self._held, whole("batches", batches, 1, MAX_SLOTS))

    def state_dict(self) -> dict[str, Any]:
        """Where the feed stands: everything that the loop was given is behind it.

        Returns
        -------
        dict
            Plain values that JSON keeps.  One state restores all ranks, and as many ranks and workers as you like, with
            another batch size; but where several ranks deliver with ``ordered=False``, each has a state of its own.
        """
        return self.job.state(self._engine.ordered or not self._workers, self._turns.waiting())

    def load_state_dict(self, state: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Let the next iteration go on where a state was taken.

        Parameters
        ----------
        state : dict, or list of dict
            A state, of any rank; or those of all ranks, where they were taken with ``ordered=False``.

        Raises
        ------
        ConfigError
            If it is no state, or that of a feed with another source, order or seed.
        """
        self.job.load(state)
        self.moves += 1

    def _iterate(self, epochs: int | None) -> Iterator[Any]:
        turn = self._turns.make()
        iterator = self._timed(turn, epochs)
        turn.belongs_to(cast("GeneratorType[Any, None, None]", iterator))
        return iterator

    def _timed(self, turn: Turn, epochs: int | None) -> Generator[Any, None, None]:
        """Hand batches over, and see who waits for whom."""
        clock, batches, handed_ns = self._clock, turn.batches, 0
        asked_ns = clock.ask(handed_ns)
        try:
            turn.thread = get_ident()
            self._turns.begin(turn)
            self.moves += 1
            units = Units(self.job.units(epochs, self._workers), clock, self._turns, turn)
            run = self._run(turn, units) if self._workers else self._run_here(turn, units)
            for _ in run:
                turn.thread = 0
                handed_ns = clock.hand(asked_ns, len(batches), handed_ns == 0)
                if turn.over:
                    raise self._turns.ended()
                while batches:
                    # Not through a local: the generator's frame must not keep the batch alive.
                    yield batches.popleft()
                    if turn.over:
                        raise self._turns.ended()
                turn.thread = get_ident()
                before_ns, asked_ns = asked_ns, clock.ask(handed_ns)
                self._brisk, self._small = asked_ns - before_ns < _BRISK_NS, asked_ns - before_ns < _SMALL_NS
                if turn.over:
                    raise self._turns.ended()
            self.job.ended()
        except Exception as error:
            if turn.over and not isinstance(error, FeedClosed):  # what was half done when the turn was ended
                raise self._turns.ended() from error
            raise
        finally:
            self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        turn.thread = get_ident()  # another one, perhaps: whichever drops the iterator
        try:
            turn.drop()
            if not turn.over:
                self._abandon()
        finally:
            turn.leave()
            if turn.closes:
                self.close()

    # ---- without workers ----

    def _run_here(self, turn: Turn, units: Units) -> Iterator[None]:
        self._abandon()
        for batches, failure in self.job.run_here(iter(units)):
            turn.batches.extend(batches)
            batches.clear()  # the generator's frame must not keep them alive
            turn.failure = failure
            del failure
            if turn.batches:
                yield
            turn.raise_failure()

    # ---- with workers ----

    def _run(self, turn: Turn, units: Units) -> Iterator[None]:
        """Whenever something is in the turn's batches, yield."""
        self._abandon()
        if not units.any():
            return  # no worker is started for nothing
        running = self._running
        if running is not None and (running.held < self._held or self.job.is_outdated()):
            self._end_workers()
        running = self._started()
        ring, half = running.ring, running.ring.usual // 2
        clock, pending, ordered = self._clock, self._pending, self._engine.ordered
        while not turn.over:
            if clock.asked_ns - running.looked_ns > _LOOK_NS:
                self._look(running)
            self._sweep(running)
            hold_off_s = self._open(running, units)
            if units.over and not pending:
                turn.failure, units.failure = units.failure, None
                turn.raise_failure()
                return
            done = self._first_complete(running) or self._wait(turn, running, hold_off_s)
            while done is not None:
                turn.failure = self._deliver(turn, running, done)
                # What holds no slot is handed over together: small units spend less on going round.  Not so many of
                # them, nor to a slow loop, that the workers would wait for slots to be opened.
                more = self._brisk and len(pending) > half and turn.failure is None and not ring.holds
                done = self._first_complete(running) if more and len(turn.batches) < TOGETHER else None
            if turn.batches:
                yield
                if pending:
                    clock.look(ring.ready(pending[0].number if ordered else -1))
            turn.raise_failure()
        raise self._turns.ended()

    def _started(self) -> _Running:
        if self._running is None:
            self._running = self._start()
        return self._running

    def _start(self) -> _Running:
        job, engine, workers = self.job, self._engine, self._workers
        crew = None
        with limits_named(workers):
            ring = ring_of(job.shape(workers), engine.prefetch, self._held, workers, job.remedies.less_memory)
            try:
                crew = Crew(ring, job.kind, job.spec(), job.table_fd(), workers)
                shut_down = functools.partial(_shut_down, crew, ring, self._pid)
                self._stop = weakref.finalize(self, self._turns.close, shut_down, _PATIENCE_S)
                recovery = Recovery(job, ring, crew, self._pending, engine.timeout, engine.ordered)
                crew.start()
                self._turns.wake = crew.interrupt
            except BaseException:
                if crew is not None:
                    crew.stop(grace=0)
                ring.close()
                raise
        before, totals = self._totals(), ring.totals  # not by the ring, which may be closed first in a forked child
        self._totals = lambda: added(before, totals())
        return _Running(ring, crew, recovery, self._held)

    def _open(self, running: _Running, units: Units) -> float | None:
        """Fill the free slots, one unit at a time; seconds before the source is asked, where it is held off."""
        ring, crew, job = running.ring, running.crew, self.job
        most = len(ring.slots) if self._brisk and not ring.holds else ring.usual
        while not units.over and len(self._pending) < most and (slot := ring.next_free()) is not None:
            if self._pending and (units.are_slow or not job.at_hand()):
                hold_off_s = units.hold_off_s(job.at_hand(), self._first_complete(running) is not None)
                if hold_off_s > 0:
                    return hold_off_s
            try:
                unit = units.pull()
                order = None if unit is None else job.order(unit, slot.index, None)
                if order is not None:
                    epoch, rows, worker, payload = order
                    if payload is not None:
                        ring.put(slot, payload)
            except Exception as error:  # the user's iterable or item; what came before it is delivered first
                if interrupts(error):
                    raise
                order, units.failure = None, error
            if order is None:
                units.over = True
                break
            ring.open(slot, unit, epoch, rows, worker)
            self._pending.append(slot)
            if crew.unstarted and ring.payloads:
                crew.start_for(worker, len(self._pending))
            crew.wake(worker, self._brisk)
        return None

    def _sweep(self, running: _Running) -> bool:
        """Bring slots back; whether any is free."""
        try:
            return running.ring.sweep()
        except Damaged as damage:
            running.recovery.quarantine(None, damage)
            return running.ring.sweep()

    def _look(self, running: _Running) -> None:
        """See to dead and hung workers without waiting: a slow loop finds something complete each time."""
        running.looked_ns = self._clock.asked_ns
        running.crew.wait(0.0)
        running.recovery.recover()

    def _first_complete(self, running: _Running) -> Slot | None:
        """The slot that may be delivered next, if it is complete: the oldest, or any where the order is free."""
        ring = running.ring
        for slot in self._pending:
            try:
                if ring.complete(slot):
                    return slot
            except Damaged as damage:
                running.recovery.quarantine(slot, damage)
                return None
            if self._engine.ordered:
                return None
        return None

    def _wait(self, turn: Turn, running: _Running, hold_off_s: float | None) -> Slot | None:
        """Sleep until something can have changed, and see to dead and hung workers; a slot that is complete now."""
        ring, crew, recovery = running.ring, running.crew, running.recovery
        if self._pending and self._engine.ordered and not ring.payloads:
            self._prepare(ring, self._pending[0])
        if crew.unburied:
            recovery.bury()
        several = self._small and ring.payloads and bool(self._pending)
        # With nothing pending all slots drain after a loop that was left, and any cell that is finished may free one.
        after = WAIT_SEVERAL + len(self._pending) // 2 if several else WAIT_BATCH if self._pending else WAIT_CELL
        ring.want_signal(after)
        try:
            # Looked at once more: what came before the wish for a signal gave none.
            done = self._first_complete(running)
            if done is not None or (not self._pending and self._sweep(running)):
                return done
            if not self._pending and not ring.withdraw_abandoned():
                self._free_leases(ring)
                return None
            at_most_s = hold_off_s if not several else min(_SMALL_NS / 1e9, hold_off_s or 1.0)
            if not crew.wait(recovery.until_deadline(at_most_s)):
                self._small = False
                recovery.doubt(early=at_most_s is not None)
            running.looked_ns = time.monotonic_ns()
        finally:
            ring.want_no_signal()
        if turn.over:
            return None
        recovery.recover()
        return self._first_complete(running)

    def _free_leases(self, ring: Ring) -> None:
        """Every slot is leased, though what is delivered is copied in time: no worker can help."""
        gc.collect()
        if not ring.sweep():
            raise RingMemoryError(
                f"all {len(ring.slots)} slots are still referred to, by an exception that was kept, perhaps: its "
                f"traceback keeps what it passed through; let go of it, or raise prefetch"
            )

    def _prepare(self, ring: Ring, slot: Slot) -> None:
        """Have the job make ready what it can: before the sleep, while the caches are warm, it takes a tenth of it."""
        if slot.prepared is None:
            slot.prepared = self.job.prepare(ring.lease(slot), slot.indices)

    def _deliver(self, turn: Turn, running: _Running, slot: Slot) -> Exception | None:
        """Put the batches of a complete slot where the user gets them from; what is to be raised after them."""
        ring, recovery = running.ring, running.recovery
        if slot is self._pending[0]:
            self._pending.popleft()
        else:
            self._pending.remove(slot)
        if not ring.payloads:
            self._prepare(ring, slot)
        unit = slot.unit
        set_aside = recovery.set_aside(slot) if recovery.blames else _NOTHING
        batches, failure = self.job.deliver(unit, ring.collect(slot), set_aside)
        turn.batches.extend(batches)
        if running.crew.unstarted:
            running.crew.start_more()
        return failure

    def _abandon(self) -> None:
        """Take back what was opened and not delivered."""
        # At the interpreter's end the ring is closed before the generators are.
        if self._running is not None and not self._running.ring.closed:
            self._running.ring.abandon()
            self._running.recovery.forget()
        self._pending.clear()

    # ---- frameworks ----

    def wake(self) -> None:
        """Have a loop that waits for the workers look for further units, from another thread: see `Job.at_hand`."""
        self._turns.wake()

    def shared_memory(self) -> memoryview | None:
        """The memory in which batches lie, for an adapter; None where there is none: see `Ring.memory`."""
        return None if self._running is None else self._running.ring.memory()

    def plan(self) -> Any:
        """Return the batches as a pure function of epoch and number, `fastfeed.schedule.plan.Plan`."""
        if self._plan is None:
            raise ConfigError("plan() is for images() and arrays() without a sampler=: their batches go by number")
        return self._plan()

    # ---- the rest ----

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes, by integer label, where the labels came from folders."""
        return self.job.classes

    @property
    def errors(self) -> list[SampleError]:
        """Every bad sample met so far, once each, in the order of their index."""
        errors = self.job.ledger.errors
        return [errors[index] for index in sorted(errors)]

    def metrics(self) -> dict[str, float]:
        """What happened so far as plain numbers by stable names, ``fastfeed_wait_p99_seconds`` and the like.

        A name says its unit, and ends in ``_total`` where the number only grows; docs/who-waits.md is about them.
        """
        return self.stats().metrics()

    def stats(self) -> Stats:
        """What happened so far, with a verdict on which side is slow; ``since(earlier)`` says what happened lately."""
        return stats_of(self.job, self._clock, self._totals(), self._workers, self._rank)

    def close(self) -> None:
        """End the workers and give the ring back.  Batches that you keep stay valid.  May be called again.

        Any thread may call it: a loop that waits in another one gets `FeedClosed`, and this returns when that has left
        ``next()``, which takes as long as the item in hand with num_workers=0.
        """
        self._turns.close(self._end)
        self.moves += 1

    def _end(self) -> None:
        """End the workers; nobody is inside ``next()``."""
        self._pending.clear()
        self._end_workers()

    def _end_workers(self) -> None:
        running, stop = self._running, self._stop
        if running is not None and stop is not None:
            self._keep_totals()
            _shut_down(running.crew, running.ring, self._pid)
            stop.detach()  # not before: what an interrupt has left is for the next call, or for the end
        self._running = None

    def _keep_totals(self) -> None:
        totals = self._totals()
        self._totals = lambda: totals

    def forked(self) -> None:
        """In a forked child: the feed is the parent's."""
        self._turns.forked(self._pid)
        self._keep_totals()
        self._running = None
        self._pending.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _shut_down(crew: Crew, ring: Ring, pid: int) -> None:
    if os.getpid() == pid:  # a forked child must not end its parent's workers
        crew.stop()
        ring.close()  # not where an interrupt came: the crew that is left needs it
