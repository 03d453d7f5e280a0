"""Job: what a room of work must say, so that the engine can feed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.ring import Ring, Slot
from fastfeed.errors import SampleError

R = TypeVar("R", bound=Ring)


# What became of one unit: batches for the user, and what is to be raised once the user has had them.  A bare tuple: to
# make an object of a class would be a twentieth of what a small unit costs.
Delivery = tuple[list[Any], Exception | None]


@dataclass(frozen=True)
class Remedies:
    """What the user of one kind of work can do about what is slow or large; each is part of a sentence.

    Attributes
    ----------
    less_memory : str
        Where the ring is refused: "lower prefetch or batch_size".
    faster_source : str
        Where the source is the slow side: "use faster storage".
    less_work : str
        What makes the workers' work cheaper: "smaller images, fewer bytes".
    more_workers : str
        Where the workers are the slow side, and a processor has none yet.
    pulled : str
        What the consumer's process pulls from the source: "the next items of the iterable".
    """

    less_memory: str
    faster_source: str
    less_work: str
    more_workers: str = "use more workers"
    pulled: str = "the order of the samples"


@dataclass(slots=True)
class Ledger:
    """What has become of a job since it was made.

    Attributes
    ----------
    errors : dict of int to SampleError
        The bad samples, by their index.
    samples : int
        Good samples.
    copies : int
        Batches that were copied because the consumer held every slot.
    deaths : int
        Workers that died, or were ended because they hung.
    """

    errors: dict[int, SampleError] = field(default_factory=dict)
    samples: int = 0
    copies: int = 0
    deaths: int = 0


class Job(Protocol[R]):
    """What is fed.  A unit is what fills one slot; batches are what the user gets for it, none or more.

    A feed asks for ``ring``, ``spec`` and ``table_fd`` once, when it is first iterated, and begins each iteration with
    ``units``.  Then each unit goes through ``open``, perhaps ``prepare``, and ``deliver``; or, with num_workers=0, all
    of them go through ``run_here``.  What a worker's death brings about is the recovery's to ask for.

    Attributes
    ----------
    kind : WorkerKind
        What the crew starts.
    ledger : Ledger
        Read by the feed's ``errors`` and ``stats``.
    remedies : Remedies
        Read by the feed's ``stats``, and where memory is refused.
    classes : list of str or None
        What the feed's ``classes`` returns.
    """

    kind: WorkerKind
    ledger: Ledger
    remedies: Remedies
    classes: list[str] | None

    # ---- once, when the feed starts its workers ----

    def ring(self, slots: int | None, workers: int) -> R:
        """Make a ring of this many slots (None: as many as suit this work)."""

    def spec(self) -> bytes | bytearray:
        """Describe the work to the workers, in whatever form their module reads."""

    def table_fd(self) -> int | None:
        """Return a descriptor that all workers get besides; it stays the job's."""

    # ---- in each iteration ----

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """Begin an iteration over this many epochs (None: for ever): the units in the order of opening."""

    def open(self, ring: R, slot: Slot, unit: Any) -> int:
        """Put a unit into the next free slot and open it; the worker that it is for, or -1 where any may take it."""

    def prepare(self, ring: R, slot: Slot) -> None:
        """Make ready what can be for the delivery of this slot; the feed is about to sleep until it is complete."""

    def deliver(self, ring: R, slot: Slot, set_aside: dict[int, Death]) -> Delivery:
        """Take a complete slot; `set_aside` has the rows that were given up, each with the last death on it."""

    def run_here(self, units: Iterator[Any]) -> Iterator[Delivery]:
        """Do the same work in this process, for num_workers=0."""

    # ---- when a worker has died, or the ring's words are damaged ----

    def give_up(self, ring: R, slot: Slot, row: int) -> None:
        """See to it that no other worker is given this row of an open slot: too many have died on it."""

    def restore(self, ring: R, slot: Slot, without: list[int] | None) -> None:
        """See to it that another worker can begin with an open slot of which a dead one had cells in hand.

        `without` has the rows that were given up, and is None where no worker is known to have died on the slot.
        """

    def open_again(self, ring: R, slot: Slot, without: list[int] | None) -> None:
        """Put the unit of an open slot there afresh, and open it: its words were damaged, and every worker is dead."""

    def name(self, slot: Slot, row: int) -> str:
        """What to call a row of a slot in messages about a death."""

    # ---- when the user asks the feed ----

    def length(self) -> int:
        """Batches in an epoch, or TypeError."""

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch."""

    def state(self) -> dict[str, Any]:
        """Where the user stands, as plain values."""

    def load(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on there."""
