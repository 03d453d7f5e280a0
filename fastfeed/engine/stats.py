"""What a feed has done so far, and which side is slow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from fastfeed.engine.metrics import counters_of, metrics_of
from fastfeed.engine.notebook import html_of
from fastfeed.machine import available_cpus

if TYPE_CHECKING:
    from fastfeed._native import Clock
    from fastfeed.engine.job import Job, Remedies

Verdict = Literal["consumer", "workers", "source"]

# Up to this share of the time spent waiting, faster feeding would change nothing that can be noticed.
_KEEPS_UP = 0.1
_PERCENTS = 50, 95, 99
# From this share of the times on that a batch was ready, the waiting is for a few that take long.
_MOSTLY = 0.9


@dataclass(frozen=True)
class Waits:
    """What a clock counts one by one, so that two readings can be told apart; first batches are left out.

    Attributes
    ----------
    lengths : dict of int to int
        How many waits took so many nanoseconds, within 1/32.
    looks, ready_slots : int
        How often ready slots were counted, and how many there were in all.
    ready_batches : int
        Batches that were ready when the loop asked.
    """

    lengths: dict[int, int] = field(default_factory=dict)
    looks: int = 0
    ready_slots: int = 0
    ready_batches: int = 0

    def __sub__(self, other: Waits) -> Waits:
        lengths = {length: count - other.lengths.get(length, 0) for length, count in self.lengths.items()}
        return Waits(
            {length: count for length, count in lengths.items() if count},
            self.looks - other.looks,
            self.ready_slots - other.ready_slots,
            self.ready_batches - other.ready_batches,
        )

    @property
    def batches(self) -> int:
        """How many batches were waited for."""
        return sum(self.lengths.values())

    @property
    def found(self) -> float:
        """The part of the looks that found a slot ready; batches that came with another, without a wait, are aside."""
        return (self.ready_batches - self.lengths.get(0, 0)) / max(self.looks, 1)

    def percentiles_s(self) -> list[float]:
        """For each of `_PERCENTS`, the shortest time that this part of the waits did not exceed; 0 without any."""
        total, passed = self.batches, 0
        found: list[float] = []
        for length in sorted(self.lengths):
            passed += self.lengths[length]
            while len(found) < len(_PERCENTS) and passed * 100 >= _PERCENTS[len(found)] * total:
                found.append(length / 1e9)
        return found or [0.0] * len(_PERCENTS)


@dataclass(frozen=True, kw_only=True)
class LoopStats:
    """How a loop was served: what `Stats` and `PrefetchStats` share; times in seconds.

    The first batch of each iteration is apart: workers start for it, or find nothing begun, so its wait would be the
    99th percentile of a short epoch and says nothing of the next batch.
    """

    wait_s: float
    consumer_s: float
    iterations: int = 0
    first_waits_s: float = 0.0
    first_batch_s: float = 0.0
    rank: int = 0
    waits: Waits = field(default_factory=Waits, repr=False)
    wait_mean_s: float = field(init=False)
    wait_p50_s: float = field(init=False)
    wait_p95_s: float = field(init=False)
    wait_p99_s: float = field(init=False)
    ready_share: float = field(init=False)
    ready_slots: float = field(init=False)

    words: ClassVar[tuple[str, str]] = ("batch", "batches")  # what is waited for

    def __post_init__(self) -> None:
        waits = self.waits
        p50, p95, p99 = waits.percentiles_s()
        derived = {
            "wait_mean_s": self.wait_s / max(waits.batches + self.iterations, 1),
            "wait_p50_s": p50,
            "wait_p95_s": p95,
            "wait_p99_s": p99,
            "ready_share": waits.ready_batches / max(waits.batches, 1),
            "ready_slots": waits.ready_slots / max(waits.looks, 1),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def since(self, earlier: Self) -> Self:
        """Return what happened since an earlier reading of the same feed: its counts and times, percentiles, verdict.

        What is no count stays as it is now: `first_batch_s`, `workers`, `rank`.
        """
        changes = {name: getattr(self, name) - getattr(earlier, name) for name in counters_of(self)}
        return dataclasses.replace(self, **changes, waits=self.waits - earlier.waits)

    def metrics(self) -> dict[str, float]:
        """Return the numbers by the names that other programs know them by; see `Feed.metrics`."""
        return metrics_of(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_of(self)

    @property
    def _judged_s(self) -> float:
        """The waiting that the verdict is about: without first batches, unless there were no others."""
        return max(self.wait_s - self.first_waits_s, 0.0) if self.waits.lengths else self.wait_s

    @property
    def _keeps_up(self) -> bool:
        """Whether the consumer is the slow side: it waited for next to none of its time."""
        return self._judged_s <= _KEEPS_UP * (self._judged_s + self.consumer_s)

    @property
    def _first_matter(self) -> bool:
        """Whether first batches took a part of the time that can be noticed."""
        return self.first_waits_s > _KEEPS_UP * (self.wait_s + self.consumer_s)

    @property
    def _waited(self) -> str:
        """How long the consumer waited, in words."""
        text = f"the consumer waited {self._judged_s:.2f} s of {self._judged_s + self.consumer_s:.2f} s"
        if not self._first_matter:
            return text
        one, several = self.words
        first = one if self.iterations == 1 else f"{several} of {self.iterations} iterations"
        how = f"{self.first_waits_s:.2f} s more" if self.waits.lengths else "all"
        return f"{text} ({how} for the first {first})"


def waiting(clock: Clock, rank: int) -> dict[str, Any]:
    """Return what `LoopStats` is made of."""
    return {
        "wait_s": clock.wait_ns / 1e9,
        "consumer_s": clock.consumer_ns / 1e9,
        "iterations": clock.iterations,
        "first_waits_s": clock.first_ns / 1e9,
        "first_batch_s": clock.first_batch_ns / 1e9,
        "rank": rank,
        "waits": Waits(clock.waits(), clock.looks, clock.ready_slots, clock.ready_batches),
    }


@dataclass(frozen=True, kw_only=True)
class Stats(LoopStats):
    """A frozen record of one feed since it was made, or between two readings; times in seconds.

    Attributes
    ----------
    batches, samples : int
        Delivered to the consumer.
    iterations : int
        Iterations that have got their first batch.
    bytes_read : int
        Encoded bytes that the workers read.
    wait_s : float
        The consumer waited in ``next`` for a batch.
    first_waits_s : float
        The part of `wait_s` for the first batch of each iteration, the start of workers included.
    first_batch_s : float
        Time to first batch, in the latest iteration: from its first ``next``.
    wait_mean_s : float
        The wait for one batch, first ones included: ``wait_s`` over all batches.
    wait_p50_s, wait_p95_s, wait_p99_s : float
        The wait for one batch, first ones left out: so many in a hundred took no longer.  Within 1/32.  Of batches
        that came together, as small results of `map` do, all but one count with 0.
    ready_share : float
        The part of the batches, first ones left out, that was ready when the loop asked; the others it waited for.
    ready_slots : float
        How many slots of the ring were complete when the loop asked and the one that was due was there, 0 where it was
        not: the mean.
    pull_s, first_pulls_s : float
        The parts of `wait_s` and `first_waits_s` in which the source was asked for more in the consumer's process, as
        an iterable is.
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
    rank : int
        This process's, as its launcher says, or else that of its shard; 0 where there is neither.
    """

    batches: int
    samples: int
    bytes_read: int
    pull_s: float
    first_pulls_s: float = field(default=0.0, repr=False)
    read_s: float
    work_s: float
    idle_s: float
    workers: int
    deaths: int
    copies: int
    failed: int
    remedies: Remedies = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """Which side is the slow one, first batches aside."""
        if self._keeps_up:
            return "consumer"
        # While the consumer pulls it does not wait for the workers, so the two shares of its waiting compare.
        return "source" if self._pulls or self.read_s > self.work_s else "workers"

    @property
    def _pulled_s(self) -> float:
        return self.pull_s - self.first_pulls_s if self.waits.lengths else self.pull_s

    @property
    def _pulls(self) -> bool:
        return self._pulled_s > self._judged_s / 2

    @property
    def sentence(self) -> str:
        """The verdict in words, with what to change."""
        what = self._waited
        if self.verdict == "consumer":
            nothing = "nothing"
            if self._first_matter:
                nothing = "nothing after it"
                if self.iterations > 1:
                    nothing = "nothing else, and repeat() has no pause between epochs"
            return f"The consumer is the slow side: {what}; feeding faster would change {nothing}."
        if self.verdict == "source":
            spent = f", and workers spent {self.read_s:.2f} s reading against {self.work_s:.2f} s working"
            if self._pulls:
                spent = f", {self._pulled_s:.2f} s of it for {self.remedies.pulled}"
            return f"The source is the slow side: {what}{spent}; {self.remedies.faster_source}."
        if self.waits.found >= _MOSTLY:
            found = f"{self.waits.found:.0%} of the times a batch was ready"
            what += f"; {found}, so raise prefetch for those that take long, or"
        elif self.workers >= (self.remedies.processors or available_cpus()):
            what += "; every processor has its worker, so"
        else:
            what += f"; {self.remedies.more_workers if self.workers else 'use num_workers above 0'}, or"
        return f"The workers are the slow side: {what} give them less to do: {self.remedies.less_work}."


def added(before: tuple[int, ...], now: tuple[int, ...]) -> Any:
    """Return the totals of the workers that there are, and of those before them."""
    return tuple(map(sum, zip(before, now, strict=True)))


def stats_of(job: Job, clock: Clock, totals: tuple[int, int, int, int, int], workers: int, rank: int) -> Stats:
    """Return the record of a feed; `totals` as `Ring.totals` has them."""
    _, size, read_ns, work_ns, idle_ns = totals
    ledger = job.ledger
    return Stats(
        **waiting(clock, rank),
        batches=clock.batches,
        samples=ledger.samples,
        bytes_read=size,
        pull_s=clock.pull_ns / 1e9,
        first_pulls_s=clock.first_pull_ns / 1e9,
        read_s=read_ns / 1e9,
        work_s=work_ns / 1e9,
        idle_s=idle_ns / 1e9,
        workers=workers,
        deaths=ledger.deaths,
        copies=ledger.copies,
        failed=len(ledger.errors),
        remedies=job.remedies,
    )
