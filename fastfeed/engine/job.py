"""Job: what a room of work must say, so that the engine can feed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.ring import Ring, Slot
from fastfeed.errors import SampleError

R = TypeVar("R", bound=Ring)


class Job(Protocol[R]):
    """What is fed.  A unit is what fills one slot; batches are what the user gets for it, none or more."""

    kind: WorkerKind
    errors: dict[int, SampleError]
    failure: Exception | None  # to be raised once the batches before it are delivered
    samples: int
    copies: int
    classes: list[str] | None

    def spec(self) -> bytes | bytearray:
        """Describe the work to the workers, in whatever form their module reads."""

    def table_fd(self) -> int | None:
        """Descriptor that all workers get as well; stays the job's."""

    def ring(self, slots: int | None, workers: int) -> R:
        """Make a ring of so many slots (None: as many as suit this work)."""

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """Units in the order of opening, for so many epochs; None is for ever."""

    def open(self, ring: R, slot: Slot, unit: Any) -> int:
        """Put a unit into a free slot and open it; the worker that it is for, or -1 where any may take it."""

    def open_again(self, ring: R, slot: Slot) -> None:
        """The same for a slot that is open already, when all its workers are dead."""

    def restore(self, ring: R, slot: Slot) -> None:
        """A worker died with cells of this open slot in hand: see to it that another can begin with them."""

    def prepare(self, ring: R, slot: Slot) -> None:
        """The consumer is about to wait for this slot: make ready what can be."""

    def deliver(self, ring: R, slot: Slot, set_aside: dict[int, Death]) -> list[Any]:
        """Take a complete slot; the batches for it."""

    def blame(self, ring: R, slot: Slot, row: int, deaths: int) -> bool:
        """A worker died on this row of an open slot, not for the first time where deaths > 1; True sets it aside."""

    def name(self, slot: Slot, row: int) -> str:
        """What to call a row of a slot in messages."""

    def run_here(self, units: Iterator[Any]) -> Iterator[list[Any]]:
        """The same work in this process, for num_workers=0: the batches for each unit."""

    def length(self) -> int:
        """Batches in an epoch, or TypeError."""

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch."""

    def state(self) -> dict[str, Any]:
        """Where the user stands, as plain values."""

    def load(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on there."""
