"""Job: what a room of work must say, so that the engine can feed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.death import Death
from fastfeed.engine.ring import Payload, Shape, Taken
from fastfeed.errors import SampleError

# What a worker is to do with one slot; a bare tuple, as `Delivery` is.
#   epoch and rows: what the workers are told beside the slot's indices
#   worker: the one that it is for, or -1 where any may take it
#   payload: what the slot carries instead of indices, or None
Order = tuple[int, int, int, Payload | None]

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
    processors : int or None
        What the workers have to share; None: what this process may use.
    """

    less_memory: str
    faster_source: str
    less_work: str
    more_workers: str = "use more workers"
    pulled: str = "the order of the samples"
    processors: int | None = None


class Outline(NamedTuple):
    """What is known of a feed's batches before the first is made.

    Attributes
    ----------
    batch : Any
        A full batch as the user will get it, with arbitrary numbers in its arrays; None where only a real one can tell.
    rows : int or None
        Rows of a full batch, along the first axis of each array; 0 where batches are single items, None if not known.
    last_rows : int or None
        Rows of an epoch's last batch.
    exact : bool
        Whether the next epoch and those after it have just these batches: no sample can be left out, and no state was
        loaded in the middle of one.
    """

    batch: Any = None
    rows: int | None = None
    last_rows: int | None = None
    exact: bool = False


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


class Job(Protocol):
    """What is fed.  A unit is what fills one slot; batches are what the user gets for it, none or more.

    A job sees no ring.  A feed asks for ``shape``, ``spec`` and ``table_fd`` when it is first iterated, and again where
    a later iteration finds that the job ``is_outdated``.  It begins each iteration with ``units``.  Then each unit goes
    through ``order``, perhaps ``prepare``, and ``deliver``; or, with num_workers=0, all of them go through
    ``run_here``.

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
    rank : int
        That of the shard; 0 where there is none.
    """

    kind: WorkerKind
    ledger: Ledger
    remedies: Remedies
    classes: list[str] | None
    rank: int

    # ---- once, when the feed starts its workers ----

    def shape(self, workers: int) -> Shape:
        """Say what slots this work wants."""

    def spec(self) -> bytes | bytearray:
        """Describe the work to the workers, in whatever form their module reads."""

    def is_outdated(self) -> bool:
        """Say whether what `spec` described has changed since; asked when an iteration begins."""

    def table_fd(self) -> int | None:
        """Return a descriptor that all workers get besides; it stays the job's."""

    # ---- in each iteration ----

    def units(self, epochs: int | None, workers: int) -> Iterator[Any]:
        """Begin an iteration over this many epochs (None: for ever): the units in the order of opening."""

    def at_hand(self) -> bool:
        """Say whether the next unit can be had at once, as far as is known; asked only while others are pending.

        Else the user's source may be waiting for what the loop does with these, which are delivered first.
        """

    def order(self, unit: Any, index: memoryview, without: list[int] | None) -> Order:
        """Say what a unit's slot is to hold; its indices are written to `index`.

        Asked again where a slot must be written afresh, since a worker died on it.  `without` then has the rows that
        were given up; it is None where no worker is known to have died on the slot.
        """

    def prepare(self, memory: Any, indices: bytearray) -> Any:
        """Make ready what can be for the delivery of a slot for rows: `memory` exports it, `indices` are its own."""

    def deliver(self, unit: Any, taken: Taken, set_aside: dict[int, Death]) -> Delivery:
        """Make batches of a slot; `set_aside` has the rows that were given up, each with the last death on it."""

    def run_here(self, units: Iterator[Any]) -> Iterator[Delivery]:
        """Do the same work in this process, for num_workers=0."""

    def ended(self) -> None:
        """Note that the loop has come to the end of an iteration."""

    # ---- when a worker has died ----

    def forbidden(self, row: int, rows: int) -> range:
        """Say which of a slot's rows no other worker may begin with, since too many have died on this one."""

    def name(self, unit: Any, index: memoryview, row: int) -> str:
        """What to call a row of a unit in messages about a death."""

    # ---- when the user asks the feed ----

    def length(self) -> int:
        """Batches in an epoch, or TypeError."""

    def outline(self) -> Outline:
        """Say what is known of the batches before the first is made."""

    def contents(self) -> str:
        """What is fed, and how much of it, in words: "60 rows of 2 arrays"; nothing is pulled for it."""

    def standing(self, waiting: int) -> str:
        """Where the loop stands, in words; `waiting` as for `state`."""

    def sizes(self) -> tuple[int, ...]:
        """How many samples batches have, the largest first; empty where that is not known."""

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch."""

    def state(self, ordered: bool, waiting: int) -> dict[str, Any]:
        """Where the user stands, as plain values.

        `ordered` says whether batches are delivered in order, `waiting` how many of them the user has not had yet.
        """

    def load(self, saved: Any) -> None:
        """Let the next iteration go on there: what `state` returned, or a list of what it did for all ranks."""
