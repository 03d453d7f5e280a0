"""What a feed has done so far, and which side is slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastfeed.machine import available_cpus

Verdict = Literal["consumer", "workers", "source"]

# Below this share of the time spent waiting, more workers would change nothing that can be noticed.
_KEEPS_UP = 0.1


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
    """

    batches: int
    samples: int
    bytes_read: int
    wait_s: float
    consumer_s: float
    read_s: float
    work_s: float
    idle_s: float
    workers: int
    deaths: int
    copies: int
    failed: int

    @property
    def verdict(self) -> Verdict:
        """Which side is the slow one."""
        total = self.wait_s + self.consumer_s
        if total == 0 or self.wait_s < _KEEPS_UP * total:
            return "consumer"
        return "source" if self.read_s > self.work_s else "workers"

    @property
    def sentence(self) -> str:
        """The verdict in words, with what to change."""
        total = self.wait_s + self.consumer_s
        waited = f"the consumer waited {self.wait_s:.2f} s of {total:.2f} s"
        if self.verdict == "consumer":
            return f"The consumer is the slow side: {waited}; feeding faster would change nothing."
        if self.verdict == "source":
            return (
                f"The source is the slow side: {waited}, and workers spent {self.read_s:.2f} s reading against "
                f"{self.work_s:.2f} s working; use faster storage, or more workers to overlap the reads."
            )
        remedy = "use num_workers above 0"
        if self.workers >= available_cpus():
            remedy = "every processor has its worker, so make the work less"
        elif self.workers:
            remedy = "use more workers"
        return f"The workers are the slow side: {waited}; {remedy}: smaller images, cheaper transforms, fewer bytes."
