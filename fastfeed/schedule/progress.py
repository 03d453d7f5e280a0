"""How far epochs are delivered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fastfeed.schedule.rest import ALL, Rest
from fastfeed.schedule.sampler import NOTHING_SEEN, Seen

# How many batches of this shard's are in what is left of an epoch.
BatchesOf = Callable[[Rest], int]


@dataclass(slots=True)
class Progress:
    """How far an epoch is delivered.

    Attributes
    ----------
    rest : Rest
        What was left of it when its batches were dealt.
    first : int
        The first batch of that which is not delivered.
    ahead : set of int
        Later batches that are: unordered delivery overtakes.
    total : int or None
        How many there are, where that shows only as they are dealt, and has shown.
    seen : (int, int)
        How many elements a sampler had drawn with the furthest batch that is delivered, and their checksum.
    """

    rest: Rest = ALL
    first: int = 0
    ahead: set[int] = field(default_factory=set)
    total: int | None = None
    seen: Seen = NOTHING_SEEN

    def copy(self) -> Progress:
        """Return what can be advanced apart from this."""
        return Progress(self.rest, self.first, set(self.ahead), self.total, self.seen)

    def is_complete(self, batches_of: BatchesOf) -> bool:
        """Whether nothing of the epoch is left."""
        return self.first >= (batches_of(self.rest) if self.total is None else self.total)

    def advance(self, batch: int) -> None:
        """Note a delivered batch."""
        if batch != self.first:
            self.ahead.add(batch)
            return
        self.first += 1
        while self.first in self.ahead:
            self.ahead.remove(self.first)
            self.first += 1


@dataclass(slots=True)
class Position:
    """An epoch, its progress, and that of those behind it that unordered delivery has begun with."""

    epoch: int = 0
    progress: list[Progress] = field(default_factory=list)

    def of(self, epoch: int) -> Progress:
        """The progress of an epoch, which is not before the first."""
        while len(self.progress) <= epoch - self.epoch:
            self.progress.append(Progress())
        return self.progress[epoch - self.epoch]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is delivered of any of these epochs."""
        return all(progress == Progress() for progress in self.progress)

    def forget_before(self, epoch: int, batches_of: BatchesOf) -> None:
        """Forget the epochs before this one that are delivered to this shard: no other is in them any more."""
        while self.progress and self.epoch < epoch and self.progress[0].is_complete(batches_of):
            self.epoch += 1
            del self.progress[0]

    def after(self, epoch: int) -> Position:
        """Return the position behind an epoch, with what is delivered of later ones."""
        return Position(epoch + 1, [progress.copy() for progress in self.progress[epoch + 1 - self.epoch :]])

    def copy(self) -> Position:
        """Return what can be advanced apart from this."""
        return Position(self.epoch, [progress.copy() for progress in self.progress])

    def forget_complete(self, batches_of: BatchesOf) -> None:
        """Let the first epoch of which something is left be the first."""
        while self.progress and self.progress[0].is_complete(batches_of):
            self.epoch += 1
            del self.progress[0]
