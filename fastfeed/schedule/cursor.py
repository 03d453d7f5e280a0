"""Where a feed stands in its epochs."""

from __future__ import annotations

from collections.abc import Iterator

from fastfeed.schedule.progress import Position
from fastfeed.schedule.rest import ALL
from fastfeed.schedule.schedule import DrawnPart, Part, Schedule

# Epoch, batch of what is left of it, what that is or the batch's indices.
Unit = tuple[int, int, Part]


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

    @property
    def next_epoch(self) -> int:
        """The epoch that the next iteration begins with."""
        return self._start.epoch

    @property
    def at_start(self) -> bool:
        """Whether the next iteration begins with the first batch of its epoch, and leaves none out."""
        return self._start.is_whole

    def load(self, position: Position) -> None:
        """Let the next iteration go on here."""
        self._start, self._moved = position.copy(), True
        self._start.forget_complete(self._schedule.steps_of)

    def begin(self, epochs: int | None) -> Iterator[Unit]:
        """Begin an iteration of `epochs` epochs (None: for ever); yields units in the order of opening."""
        self._at, self._moved = self._start, False
        self._newest = epoch = self._at.epoch
        self._start = self._at.after(epoch)
        return self._upcoming(self._at, epochs)

    def _upcoming(self, at: Position, epochs: int | None) -> Iterator[Unit]:
        epoch = at.epoch
        last = None if epochs is None else epoch + epochs
        while last is None or epoch < last:
            progress = at.of(epoch)
            begun, any_batch = progress.rest != ALL, False
            for batch, part in self._schedule.deal(epoch, progress):
                yield epoch, batch, part
                any_batch = True
            if not any_batch and not begun and not progress.first:
                return  # the next epoch would have none either
            if not any_batch and last is not None and self._schedule.is_of_unknown_length:
                last += 1  # it had been delivered to its end, which has shown only now
            epoch += 1

    def advance(self, epoch: int, batch: int, part: Part = ALL) -> None:
        """Note a delivered batch, and what was seen of a sampler with it."""
        if epoch > self._newest:  # the iteration has gone on to a further epoch
            self._newest, self._start = epoch, self._at.after(epoch)
        progress = self._at.of(epoch)
        progress.advance(batch)
        if type(part) is DrawnPart:
            progress.seen = max(progress.seen, part.seen)
        whole = progress.rest is ALL and progress.total is None
        if whole and progress.first < self._schedule.batches and epoch == self._at.epoch:
            return  # what nearly every batch comes to
        self._at.forget_complete(self._schedule.steps_of)
        self._at.forget_before(epoch, self._schedule.batches_of)

    def ended(self) -> None:
        """Note that the loop has come to the end of its iteration: shards that are kept uneven do not do so at once."""
        self._at = self._start

    def position(self) -> Position:
        """Where the loop stands: everything delivered so far is behind it."""
        return self._start if self._moved else self._at
