"""replay: the same few batches again and again, as an infinitely fast loader would give them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from fastfeed import options, tree
from fastfeed.engine.summary import said_batch
from fastfeed.errors import ConfigError
from fastfeed.wire.snapshot import snapshot

T = TypeVar("T")


def replay(feed: Iterable[T], n: int = 10, *, length: int | None = None) -> Replay[T]:
    """Take n batches, and give them to a loop again and again: the rate that no faster feeding could exceed.

    Run the loop over the feed and over the replay for as long, and compare batches a second.  ``rate(feed) /
    rate(replay)`` is the part of the time that the loop would take anyway; the rest of it is what feeding costs, by
    waiting and by what workers take away from the loop (processors, memory bandwidth).  Where it is near 1, no faster
    feed would help.

    Parameters
    ----------
    feed : iterable
        A feed, what ``to_torch()`` and its siblings return, a `DataLoader`, anything that yields batches.
    n : int
        How many batches to take, at least 1: more where the loop is faster with what lies in the processor's caches.
    length : int, optional
        Batches of an epoch.  Left out, as many as the feed has; endless where the feed has no ``len``.

    Returns
    -------
    Replay
        Iterable, as often as you like.

    Raises
    ------
    ConfigError
        Something that cannot be iterated or yields nothing, an `n` or a `length` below 1.

    Notes
    -----
    The batches are taken at once, before this returns: they are the first of an epoch, the rest of which is given up.
    Each is copied, all the way down, so that no slot is held and the feed may be iterated or closed meanwhile.  Tensors
    stay on their device, and in page-locked memory if they were.  A loop that writes to its batches finds there what it
    wrote the time before.
    """
    if not isinstance(feed, Iterable) and not hasattr(type(feed), "__getitem__"):
        raise options.wrong("feed", feed, "pass a feed, or another iterable of batches")
    count = options.whole("n", n, 1)
    if length is not None:
        options.whole("length", length, 1, remedy="pass the batches of an epoch, or None for as many as the feed has")
    source = iter(feed)
    try:
        batches = [tree.mapped(batch, _copied, lists=True) for batch in itertools.islice(source, count)]
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
    if not batches:
        raise ConfigError("replay() has got no batch: pass a feed that yields at least one")
    return Replay(batches, length if length is not None else _length_of(feed))


class Replay(Generic[T]):
    """Batches that come again and again; see `replay`."""

    def __init__(self, batches: list[T], length: int | None) -> None:
        self._batches = batches
        self._length = length

    def __repr__(self) -> str:
        count = len(self._batches)
        what = "1 batch" if count == 1 else f"{count} batches"
        epoch = "for ever" if self._length is None else f"{self._length:,} an epoch"
        return f"<fastfeed.Replay: {what} of {said_batch(self._batches[0])} again and again, {epoch}>"

    def __iter__(self) -> Iterator[T]:
        return itertools.islice(itertools.cycle(self._batches), self._length)

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("this replay has no len(): its feed has none, and no length= was passed")
        return self._length


def _copied(leaf: Any) -> Any:
    copy = snapshot(leaf)
    is_pinned = getattr(leaf, "is_pinned", None)  # a tensor of PyTorch's, whose copies lie in ordinary memory
    return copy.pin_memory() if is_pinned is not None and is_pinned() else copy


def _length_of(feed: object) -> int | None:
    try:
        return len(feed) if isinstance(feed, Sized) else None
    except TypeError:
        return None
