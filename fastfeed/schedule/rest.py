"""What is left of an epoch: the part of a saved state that no rank, worker or batch size has a share in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Half-open: first, and the one after the last.
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rest:
    """The positions of an epoch that are still to be delivered.

    They are numbered anew, from 0: what is left is dealt to the ranks as a whole epoch is.

    Attributes
    ----------
    start : int
        Every position from here on.
    gaps : tuple of (int, int)
        Ranges before it that later ones have overtaken, in order.
    """

    start: int = 0
    gaps: tuple[Range, ...] = ()

    def count(self, length: int) -> int:
        """How many positions are left of an epoch that has `length`."""
        return sum(high - low for low, high in self.gaps) + max(0, length - self.start)

    def ranges(self, length: int) -> Iterator[Range]:
        """Yield the ranges of positions that are left of an epoch that has `length`."""
        yield from self.gaps
        if self.start < length:
            yield self.start, length

    def number(self, position: int) -> int:
        """Return the number of a position that is left."""
        offset = 0
        for low, high in self.gaps:
            if position < high:
                return offset + position - low
            offset += high - low
        return offset + position - self.start

    def runs(self, first: int, step: int, count: int, length: int) -> Iterator[tuple[int, int]]:
        """Yield (position, how many of them, `step` apart) for what is numbered first, first + step, ...

        Numbers beyond the last one left begin again with the first positions of the epoch.
        """
        offset = 0  # the number of the range's first position
        for low, high in self.ranges(length):
            size = high - low
            here = min(count, -(-(offset + size - first) // step))
            if here > 0:
                yield low + first - offset, here
                first, count = first + here * step, count - here
            offset += size
        while count:
            position = (first - offset) % length
            here = min(count, -(-(length - position) // step))
            yield position, here
            first, count = first + here * step, count - here

    def without(self, done: Iterable[Range]) -> Rest:
        """Return what is left without these ranges of numbers, which are in order and apart."""
        ranges = list(done)
        gaps: list[Range] = []
        offset = 0
        for low, high in self.gaps:
            gaps += _cut(low, high, low - offset, ranges)
            offset += high - low
        start, by = self.start, self.start - offset
        for first, end in ranges:
            if by + end > start:
                if by + first > start:
                    gaps.append((start, by + first))
                start = by + end
        return Rest(start, tuple(gaps))


ALL = Rest()


def _cut(low: int, high: int, by: int, ranges: list[Range]) -> Iterator[Range]:
    """What the ranges of numbers, each moved by so much, leave of the positions low .. high."""
    for first, end in ranges:
        cut = min(max(low, by + first), high)
        if cut > low:
            yield low, cut
        low = min(max(low, by + end), high)
    if low < high:
        yield low, high


def compressed(numbers: Iterable[int]) -> list[Range]:
    """Return the ranges that these numbers make up, which are in order."""
    ranges: list[Range] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return ranges
