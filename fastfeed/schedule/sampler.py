"""A sampler of the user's as the order of an epoch: an iterable of indices, or of lists of them."""

from __future__ import annotations

import hashlib
import operator
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from fastfeed import options
from fastfeed.errors import ConfigError
from fastfeed.randomness.search import held_by
from fastfeed.randomness.seeds import RandomAside
from fastfeed.schedule.rest import Rest

_WHAT = "pass an iterable of indices, or of lists of indices"
# As many of an epoch's first elements are kept as may be needed to pad: one for each shard but one, so a few.
_FIRST = 4096
# No more elements than this are drawn in one go.
_TOGETHER = 4096

Seen = tuple[int, int]  # how many elements of an epoch have been drawn, and their checksum
NOTHING_SEEN: Seen = (0, 0)


class SamplerOrder:
    """What a sampler yields, in its order; a list is a batch.

    Parameters
    ----------
    sampler : iterable of int, or of sequences of int
        Gone through once an epoch; its ``set_epoch``, or that of the ``sampler`` within it, is called before.  One that
        has a length is asked for its first element at once, to see whether that is a list.
    samples : int
        How many there are.
    most : int
        Indices in a list, at most.

    Attributes
    ----------
    length : int or None
        Elements of an epoch, if the sampler knows.
    listed : bool or None
        Whether they are lists; None until the first is drawn.
    """

    def __init__(self, sampler: Any, samples: int, most: int) -> None:
        if not isinstance(sampler, Iterable) and not hasattr(sampler, "__getitem__"):
            raise options.wrong("sampler", sampler, _WHAT)
        self._sampler = sampler
        self._samples = samples
        self._most = most
        self._begun = False
        self._fingerprint: dict[str, Any] | None = None
        self.length: int | None = None
        self.listed: bool | None = None
        try:
            self.length = len(sampler)
        except TypeError:
            return
        with RandomAside(held_by({"sampler": sampler}, {})):  # it is not to draw another order because of this
            for element in sampler:
                self.element(element)
                break
            else:
                raise options.wrong("sampler", sampler, f"{_WHAT}: this one is empty")

    def walk(self, epoch: int, rest: Rest, seen: Seen) -> SamplerWalk:
        """Begin to go through an epoch, of which this is left and of which that was seen before."""
        for holder in (self._sampler, getattr(self._sampler, "sampler", None)):
            set_epoch = getattr(holder, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(epoch)
        given = options.begun(self._sampler, self._begun, f"sampler, a {type(self._sampler).__name__},")
        self._begun, self._fingerprint = True, None
        return SamplerWalk(self, given, rest, seen)

    @property
    def name(self) -> str:
        """What messages call the sampler."""
        return type(self._sampler).__name__

    def element(self, given: Any) -> list[int]:
        """An index, or a list of them, checked, as a list."""
        if isinstance(given, bool):
            raise ConfigError(f"the sampler has yielded {given}: let it yield indices, such as numpy.flatnonzero(mask)")
        try:
            indices, listed = [operator.index(given)], False
        except TypeError:
            try:
                indices, listed = [operator.index(index) for index in given], True
            except TypeError:
                raise ConfigError(f"the sampler has yielded {given!r}: {_WHAT} as the sampler") from None
        if self.listed is None:
            self.listed = listed
        if listed is not self.listed:
            raise ConfigError(f"the sampler yields indices and lists, the last {given!r}: let it yield either")
        if not indices:
            raise ConfigError("the sampler has yielded an empty list: let it leave that out")
        if len(indices) > self._most and listed:
            raise ConfigError(
                f"the sampler has yielded a list of {len(indices)} indices, and batch_size={self._most}: pass the most "
                f"that a list may have as batch_size"
            )
        for index in indices:
            if not 0 <= index < self._samples:
                raise ConfigError(
                    f"the sampler has yielded {index}, and there are {self._samples} samples: let it yield indices "
                    f"from 0 to {self._samples - 1}"
                )
        return indices

    def fingerprint(self) -> dict[str, Any]:
        """Return what tells this sampler from others, as far as can be seen; looked at once in each epoch."""
        if self._fingerprint is None:
            self._fingerprint = {"sampler": self.name, "length": self.length}
            if isinstance(self._sampler, Sequence) and not isinstance(self._sampler, range):
                numbers = array("q", (index for given in self._sampler for index in self.element(given)))
                self._fingerprint["elements"] = hashlib.blake2s(numbers.tobytes(), digest_size=8).hexdigest()
        return self._fingerprint


class SamplerWalk:
    """An epoch of a sampler while it is gone through.

    A saved state says what was seen so far.  Where it goes on, the sampler must draw the same again, for what is left
    is all but that.

    Parameters
    ----------
    order : SamplerOrder
        Makes elements of what is given.
    given : iterator
        What the sampler yields.
    rest : Rest
        What is left of the epoch.
    seen : (int, int)
        How many elements were drawn before, and their checksum.

    Attributes
    ----------
    seen : (int, int)
        The same of this walk, as far as it is.
    first : list of list of int
        The epoch's first elements, for padding.
    """

    def __init__(self, order: SamplerOrder, given: Iterator[Any], rest: Rest, seen: Seen) -> None:
        self._order = order
        self._elements = map(order.element, given)
        self._ranges = rest.ranges(sys.maxsize)
        self._low, self._high = next(self._ranges)
        self._before = seen
        self.seen = NOTHING_SEEN
        self.first: list[list[int]] = []

    @property
    def is_confirmed(self) -> bool:
        """Whether all that was seen before has been drawn again."""
        return self.seen[0] >= self._before[0]

    def take(self, count: int) -> list[list[int]]:
        """Return the next elements that are left, fewer than `count` where there are no more."""
        taken: list[list[int]] = []
        while len(taken) < count:
            position = self.seen[0]
            if position == self._high:
                self._low, self._high = next(self._ranges)
            is_left = position >= self._low
            drawn = self._draw(min(count - len(taken), self._high - position) if is_left else self._low - position)
            if not drawn:
                break
            if is_left:
                taken += drawn
        return taken

    def _draw(self, most: int) -> list[list[int]]:
        """The next elements, some of so many, none at the end."""
        (position, checksum), was_confirmed = self.seen, self.is_confirmed
        if not was_confirmed:
            most = min(most, self._before[0] - position)  # it is compared there
        drawn = list(islice(self._elements, min(most, _TOGETHER)))
        self.first += drawn[: _FIRST - len(self.first)]
        self.seen = position + len(drawn), checksum_of(drawn, self._order.listed, checksum)
        if not was_confirmed and (not drawn or (self.is_confirmed and self.seen != self._before)):
            raise drawn_anew(self._order.name, self._before[0])
        return drawn


def checksum_of(elements: list[list[int]], listed: bool | None, before: int) -> int:
    """Return the CRC-32 of elements that follow those with the one before; `listed` says whether they are lists."""
    if not listed:
        return zlib.crc32(array("q", chain.from_iterable(elements)), before)
    for element in elements:
        before = zlib.crc32(array("q", (len(element), *element)), before)
    return before


def drawn_anew(name: str, count: int) -> ConfigError:
    """Return the error for a sampler that is gone through again and does not begin as it has begun before."""
    return ConfigError(
        f"the sampler, a {name}, does not draw again the {count} that it had drawn when this state was taken, so what "
        f"is left of the epoch would repeat some samples and leave out others: pass a sampler whose set_epoch or seed "
        f"decides the order, or shuffle=True in its place; or begin the epoch anew"
    )
