"""Where a feed stands in its epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Cursor:
    """Where a feed stands in its epochs: what has been delivered, and what an iteration has still to open.

    A position is (epoch, first batch of it that is not delivered, later batches that are).  Unordered delivery may run
    past the end of the epoch; such batches are numbered on, from the epoch's number of batches up.
    """

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._start: tuple[int, int, list[int]] = (0, 0, [])
        self._position = self._start
        self._newest = 0  # the last epoch from which this iteration has delivered a batch

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin with this epoch."""
        self._start = (epoch, 0, [])

    @property
    def at_start(self) -> bool:
        """Whether the next iteration begins with the first batch of its epoch, and leaves none out."""
        return not self._start[1] and not self._start[2]

    def begin(self, epochs: int | None) -> Iterator[tuple[int, int]]:
        """Begin an iteration of `epochs` epochs (None: for ever); yields (epoch, batch) in the order of opening."""
        self._position = epoch, first, ahead = self._start
        self._newest = epoch
        self._start = (epoch + 1, 0, [beyond - self._batches for beyond in ahead if beyond >= self._batches])
        return self._upcoming(epoch, epochs, first, set(ahead))

    def _upcoming(self, epoch: int, epochs: int | None, first: int, skip: set[int]) -> Iterator[tuple[int, int]]:
        last = None if epochs is None else epoch + epochs
        while (last is None or epoch < last) and self._batches:
            yield from ((epoch, batch) for batch in range(first, self._batches) if batch not in skip)
            epoch, first, skip = epoch + 1, 0, {beyond - self._batches for beyond in skip}

    def advance(self, epoch: int, batch: int) -> None:
        """Note a delivered batch."""
        at_epoch, at, ahead = self._position
        if epoch > self._newest:  # the iteration has gone on to a further epoch
            self._newest, self._start = epoch, (epoch + 1, 0, [])
        ahead = [*ahead, (epoch - at_epoch) * self._batches + batch]
        while at in ahead:
            ahead.remove(at)
            at += 1
        while at >= self._batches:
            at_epoch, at, ahead = at_epoch + 1, at - self._batches, [beyond - self._batches for beyond in ahead]
        self._position = (at_epoch, at, ahead)

    def state(self) -> dict[str, Any]:
        """Return the position as plain values."""
        epoch, batch, ahead = self._position
        return {"epoch": epoch, "batch": batch, "ahead": list(ahead)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on at a position that `state` returned."""
        self._start = self._position = (state["epoch"], state["batch"], list(state["ahead"]))
