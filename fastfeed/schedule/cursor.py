"""Where a feed stands in its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fastfeed.schedule.rest import Rest
from fastfeed.schedule.schedule import ALL, Schedule

# Epoch, batch of what is left of it, what is left of it.
Unit = tuple[int, int, Rest]


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
    """

    rest: Rest = ALL
    first: int = 0
    ahead: set[int] = field(default_factory=set)

    def copy(self) -> Progress:
        """Return what can be advanced apart from this."""
        return Progress(self.rest, self.first, set(self.ahead))

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

    def copy(self) -> Position:
        """Return what can be advanced apart from this."""
        return Position(self.epoch, [progress.copy() for progress in self.progress])

    def forget_complete(self, schedule: Schedule) -> None:
        """Let the first epoch of which something is left be the first."""
        while self.progress and self.progress[0].first >= schedule.batches_of(self.progress[0].rest):
            self.epoch += 1
            del self.progress[0]


class Cursor:
    """Where a feed stands in its epochs: what has been delivered, and what an iteration has still to open."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._start = Position()  # of the next iteration
        self._at = Position()  # of this one, or of the one before
        self._newest = 0  # the last epoch from which this iteration has delivered a batch
        self._moved = False  # whether the next iteration is to start elsewhere than after this one

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin with this epoch."""
        self._start, self._moved = Position(epoch), True

    def load(self, position: Position) -> None:
        """Let the next iteration go on here."""
        self._start, self._moved = position.copy(), True
        self._start.forget_complete(self._schedule)

    def begin(self, epochs: int | None) -> Iterator[Unit]:
        """Begin an iteration of `epochs` epochs (None: for ever); yields units in the order of opening."""
        self._at, self._moved = self._start, False
        self._newest = epoch = self._at.epoch
        self._start = Position(epoch + 1, [progress.copy() for progress in self._at.progress[1:]])
        return self._upcoming(self._at.copy(), epochs)

    def _upcoming(self, position: Position, epochs: int | None) -> Iterator[Unit]:
        epoch = position.epoch
        last = None if epochs is None else epoch + epochs
        while (last is None or epoch < last) and self._schedule.batches:
            progress = position.of(epoch)
            for batch in range(progress.first, self._schedule.batches_of(progress.rest)):
                if batch not in progress.ahead:
                    yield epoch, batch, progress.rest
            epoch += 1

    def advance(self, epoch: int, batch: int) -> None:
        """Note a delivered batch."""
        if epoch > self._newest:  # the iteration has gone on to a further epoch
            self._newest, self._start = epoch, Position(epoch + 1)
        self._at.of(epoch).advance(batch)
        self._at.forget_complete(self._schedule)

    def position(self) -> Position:
        """Where the loop stands: everything delivered so far is behind it."""
        return self._start if self._moved else self._at
