"""fork: what a forked child does with what it inherits.

Nothing of the parent's is used in the child, or held there: descriptors are closed, iterators are over, and the ring's
memory is gone.  What the user refers to, the batches, becomes private memory with the content that it had.  The parent
copies it just before the fork: afterwards it may write to a batch, or let go of it, before the child runs.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastfeed import _native


class Inherited(Protocol):
    """What must know that it is in a forked child now."""

    def forked(self) -> None:
        """Let go of what is the parent's."""


_told: weakref.WeakSet[Inherited] = weakref.WeakSet()
_shared: weakref.WeakSet[_native.Ring] = weakref.WeakSet()
_copies: list[tuple[_native.Ring, dict[int, Any]]] = []


def tell(thing: Inherited) -> None:
    """Call its `forked` in every child that this process forks while it lives."""
    _told.add(thing)


def part(ring: _native.Ring) -> None:
    """Let the memory of a ring, and of batches that outlive it, be private in every child."""
    _shared.add(ring)


def _before() -> None:
    try:
        _copies[:] = [(ring, ring.held()) for ring in list(_shared)]
    except MemoryError:
        _copies.clear()  # the child tries it itself


def _in_child() -> None:
    copies = _copies.copy()
    _copies.clear()
    for ring in list(_shared):
        ring.part(next((held for copied, held in copies if copied is ring), {}))
    _shared.clear()  # what is private now, the next fork copies by itself
    for thing in list(_told):
        thing.forked()
    _told.clear()


os.register_at_fork(before=_before, after_in_parent=_copies.clear, after_in_child=_in_child)
