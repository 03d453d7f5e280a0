"""Sides timed in turn: windows interleaved over rounds, so that what disturbs one disturbs all.

round 1:  side A  side B  side C ...     one side runs at a time, the others have filled up and sleep;
round 2:  side A  side B  side C ...     a window begins after what had been ready was thrown away
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

import psutil

from fastfeed.tools.bench import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastfeed.tools.bench.peers import Workload

_QUIET_S = 0.05  # CPU times are counted in hundredths of a second
_SETTLED_BY_S = 5.0


@dataclass
class Timed:
    """What was measured of one side."""

    name: str
    workers: int
    rates: list[float] = field(default_factory=list)
    """Images per second, a window each."""
    cpu_seconds: list[float] = field(default_factory=list)
    """CPU seconds per image of all its processes, a window each."""
    first_batch: float | None = None
    memory: int = 0
    """Largest proportional set size seen of all its processes together, bytes."""
    worker_memory: int | None = None
    """Largest unique set size seen of one of its workers, bytes."""
    disturbed: list[float] = field(default_factory=list)
    """Share of the machine's processors that other processes used, a window each."""
    failure: str | None = None

    @property
    def rate(self) -> float | None:
        """Median images per second."""
        return statistics.median(self.rates) if self.rates else None

    @property
    def cpu(self) -> float | None:
        """Median CPU seconds per image."""
        return statistics.median(self.cpu_seconds) if self.cpu_seconds else None


class SideError(Exception):
    """A side's process ended; the last line that it wrote to stderr."""


class Side:
    """A side's process, seen from the driver."""

    def __init__(self, name: str, label: str, work: Workload, *, python: str = sys.executable) -> None:
        self.timed = Timed(label, work.workers)
        self.pil = ""
        self._log = os.memfd_create("side")  # stderr: a pipe that nobody reads could fill up
        self._process = subprocess.Popen(
            [python, "-m", "fastfeed.tools.bench.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env=environment(),
        )
        with contextlib.suppress(SideError):  # load() will say so
            self._order(side=name, **asdict(work))

    def load(self) -> None:
        """Wait until its modules are imported."""
        self.pil = str(self._answer()["loaded"])

    def start(self) -> None:
        """Construct it, and take its first batch."""
        self.timed.first_batch = self.ask(do="start").get("first_batch")
        self.settle()

    def window(self, seconds: float) -> None:
        """Time whole batches for at least `seconds`, after what was ready is gone."""
        self.ask(do="warm")
        before, machine = self._cpu_seconds(), _busy_seconds()
        answer = self.ask(do="window", seconds=seconds)
        spent, busy = self._cpu_seconds() - before, _busy_seconds() - machine
        capacity = (os.cpu_count() or 1) * answer["seconds"]
        self.timed.disturbed.append(min(1.0, max(0.0, (busy - spent) / capacity)))
        self.timed.rates.append(answer["images"] / answer["seconds"])
        self.timed.cpu_seconds.append(spent / answer["images"])
        self._look_at_memory()
        self.settle()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send one order and wait for the answer."""
        self._order(**order)
        return self._answer()

    def settle(self) -> None:
        """Wait until its processes are idle: a loader goes on filling its queues after the last batch was taken.

        Not by SIGSTOP, which would be simpler: if this process were killed, those would stay stopped for good.
        """
        until = time.monotonic() + _SETTLED_BY_S
        before = -1.0
        while (now := self._cpu_seconds()) != before and time.monotonic() < until:
            before = now
            time.sleep(_QUIET_S)

    def stop(self) -> None:
        """Tell it that there will be no more orders."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def close(self, *, now: bool = False) -> None:
        """End the process and all that it started, in its own time or ``now``; idempotent."""
        processes = self._tree()
        self.stop()
        try:
            self._process.wait(0 if now else 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in processes[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def _order(self, **order: Any) -> None:
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            raise SideError(self._last_words())
        rest = memoryview(json.dumps(order).encode() + b"\n")
        try:
            while rest:
                rest = rest[pipe.write(rest) :]
        except OSError as error:
            raise SideError(self._last_words()) from error

    def _answer(self) -> dict[str, Any]:
        pipe = self._process.stdout
        line = pipe.readline() if pipe is not None and self._wait_for(pipe) else b""
        if not line:
            raise SideError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _wait_for(self, pipe: IO[bytes]) -> bool:
        """Wait for an answer; False where the process ends first, whoever else may hold its end of the pipe."""
        if self._process.poll() is not None:  # reaped: the number may be another's by now
            return False
        pidfd = os.pidfd_open(self._process.pid)
        try:
            poll = select.poll()
            poll.register(pipe, select.POLLIN)
            poll.register(pidfd, select.POLLIN)
            return any(fd == pipe.fileno() for fd, _ in poll.poll())
        finally:
            os.close(pidfd)

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        size = os.fstat(self._log).st_size
        lines = os.pread(self._log, 4000, max(0, size - 4000)).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with status {self._process.poll()}"

    def _tree(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _cpu_seconds(self) -> float:
        total = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def _look_at_memory(self) -> None:
        together, largest = 0, 0
        for number, process in enumerate(self._tree()):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory = process.memory_full_info()
                together += memory.pss
                if number > 0:
                    largest = max(largest, memory.uss)
        self.timed.memory = max(self.timed.memory, together)
        if largest:
            self.timed.worker_memory = max(self.timed.worker_memory or 0, largest)


def _busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def start_all(sides: Sequence[Side], step: Callable[[str], None] = lambda what: None) -> list[Side]:
    """Start sides one after the other; those that fail keep the reason, the others are returned.

    None is started before all have imported what they need: the first batch is timed too.
    """
    ready = list(sides)
    for act in (Side.load, Side.start):
        for side in list(ready):
            if act is Side.start:
                step(side.timed.name)
            try:
                act(side)
            except SideError as error:
                side.timed.failure = str(error)
                ready.remove(side)
    return ready


def close_all(sides: Sequence[Side], *, now: bool = False) -> None:
    """End all sides: all are asked to stop, then awaited one after the other."""
    for side in sides:
        side.stop()
    for side in sides:
        side.close(now=now)


def interleave(sides: Sequence[Side], rounds: int, seconds: float, step: Callable[[str], None]) -> None:
    """Give each side a window of `seconds` in each round; a side that fails is left out from there on.

    ``step`` is called with a side's name before its window.
    """
    for _ in range(rounds):
        for side in sides:
            step(side.timed.name)
            if side.timed.failure is None:
                try:
                    side.window(seconds)
                except SideError as error:
                    side.timed.failure = str(error)
