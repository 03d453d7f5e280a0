"""Recovery: which worker died on what, and how the work goes on without it.

    died by itself ----------+
    took too long: killed ---+--> reaped (crew) --> buried: sample blamed, cells given to the others, successor started
    damaged words: all of ---+
    them killed, unblamed

A worker that was killed and does not end keeps its cells.  The others go on; when nothing else is left it is an error.

A sample on which a second worker dies is set aside: the job sees to it that no third one begins with it, and is given
the death when the rest of the batch is there.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Collection, Iterator

from fastfeed.engine.crew import DYING_S, Crew
from fastfeed.engine.death import STOPPED, Death, undying
from fastfeed.engine.job import Job, Order
from fastfeed.engine.ring import Damaged, Ring, Slot
from fastfeed.errors import WorkerDied, WorkerError

# Deaths on one sample that set it aside.  The first may be an accident: the sample was what a worker happened to have
# in hand when something else ended it.
_DEATHS = 2
# Damages of the ring's words that are mended before giving up.
_DAMAGES = 3
# What a worker may take to load the function beyond the time that it may spend on one sample.
_LOAD_S = 10.0
# Who has waited for so long for the workers has a look at them.
_DOUBT_S = 5.0


class Recovery:
    """Deaths of one crew's workers, and what follows from them.

    Parameters
    ----------
    job, ring, crew
        What is fed, where to, and by whom.
    pending : collection of Slot
        The open slots, as the feed has them; read whenever a worker has died.
    timeout : float or None
        Seconds that a worker may spend on one sample.
    ordered : bool
        Whether the first open slot is the only one that may be delivered next.

    Attributes
    ----------
    blames : dict
        By sequence and row, the deaths of the workers that had it in hand; empty but for a while after a death.
    """

    def __init__(
        self, job: Job, ring: Ring, crew: Crew, pending: Collection[Slot], timeout: float | None, ordered: bool = True
    ) -> None:
        self._job = job
        self._ring = ring
        self._crew = crew
        self._pending = pending
        self._timeout = timeout
        self._ordered = ordered
        self.blames: dict[int, dict[int, list[Death]]] = {}
        self._damages = 0
        self._doubted_at = time.monotonic()
        self._stopped: set[int] = set()  # the workers that have been named

    def set_aside(self, slot: Slot) -> dict[int, Death]:
        """Forget what a complete slot has cost: its rows that were set aside, each with the last death on it."""
        rows = self.blames.pop(slot.sequence, {})
        return {row: deaths[-1] for row, deaths in rows.items() if len(deaths) >= _DEATHS}

    def forget(self) -> None:
        """Forget all blame: the open slots were taken back."""
        self.blames.clear()

    def until_deadline(self, at_most: float | None = None) -> float:
        """Seconds until the first worker will have spent too long on what it does, or until it is time for a look."""
        longest = _DOUBT_S if at_most is None else min(_DOUBT_S, at_most)
        if self._timeout is None and self._crew.is_whole:
            return longest
        left = [longest]
        left += [DYING_S - spent for *_, spent in self._crew.dying()]
        if self._timeout is not None:
            left.append(self._timeout - max((spent for _, spent in self._in_hand()), default=0.0))
            left += [self._timeout + _LOAD_S - spent for *_, spent in self._crew.loading()]
        return max(0.0, min(left))

    def doubt(self, early: bool) -> None:
        """Nothing came in time: whoever was woken for the work may be stopped.  The others look, and it is named.

        Not each time where the feed waits for a short time only, because its source is held off or its units are small.
        """
        now = time.monotonic()
        if early and now - self._doubted_at < _DOUBT_S:
            return
        self._doubted_at = now
        self._crew.wake()
        stopped = self._crew.stopped()
        for worker, pid in stopped.items():
            if worker not in self._stopped:
                what = f"worker {worker} (pid {pid}) {STOPPED}: `kill -CONT {pid}` lets it go on, `kill -KILL {pid}` "
                warnings.warn(f"{what}gives its work to the others", RuntimeWarning, stacklevel=2)
        self._stopped = set(stopped)

    def recover(self) -> None:
        """End the workers that take too long, bury the dead, and start the successors that are due.

        Raises
        ------
        WorkerDied
            If workers die one after another and nothing is done in between; if one does not begin, or does not end.
        """
        if self._timeout is not None:
            self._end_the_late(self._timeout)
        elif self._crew.is_whole:
            return
        if self._crew.unburied:
            self.bury()
        self._crew.restart_due()
        for worker, pid, cause, spent in self._crew.dying():
            if spent > DYING_S and self._waits_for(worker):
                raise undying(worker, pid, cause, spent, self._sample_of(worker))

    def _end_the_late(self, timeout: float) -> None:
        for worker, spent in list(self._in_hand()):
            if spent > timeout:
                self._crew.kill(worker, f"took longer than timeout={timeout:g} s")
        for worker, pid, spent in list(self._crew.loading()):
            if spent > timeout + _LOAD_S:
                cause = f"took longer than timeout={timeout:g} s, and {_LOAD_S:g} s more, to load what it was sent"
                self._crew.kill(worker, cause)
                remedy = "pass a larger timeout, or let the function import and load less"
                raise WorkerDied(f"worker {worker} (pid {pid}) {cause}: {remedy}", pid=pid, signal=None, sample=None)

    def _waits_for(self, worker: int) -> bool:
        """Whether nothing can be delivered before a worker has ended."""
        if not self._pending or not self._crew.alive():
            return True
        first = itertools.islice(self._pending, 1 if self._ordered else None)
        return all(self._ring.writes(worker, slot) for slot in first)

    def _in_hand(self) -> Iterator[tuple[int, float]]:
        """(worker, seconds it has spent on its sample) for those that have one."""
        now = time.monotonic_ns()
        for worker in self._crew.alive():
            sample = self._ring.in_hand(worker)
            if sample is not None:
                yield worker, max(0, now - sample[2]) / 1e9

    def bury(self, guilty: bool = True) -> None:
        """For workers that are dead and reaped: blame their samples, give their cells to the others, replace them."""
        for death in list(self._crew.unburied.values()):
            self._job.ledger.deaths += 1
            blamed = self._blame(death) if guilty else None
            for slot in self._pending:
                # A payload may be half a reply by now.  Rows are not read by the worker that writes them.
                if self._ring.payloads and self._ring.writes(death.worker, slot):
                    self._write(slot)
            self._ring.reopen(death.worker)
            try:
                self._crew.replace(death, blamed)
            finally:
                # The dead may have taken a token along.
                self._crew.wake()

    def _blame(self, death: Death) -> str | None:
        """Count a death against the sample in hand, and set that aside where it is one too many; its name, if any."""
        found = self._slot_of(death.worker)
        if found is None:
            return None
        slot, row = found
        deaths = self.blames.setdefault(slot.sequence, {}).setdefault(row, [])
        deaths.append(death)
        if len(deaths) >= _DEATHS:
            for forbidden in self._job.forbidden(row, slot.rows):
                self._ring.forbid(slot, forbidden)
        return self._sample_of(death.worker)

    def _slot_of(self, worker: int) -> tuple[Slot, int] | None:
        """The open slot that a worker has in hand, and the row."""
        sample = self._ring.in_hand(worker)
        if sample is None:
            return None
        sequence, row, _ = sample
        slot = next((slot for slot in self._pending if slot.sequence == sequence), None)
        return None if slot is None else (slot, row)

    def _sample_of(self, worker: int) -> str | None:
        """What messages call the sample that a worker has in hand."""
        found = self._slot_of(worker)
        if found is None:
            return None
        slot, row = found
        return self._job.name(slot.unit, memoryview(slot.indices).cast("q"), min(row, slot.rows - 1))

    def _write(self, slot: Slot) -> Order:
        """Write afresh what an open slot holds for the workers."""
        order = self._job.order(slot.unit, slot.index, self._without(slot))
        payload = order[3]
        if payload is not None:
            self._ring.put(slot, payload)
        return order

    def _without(self, slot: Slot) -> list[int] | None:
        """The rows of an open slot that were set aside; None where it has cost no worker yet."""
        rows = self.blames.get(slot.sequence)
        return None if rows is None else [row for row, deaths in rows.items() if len(deaths) >= _DEATHS]

    def quarantine(self, slot: Slot | None, damage: Damaged) -> None:
        """A word that cannot be there: nobody's word counts now, so every worker ends and the slot is opened afresh.

        Where it is None, the word was an abandoned slot's: these are free then.

        Raises
        ------
        WorkerError
            If it has happened too often.
        """
        self._damages += 1
        if self._damages > _DAMAGES:
            raise WorkerError(
                f"the ring's words were damaged {self._damages} times, last by {damage}: something in the workers "
                f"writes through a wild pointer; run `fastfeed doctor`, and try num_workers=0"
            )
        for worker in self._crew.alive():
            self._crew.kill(worker, "was ended because the ring's words were damaged")
        if not self._crew.await_dying():
            raise undying(*next(self._crew.dying()), None)
        self.bury(guilty=False)
        if slot is None:
            self._ring.free_abandoned()
        else:
            epoch, _, worker, _ = self._write(slot)
            self._ring.open_again(slot, epoch, worker)
        self._crew.wake()
