"""Worker processes: start, watch, restart, stop.

Note: how workers end
---------------------
1. ``stop`` sets the ring's stop flag and posts a token for every worker.  A worker looks at the flag before each claim
   and after each token, so an idle one leaves at once and a busy one after its cell.
2. Whoever is still there when the grace is over is killed.  Nothing is lost: the ring is the consumer's.  A worker that
   has left its loop and closes a generator gets longer, for the user's ``finally`` clauses; a warning says if that was
   not enough.
3. Every worker is reaped through its pidfd before its descriptors are closed; no zombie and no descriptor stays.  One
   that hangs in the kernel outlives its SIGKILL: it is waited for together with everything else, and given up at last.
4. When the consumer itself dies, even by SIGKILL, a thread in each worker sees the consumer's pidfd become readable and
   ends the process.  When the consumer becomes another program by exec, the thread sees a pipe close.  What is left is
   an entry in the table of processes, until that program waits for it or ends: it is the parent now, and no other can
   be had.
5. A worker that dies by itself makes its pidfd readable; ``wait`` polls it together with readiness, so a death is a
   wake-up.  It is reaped first; only then are its cells opened again (the recovery does that) and a successor started.
6. Interrupts are the consumer's business: workers are started with SIGINT blocked and do nothing about it.
7. A worker may have children of its own.  It leads a process group, which is ended with it, whatever ended it.  It
   leads a session as well: without a terminal, nothing that it prints or asks of one can stop it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import itertools
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fastfeed import _native
from fastfeed.engine.boot import (
    CONSUMER_FD,
    LIFE_FD,
    READY_FD,
    RING_FD,
    SPEC_FD,
    TABLE_FD,
    TIMER_FD,
    WORK_FD,
    WorkerKind,
)
from fastfeed.engine.death import HANGS, Death, died
from fastfeed.engine.fork import tell
from fastfeed.engine.launch import command, environment, limits_named, refuse_other_programs
from fastfeed.engine.memory import refused, sealed, write_all
from fastfeed.engine.ring import Ring
from fastfeed.machine import available_cpus

_GRACE_S = 2.0
_CLOSING_S = 10.0
# What a killed worker has to end in: nothing but a call that hangs in the kernel takes that long.
DYING_S = 5.0
# Descriptors are moved above those that the workers use, so that no dup2 in the child overwrites a source.
_ABOVE = 16
# What a worker may sleep beside an open cell, once the loop takes long after it was brisk; others are awake meanwhile,
# and it is paid once.  The timer wakes every sleeper, which takes 3 us of a processor each (measured by two processes
# that wake each other): of 64 idle workers 2% of one, and 20% if this were 1 ms.
_OWED_NS = 10_000_000
_START_DEATHS = 3
_IDLE_DEATHS = 12
_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 0.05, 2.0
# epoll counts milliseconds in 31 bits; whoever waits longer is woken for nothing.
_LONGEST_WAIT_S = 1e6


class Crew:
    """The workers of one feed; `start` them, and `stop` them whatever came of that.

    Parameters
    ----------
    ring : Ring
        What they fill.
    kind : WorkerKind
        What they are.
    spec : bytes
        Description of the work, the same for all.
    table_fd : int or None
        Descriptor that they get besides; stays the caller's.
    workers : int
        How many.
    """

    def __init__(
        self, ring: Ring, kind: WorkerKind, spec: bytes | bytearray, table_fd: int | None, workers: int
    ) -> None:
        refuse_other_programs(workers)
        self._ring = ring
        self._workers, self._spec, self._table_fd = workers, spec, table_fd
        self._command, self._environment = command(kind), environment()
        # Work for anybody is announced through one eventfd; where slots may be for one worker, each has its own.
        self._own_wake = kind.addressed
        self._wake_fds: list[int] = []
        self._owing = False
        # More workers than processors would only be in each other's way while they start: they wait for the first
        # batch.  Where slots may be for one worker, each waits for a slot that is for it, or that no other can take.
        self._at_once = 0 if kind.addressed else available_cpus()
        self.unstarted: list[int] = []
        self._fds: dict[int, int] = {}
        self._pids: dict[int, int] = {}
        self._pidfds: dict[int, int] = {}
        self._started_at: dict[int, float] = {}
        self._dying: dict[int, tuple[str, float]] = {}  # killed and not reaped yet: why, and when
        # All descriptors but pidfds; those just made are where a worker would overwrite them, and are moved at once.
        self._made: list[int] = []
        self._moved: list[int] = []
        self._restart_at: dict[int, float] = {}
        # Reaped, and their cells not yet given to others: kept until that is done, whatever interrupts the consumer.
        self.unburied: dict[int, Death] = {}
        self._start_deaths = 0
        self._idle_deaths = 0
        self._samples_at_death = 0
        # Readiness is edge-triggered, which saves reading the eventfd after each wake-up; deaths stay level-triggered.
        self._poll = select.epoll()
        tell(self)

    def start(self) -> None:
        """Start the workers; on failure, none is left."""
        try:
            self._adopt(RING_FD, os.dup, self._ring.fd)
            for _ in range(self._workers if self._own_wake else 1):
                self._make(os.eventfd, 0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
                self._wake_fds.append(self._moved[-1])
            self._adopt(READY_FD, os.eventfd, 0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._adopt(CONSUMER_FD, os.pidfd_open, os.getpid())
            # Its other end closes when this process ends or becomes another program.
            self._adopt(LIFE_FD, os.pipe)
            self._adopt(TIMER_FD, _native.new_timer)
            self._adopt(SPEC_FD, self._sealed_spec)
            self._spec = b""
            self._adopt(TABLE_FD, os.dup, self._ring.fd if self._table_fd is None else self._table_fd)
            self._poll.register(self._fds[READY_FD], select.EPOLLIN | select.EPOLLET)
            for worker in range(self._workers):
                if worker < self._at_once:
                    self._start(worker)
                else:
                    self.unstarted.append(worker)
        except BaseException:
            self.stop(grace=0)
            raise

    def _sealed_spec(self) -> int:
        try:
            return sealed("spec", lambda fd: write_all(fd, self._spec))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            what = "memory for the description of the work"
            raise refused(what, error, "let the function and its arguments hold less") from error

    def _adopt(self, target: int, make: Callable[..., int | tuple[int, int]], *arguments: int) -> None:
        """Make a descriptor that workers get as `target`, or a pair of which they get the first."""
        self._fds[target] = self._moved[self._make(make, *arguments)]

    def _make(self, make: Callable[..., int | tuple[int, int]], *arguments: int) -> int:
        """Make one or two descriptors out of the way of those that workers use: at this place of `_moved`."""
        first = len(self._moved)
        # Nothing is assigned: an interrupt that came meanwhile is raised before that, and the descriptor would be lost.
        made: Any = itertools.starmap(make, [arguments])
        self._made.extend(itertools.chain.from_iterable(made) if make is os.pipe else made)
        self._moved.extend(map(_above, self._made))
        _close_all(self._made)
        return first

    def start_more(self) -> None:
        """Start some of the workers that were not needed for the first batch."""
        for worker in self.unstarted[: self._at_once]:
            self._start(worker)
            self.unstarted.remove(worker)

    def start_for(self, worker: int, units: int) -> None:
        """Start the worker that a slot is for, or (-1) one more where there are fewer than units to be done."""
        if worker == -1 and units > len(self._pids):
            worker = self.unstarted[0]
        if worker in self.unstarted:
            self._start(worker)
            self.unstarted.remove(worker)

    def _start(self, worker: int) -> None:
        if worker in self._pids:
            return  # an interrupt came before this was noted
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        ]
        actions.append((os.POSIX_SPAWN_DUP2, self._wake_fds[worker % len(self._wake_fds)], WORK_FD))
        actions += [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in self._fds.items()]
        spawn = functools.partial(
            os.posix_spawn,
            sys.executable,
            [*self._command, str(worker)],
            file_actions=actions,
            setsigmask=[signal.SIGINT],
        )
        spawned: list[int] = []
        pidfd = -1
        try:
            with limits_named(self._workers):
                # Not an assignment: an interrupt that came meanwhile is raised before that, and the process would be
                # lost.
                spawned.extend(map(spawn, [self._environment]))
                pidfd = os.pidfd_open(spawned[0])
            self._poll.register(pidfd, select.EPOLLIN)
            self._started_at[worker] = time.monotonic()
            self._pids[worker], self._pidfds[worker] = spawned[0], pidfd
        except BaseException:
            for pid in spawned:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            if pidfd >= 0:
                os.close(pidfd)
            raise

    def wake(self, worker: int | None = None, brisk: bool = False) -> None:
        """Post tokens: for this worker (-1: for whoever is asleep first), or for every worker that may be asleep.

        Waking a process costs more than a small unit of work.  While units come and go briskly, one for anybody is
        left to the workers that are awake; `wake` without arguments makes up for it before the consumer sleeps, and a
        timer does where the loop takes long instead.
        """
        ring = self._ring
        if not self._own_wake:
            sleepers = ring.sleepers()
            if sleepers:
                os.eventfd_write(self._wake_fds[0], sleepers)
            return
        if brisk and worker == -1 and ring.sleepers() < len(self._pids):
            self._owing = True
            ring.owe(self._fds[TIMER_FD], _OWED_NS)
            return
        if self._owing:
            worker, self._owing = None, False
            ring.pay()
        # Each by its number: a woken worker may find nothing and sleep again while this loop runs, and must not take a
        # token that is meant for another.
        for each in self._pids if worker is None else (worker,):
            ring.rouse(each, self._wake_fds)

    def wait(self, timeout_s: float | None) -> bool:
        """Block until a batch may be complete, a worker has died, a restart is due or the time is over.

        Workers that have died are reaped, and are in `unburied` then.  False where nothing has come in that time.
        """
        if self._owing:
            self.wake()
        if self._restart_at:
            due = max(0.0, min(self._restart_at.values()) - time.monotonic())
            timeout_s = due if timeout_s is None else min(due, timeout_s)
        ready = self._fds[READY_FD]
        events = self._poll.poll(timeout_s if timeout_s is None else min(timeout_s, _LONGEST_WAIT_S))
        for fd, _ in events:
            if fd != ready:
                self._reap(next(worker for worker, pidfd in self._pidfds.items() if pidfd == fd))
        return bool(events)

    def _reap(self, worker: int) -> None:
        pid, pidfd = self._pids[worker], self._pidfds[worker]
        cause = self._dying[worker][0] if worker in self._dying else None
        signal_number = exit_code = None
        try:
            # Its group is ended before it is reaped: until then nobody else can have its number.
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
            _end_group(pid)
            result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        except ChildProcessError:  # somebody else waited for it, or SIGCHLD is ignored
            result = None
            if not os.path.exists(f"/proc/{pid}"):  # else the number is somebody else's by now
                _end_group(pid)
        if result is not None and result.si_code == os.CLD_EXITED:
            exit_code = result.si_status
        elif result is not None:
            signal_number = result.si_status
        self.unburied[worker] = Death(worker, pid, signal_number, exit_code, cause)
        self._forget(worker)

    def _forget(self, worker: int) -> None:
        pidfd = self._pidfds[worker]
        del self._pids[worker], self._pidfds[worker]
        self._dying.pop(worker, None)
        try:
            self._poll.unregister(pidfd)
        finally:
            os.close(pidfd)

    def kill(self, worker: int, cause: str) -> None:
        """Kill a worker.  It may still write until `wait` has reaped it, which is at once unless it hangs."""
        if worker not in self._dying:
            self._dying[worker] = cause, time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfds[worker], signal.SIGKILL)

    def dying(self) -> Iterator[tuple[int, int, str, float]]:
        """(worker, pid, why it was killed, seconds since then) of those that are not reaped yet."""
        now = time.monotonic()
        for worker, (cause, since) in self._dying.items():
            yield worker, self._pids[worker], cause, now - since

    def await_dying(self) -> bool:
        """Wait for those that have been killed; whether all of them are reaped."""
        deadline = time.monotonic() + DYING_S
        while self._dying and (left := deadline - time.monotonic()) > 0:
            self.wait(left)
        return not self._dying

    @property
    def is_whole(self) -> bool:
        """Whether no worker has died, or been killed, that is not replaced."""
        return not (self._dying or self.unburied or self._restart_at)

    def alive(self) -> list[int]:
        """The workers that run, as far as is known, and have not been killed."""
        return [worker for worker in self._pids if worker not in self._dying]

    def stopped(self) -> dict[int, int]:
        """The pids of the workers that somebody has stopped, by worker."""
        found = {}
        for worker in self.alive():
            with contextlib.suppress(ChildProcessError):  # it has ended, and somebody else waited for it
                if os.waitid(os.P_PIDFD, self._pidfds[worker], os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None:
                    found[worker] = self._pids[worker]
        return found

    def loading(self) -> Iterator[tuple[int, int, float]]:
        """(worker, pid, seconds since its start) of those that have not reached their loop."""
        now = time.monotonic()
        for worker in self.alive():
            if not self._ring.is_attached(worker):
                yield worker, self._pids[worker], now - self._started_at[worker]

    def replace(self, death: Death, sample: str | None) -> None:
        """Arrange for a successor, at once or, where deaths follow each other without progress, later and later.

        The death counts as buried then.

        Raises
        ------
        WorkerDied
            If workers die before they reach their loop, or one after another without finishing a sample.
        """
        samples = self._ring.totals()[0]
        attached = self._ring.is_attached(death.worker)
        progress = samples > self._samples_at_death
        if attached or progress:
            self._start_deaths = 0
        elif death.cause is None:
            self._start_deaths += 1
        self._idle_deaths = 0 if progress else self._idle_deaths + 1
        self._samples_at_death = samples
        self._ring.forget(death.worker)
        backoff = 0.0
        if self._idle_deaths > 1:
            backoff = min(_FIRST_BACKOFF_S * 2 ** (self._idle_deaths - 2), _LAST_BACKOFF_S)
        self._restart_at[death.worker] = time.monotonic() + backoff
        del self.unburied[death.worker]
        what = None
        if self._start_deaths >= _START_DEATHS:
            what = f"{self._start_deaths} workers in a row died while starting"
        elif self._idle_deaths >= _IDLE_DEATHS + self._workers:  # all of them may die at once, of one cause
            what = f"{self._idle_deaths} workers in a row died without finishing a sample"
        if what is not None:
            self._start_deaths = self._idle_deaths = 0  # who iterates again tries again
            raise died(death, sample, what)
        self.restart_due()

    def restart_due(self) -> None:
        """Start the successors whose time has come."""
        if not self._restart_at:
            return
        now = time.monotonic()
        for worker in [worker for worker, at in self._restart_at.items() if at <= now]:
            self._start(worker)
            del self._restart_at[worker]

    def stop(self, grace: float | None = None) -> None:
        """End and reap every worker and close all descriptors; see the note at the top.

        May be called again, after an interrupt too: one ends the grace.
        """
        grace = _GRACE_S if grace is None else grace
        self._restart_at.clear()
        self.unstarted.clear()
        try:
            if self._pids and grace > 0 and not self._ring.closed:
                in_loop = {worker for worker in self._pids if self._ring.is_attached(worker)}
                self._ring.set_stop()
                for fd in self._wake_fds:
                    os.eventfd_write(fd, len(self._pids))
                deadline = time.monotonic() + grace
                while self._pids and (left := deadline - time.monotonic()) > 0:
                    self.wait(left)
                self._await_closing(in_loop)
        finally:
            for worker in list(self._pids):
                self.kill(worker, "did not stop in time")
            undead = [] if self.await_dying() else list(self.dying())
            for worker, *_ in undead:
                self._forget(worker)
            self._close()
        for worker, pid, _, spent in undead:
            what = f"worker {worker} (pid {pid}) was killed {spent:.0f} s ago and {HANGS}; it is left behind"
            warnings.warn(what, RuntimeWarning, stacklevel=2)

    def _await_closing(self, in_loop: set[int]) -> None:
        """Wait for those that were in their loop, have left it, and run the user's ``finally`` clauses."""
        deadline = time.monotonic() + _CLOSING_S - _GRACE_S
        while closing := [worker for worker in self._pids if worker in in_loop and not self._ring.is_attached(worker)]:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.wait(left)
        for worker in closing:
            warnings.warn(
                f"worker {worker} (pid {self._pids[worker]}) was ended in the midst of closing its generator, whose "
                f"finally clauses have {_CLOSING_S:g} s when a feed is closed: let them do less",
                RuntimeWarning,
                stacklevel=2,
            )

    def _close(self) -> None:
        self._poll.close()
        self._fds.clear()
        self._wake_fds.clear()
        _close_all(self._made)
        _close_all(self._moved)

    def interrupt(self) -> None:
        """Wake the thread that is in `wait`, from another one or a signal's handler."""
        ready = self._fds.get(READY_FD)
        if ready is not None:
            os.eventfd_write(ready, 1)

    def forked(self) -> None:
        """In a forked child: the workers are the parent's."""
        self._pids.clear()
        self._dying.clear()
        while self._pidfds:
            os.close(self._pidfds.popitem()[1])
        self._close()


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _above(fd: int) -> int:
    """The same file under a number out of the way of those that the workers use."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE)


def _close_all(fds: list[int]) -> None:
    # In one call of C: a number is closed as it is forgotten, or may be somebody else's by the second call.
    any(map(os.close, map(fds.pop, itertools.repeat(-1, len(fds)))))
