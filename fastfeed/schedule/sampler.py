"""A sampler of the user's as the order of an epoch: an iterable of indices, or of lists of them."""

from __future__ import annotations

import hashlib
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fastfeed import options
from fastfeed.errors import ConfigError
from fastfeed.randomness.search import held_by
from fastfeed.randomness.seeds import RandomAside
from fastfeed.schedule.rest import Rest

_WHAT = "pass an iterable of indices, or of lists of indices"


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
        self.length: int | None = None
        self.listed: bool | None = None
        try:
            self.length = len(sampler)
        except TypeError:
            return
        with RandomAside(held_by({"sampler": sampler}, {})):  # it is not to draw another order because of this
            for element in sampler:
                self._element(element)
                break
            else:
                raise options.wrong("sampler", sampler, f"{_WHAT}: this one is empty")

    def left(self, epoch: int, rest: Rest) -> tuple[Iterator[list[int]], list[list[int]]]:
        """Return the elements of an epoch that are left, and a list that comes to hold its first ones, for padding."""
        for holder in (self._sampler, getattr(self._sampler, "sampler", None)):
            set_epoch = getattr(holder, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(epoch)
        elements = iter(self._sampler)
        if elements is self._sampler and self._begun:
            raise ConfigError(
                f"this sampler, a {type(elements).__name__}, can be gone through only once, and the first epoch has "
                f"done so: pass a list, or an object whose __iter__ begins afresh"
            )
        self._begun = True
        first: list[list[int]] = []
        return self._walked(elements, rest, first), first

    def _walked(self, elements: Iterator[Any], rest: Rest, first: list[list[int]]) -> Iterator[list[int]]:
        gaps = iter(rest.gaps)
        low, high = next(gaps, (rest.start, None))
        for position, given in enumerate(elements):
            element = self._element(given)
            if len(first) < _FIRST:
                first.append(element)
            if high is not None and position >= high:
                low, high = next(gaps, (rest.start, None))
            if position >= low:
                yield element

    def _element(self, given: Any) -> list[int]:
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
        """Return what tells this sampler from others, as far as can be seen."""
        found: dict[str, Any] = {"sampler": type(self._sampler).__name__, "length": self.length}
        if isinstance(self._sampler, Sequence) and not isinstance(self._sampler, range):
            numbers = array("q", (index for given in self._sampler for index in self._element(given)))
            found["elements"] = hashlib.blake2s(numbers.tobytes(), digest_size=8).hexdigest()
        return found


# As many of an epoch's first elements are kept as may be needed to pad: one for each shard but one, so a few.
_FIRST = 4096
