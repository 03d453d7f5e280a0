"""Feed: the consumer's loop.

    job --unit--> free slot --open--> ring --claim--> workers
                     ^                                   |
         sweep, when the last view dies              rows or a payload, READY
                     |                                   v
    the user's loop <--batch-- job <--lease-- next complete slot (the oldest, or any)

The job knows what a unit is (a batch of a schedule, a chunk of a map, an item of a stream) and what the user gets for
it; the feed knows order and waiting; the recovery knows what follows from a worker's death.  Everything happens inside
``next()``: opening, waiting, reaping, restarting, delivering.  There is no thread, so there is nothing to shut down but
the crew, and an exception, an interrupt or a ``break`` leaves consistent books behind.
"""

from __future__ import annotations

import gc
import itertools
import os
import time
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from fastfeed.engine.crew import Crew
from fastfeed.engine.job import Job
from fastfeed.engine.recovery import Recovery
from fastfeed.engine.ring import Damaged, Ring, Slot, ring_of
from fastfeed.engine.stats import Stats
from fastfeed.errors import FeedClosed, RingMemoryError, SampleError
from fastfeed.options import EngineOptions, whole

_NOTHING: dict[int, Any] = {}
# Units that come and go faster than this are not worth waking a further worker for.
_BRISK_NS = 100_000
# A source that takes longer than this for a unit is one to wait for, like a queue: what is complete goes first.
_SLOW_SOURCE_NS = 10_000_000


@dataclass(slots=True)
class _Running:
    """What is there while a feed has workers."""

    ring: Ring
    crew: Crew
    recovery: Recovery
    before: tuple[int, ...]  # totals of the workers that were there before


@dataclass(slots=True)
class _Clock:
    """Where the consumer's time went, in nanoseconds: waiting (of that, pulling units), and the user's loop."""

    wait_ns: int = 0
    pull_ns: int = 0
    consumer_ns: int = 0


class _Units:
    """The units of one iteration, pulled one by one.

    Attributes
    ----------
    over : bool
        Nothing more is to be pulled.
    failure : Exception or None
        Why there is nothing more, where that is not simply the end.
    took_ns : int
        How long the last unit took to come.
    """

    def __init__(self, units: Iterator[Any], clock: _Clock) -> None:
        self._units = units
        self._clock = clock
        self.over = False
        self.failure: Exception | None = None
        self.took_ns = 0

    def any(self) -> bool:
        """Whether there is a first unit; it is pulled, and comes next."""
        first = self.pull()
        if first is not None:
            self._units = itertools.chain((first,), self._units)
        return first is not None

    def pull(self) -> Any:
        """The next unit, or None."""
        asked = time.perf_counter_ns()
        unit = next(self._units, None)
        self.took_ns = took_ns = time.perf_counter_ns() - asked
        self._clock.pull_ns += took_ns
        return unit

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pull, None)

    def raise_failure(self) -> None:
        """Raise the failure, if there is one; once."""
        failure, self.failure = self.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback keeps this frame: no circle


