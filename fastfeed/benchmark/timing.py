"""Sides timed in turn: windows interleaved over rounds, so that what disturbs one disturbs all.

round 1:  side A  side B  side C ...     one side runs at a time, the others wait full;
round 2:  side A  side B  side C ...     a window begins after what had been ready was thrown away
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastfeed.benchmark.peers import Work


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

    def __init__(self, name: str, label: str, work: Work, *, python: str = sys.executable) -> None:
        self.timed = Timed(label, work.workers)
        self.pil = ""
        self._log = os.memfd_create("side")  # stderr: a pipe that nobody reads could fill up
        # The package must be found by any interpreter, from wherever the driver was started.
        home = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH")) if part)
        self._process = subprocess.Popen(
            [python, "-m", "fastfeed.benchmark.side"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._order(side=name, **asdict(work))

    def load(self) -> None:
        """Wait until its modules are imported."""
        self.pil = str(self._answer()["loaded"])

    def start(self) -> None:
        """Construct it, and take its first batch."""
        self.timed.first_batch = self.ask(do="start").get("first_batch")

    def window(self, seconds: float) -> None:
        """Time whole batches for at least so many seconds, after what was ready is gone."""
        self.ask(do="warm")
        before = self._cpu_seconds()
        answer = self.ask(do="window", seconds=seconds)
        spent = self._cpu_seconds() - before
        self.timed.rates.append(answer["images"] / answer["seconds"])
        self.timed.cpu_seconds.append(spent / answer["images"])
        self._look_at_memory()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send one order and wait for its answer."""
        self._order(**order)
        return self._answer()

    def close(self) -> None:
        """End the process and all that it started; idempotent."""
        processes = self._tree()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(3)
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
        try:
            pipe.write(json.dumps(order) + "\n")
            pipe.flush()
        except OSError as error:
            raise SideError(self._last_words()) from error

    def _answer(self) -> dict[str, Any]:
        pipe = self._process.stdout
        line = pipe.readline() if pipe is not None else ""
        if not line:
            raise SideError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
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


def start(sides: Iterable[Side]) -> list[Side]:
    """Start sides one after the other; those that fail keep the reason, the others are returned."""
    ready = []
    for side in sides:
        try:
            side.load()
            side.start()
            ready.append(side)
        except SideError as error:
            side.timed.failure = str(error)
    return ready


def interleave(sides: Sequence[Side], rounds: int, seconds: float, step: Callable[[str], None]) -> None:
    """Give each side a window of so many seconds in each round; a side that fails is left out from there on."""
    for _ in range(rounds):
        for side in sides:
            if side.timed.failure is None:
                try:
                    side.window(seconds)
                except SideError as error:
                    side.timed.failure = str(error)
            step(side.timed.name)
