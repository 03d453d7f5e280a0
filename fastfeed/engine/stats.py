"""What a feed has done so far, and which side is slow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fastfeed.machine import available_cpus

if TYPE_CHECKING:
    from fastfeed.engine.job import Remedies

Verdict = Literal["consumer", "workers", "source"]

# Up to this share of the time spent waiting, faster feeding would change nothing that can be noticed.
_KEEPS_UP = 0.1


def keeps_up(wait_s: float, consumer_s: float) -> bool:
    """Whether the consumer is the slow side: it waited for next to none of its time."""
    return wait_s <= _KEEPS_UP * (wait_s + consumer_s)


def waited(wait_s: float, consumer_s: float) -> str:
    """Say how long the consumer waited."""
    return f"the consumer waited {wait_s:.2f} s of {wait_s + consumer_s:.2f} s"


@dataclass(frozen=True)
class Stats:
    """A frozen record of one feed since it was made; times in seconds.

    Attributes
    ----------
    batches, samples : int
        Delivered to the consumer.
    bytes_read : int
        Encoded bytes that the workers read.
    wait_s : float
        The consumer waited in ``next`` for a batch.
    pull_s : float
        The part of `wait_s` in which the source was asked for more in the consumer's process, as an iterable is.
    consumer_s : float
        The consumer was busy with the batches it had got.
    read_s, work_s, idle_s : float
        All workers together: reading the source, decoding and transforming, waiting for work.
    workers : int
        Worker processes; 0 means that the work is done in the consumer.
    deaths : int
        Workers that died and were replaced.
    copies : int
        Batches handed out as copies because the consumer held too many.
    failed : int
        Samples that were bad.
    processors : int or None
        What the workers have to share; None: what this process may use.
    """

    batches: int
    samples: int
    bytes_read: int
    wait_s: float
    pull_s: float
    consumer_s: float
    read_s: float
    work_s: float
    idle_s: float
    workers: int
    deaths: int
    copies: int
    failed: int
    remedies: Remedies = field(repr=False)
    processors: int | None = field(default=None, repr=False)

    @property
    def verdict(self) -> Verdict:
        """Which side is the slow one."""
        if keeps_up(self.wait_s, self.consumer_s):
            return "consumer"
        # While the consumer pulls it does not wait for the workers, so the two shares of its waiting compare.
        return "source" if self._pulls or self.read_s > self.work_s else "workers"

    @property
    def _pulls(self) -> bool:
        return self.pull_s > self.wait_s / 2

    @property
    def sentence(self) -> str:
        """The verdict in words, with what to change."""
        what = waited(self.wait_s, self.consumer_s)
        if self.verdict == "consumer":
            return f"The consumer is the slow side: {what}; feeding faster would change nothing."
        if self.verdict == "source":
            spent = f", and workers spent {self.read_s:.2f} s reading against {self.work_s:.2f} s working"
            if self._pulls:
                spent = f", {self.pull_s:.2f} s of it for {self.remedies.pulled}"
            return f"The source is the slow side: {what}{spent}; {self.remedies.faster_source}."
        if self.workers >= (self.processors or available_cpus()):
            what += "; every processor has its worker, so"
        else:
            what += f"; {self.remedies.more_workers if self.workers else 'use num_workers above 0'}, or"
        return f"The workers are the slow side: {what} give them less to do: {self.remedies.less_work}."