class Feed:
    """Ready batches: iterate it once per epoch.

    Made by ``fastfeed.images`` and its siblings.  ``iter(feed)`` is one epoch, and the next ``iter`` the next one.  A
    loop may ``break`` and start again; a newer iteration ends an older one (`FeedClosed`).  Batches are views of
    shared memory that nothing overwrites while you keep them; if you keep many, further ones are copies.
    """

    def __init__(self, job: Job, engine: EngineOptions) -> None:
        self._job = job
        self._engine = engine
        self._workers = engine.workers()
        self._running: _Running | None = None
        self._stop: weakref.finalize[..., Any] | None = None
        self._pid = os.getpid()
        self._closed = False
        self._turn = 0
        self._pending: deque[Slot] = deque()
        self._batches: deque[Any] = deque()
        self._delivered = 0
        self._clock = _Clock()
        self._brisk = False  # the last unit took next to no time
        self._totals: tuple[int, ...] = (0, 0, 0, 0, 0)  # of the workers, once they are gone

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
        units = _Units(self._job.units(epochs, self._workers), self._clock)
        return self._timed(self._run(units) if self._workers else self._run_here(units), self._turn)

    def _timed(self, run: Iterator[None], turn: int) -> Iterator[Any]:
        """Hand batches over, and see who waits for whom."""
        self._check_turn(turn)
        resumed = time.perf_counter_ns()
        batches = self._batches
        try:
            for _ in run:
                handed = time.perf_counter_ns()
                self._clock.wait_ns += handed - resumed
                self._delivered += len(batches)
                while batches:
                    # Not through a local: the generator's frame must not keep the batch alive.
                    yield batches.popleft()
                    if turn != self._turn or self._closed:
                        self._check_turn(turn)
                before, resumed = resumed, time.perf_counter_ns()
                self._clock.consumer_ns += resumed - handed
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

    # ---- without workers ----

    def _run_here(self, units: _Units) -> Iterator[None]:
        self._abandon()
        for batches, failure in self._job.run_here(iter(units)):
            self._batches.extend(batches)
            batches.clear()  # the generator's frame must not keep them alive
            if self._batches:
                yield
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # its traceback keeps this frame: no circle

    # ---- with workers ----

    def _run(self, units: _Units) -> Iterator[None]:
        """Whenever something is in `self._batches`, yield."""
        self._abandon()
        if not units.any():
            return  # no worker is started for nothing
        if self._running is not None and self._job.is_outdated():
            self._end_workers()
        running = self._started()
        ring = running.ring
        while True:
            ring.sweep()
            self._open(running, units)
            if units.over and not self._pending:
                units.raise_failure()
                return
            done = self._first_complete(running) or self._wait(running)
            failure = None
            while done is not None:
                failure = self._deliver(running, done)
                # What holds no slot is handed over together: small units spend less on going round.
                more = self._pending and failure is None and not ring.holds
                done = self._first_complete(running) if more else None
            if self._batches:
                yield
            if failure is not None:
                try:
                    raise failure
                finally:
                    del failure  # its traceback keeps this frame: no circle

    def _started(self) -> _Running:
        if self._running is None:
            job = self._job
            ring = ring_of(job.shape(self._workers), self._engine.prefetch, self._workers, job.remedies.less_memory)
            try:
                crew = Crew(ring, job.kind, job.spec(), job.table_fd(), self._workers)
                self._stop = weakref.finalize(self, _shut_down, crew, ring, self._pid)
                recovery = Recovery(job, ring, crew, self._pending, self._engine.timeout)
                running = _Running(ring, crew, recovery, self._totals)
                crew.start()
                self._running = running
            except BaseException:
                ring.close()
                raise
        return self._running

    def _open(self, running: _Running, units: _Units) -> None:
        """Fill the free slots; nothing is taken from the units before there is a slot for it."""
        ring, crew, job = running.ring, running.crew, self._job
        while not units.over and (slot := ring.next_free()) is not None:
            if units.took_ns > _SLOW_SOURCE_NS and self._first_complete(running):
                return
            try:
                unit = units.pull()
                order = None if unit is None else job.order(unit, slot.index, None)
                if order is not None:
                    epoch, rows, worker, payload = order
                    if payload is not None:
                        ring.put(slot, payload)
            except Exception as error:  # the user's iterable or item; what came before it is delivered first
                order, units.failure = None, error
            if order is None:
                units.over = True
                return
            ring.open(slot, unit, epoch, rows, worker)
            self._pending.append(slot)
            crew.wake(worker, self._brisk)

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

    def _wait(self, running: _Running) -> Slot | None:
        """Sleep until something can have changed, and see to dead and hung workers; a slot that is complete now."""
        ring, crew, recovery = running.ring, running.crew, running.recovery
        if self._pending and self._engine.ordered and not ring.payloads:
            self._prepare(ring, self._pending[0])
        if crew.unburied:
            recovery.bury()
        # With nothing pending all slots drain after a loop that was left, and any cell that is finished may free one.
        ring.want_signal(each_cell=not self._pending)
        try:
            # Looked at once more: what came before the wish for a signal gave none.
            done = self._first_complete(running)
            if done is not None or (not self._pending and ring.sweep()):
                return done
            if not self._pending and not ring.withdraw_abandoned():
                self._free_leases(ring)
                return None
            if not crew.wait(recovery.until_deadline()):
                crew.wake()  # whoever was to do the work may be stopped: the others look, too
        finally:
            ring.want_no_signal()
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
            slot.prepared = self._job.prepare(ring.lease(slot), ring.indices(slot))

    def _deliver(self, running: _Running, slot: Slot) -> Exception | None:
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
        batches, failure = self._job.deliver(unit, ring.collect(slot), set_aside)
        self._batches.extend(batches)
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
        self._batches.clear()

    # ---- frameworks ----

    def to_torch(self, device: object = None, pin_memory: bool = False) -> Any:
        """Return this feed as one of PyTorch tensors, a `fastfeed.torch.TorchFeed`.

        Parameters
        ----------
        device : str, int, torch.device or None
            Where the tensors are to be.  None: in the feed's shared memory, without a copy.  A CUDA device: copied
            there one batch ahead, straight from shared memory.
        pin_memory : bool
            Without a device: page-lock the shared memory, for copies of your own that do not wait.

        Raises
        ------
        ConfigError
            If there is no such device.
        ImportError
            If PyTorch is not installed.
        """
        import fastfeed

        return fastfeed.torch.TorchFeed(self, device, pin_memory)

    def shared_memory(self) -> memoryview | None:
        """The memory in which batches lie, for an adapter; None where there is none: see `Ring.memory`."""
        return None if self._running is None else self._running.ring.memory()

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
        _, size, read_ns, work_ns, idle_ns = self._all_totals()
        ledger = self._job.ledger
        return Stats(
            batches=self._delivered,
            samples=ledger.samples,
            bytes_read=size,
            wait_s=self._clock.wait_ns / 1e9,
            pull_s=self._clock.pull_ns / 1e9,
            consumer_s=self._clock.consumer_ns / 1e9,
            read_s=read_ns / 1e9,
            work_s=work_ns / 1e9,
            idle_s=idle_ns / 1e9,
            workers=self._workers,
            deaths=ledger.deaths,
            copies=ledger.copies,
            failed=len(ledger.errors),
            remedies=self._job.remedies,
        )

    def _check_turn(self, turn: int) -> None:
        self._check_open()
        if turn != self._turn:
            raise FeedClosed("a newer iteration of this feed has begun: use one feed for each loop")

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
        self._end_workers()

    def _end_workers(self) -> None:
        if self._running is not None and self._stop is not None:
            ring = self._running.ring
            if not ring.closed:
                self._totals = self._all_totals()
            _shut_down(self._running.crew, ring, self._pid)
            self._stop.detach()  # not before: what an interrupt has left is for the next call, or for the end
        self._running = None

    def _all_totals(self) -> tuple[int, ...]:
        """The totals of the workers that there are, and of those before them."""
        if self._running is None:
            return self._totals
        return tuple(map(sum, zip(self._running.before, self._running.ring.totals(), strict=True)))

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
