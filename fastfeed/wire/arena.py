"""Memory of a frame that is still to be written, for arrays that will be part of it."""

from __future__ import annotations

import math

from fastfeed import _native

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ALIGN = 64
_SMALL = 4096


in_hand: Arena | None = None
"""In a function worker: the memory of the reply to the unit in hand, empty when the unit begins."""


class Arena:
    """Memory of a frame that is still to be written, for arrays that will be part of it.

    Parameters
    ----------
    reserve : callable
        Returns the first n bytes of the frame's memory; what it has returned before stays valid.
    start : int
        Where the first array may lie.
    """

    def __init__(self, reserve: Callable[[int], memoryview], start: int) -> None:
        self._reserve = reserve
        self._start = start
        self._address = 0
        self.end = 0

    def clear(self) -> None:
        """Begin another frame."""
        self.end = 0

    def allocate(self, size: int) -> memoryview:
        """The next `size` bytes, at least one."""
        start = -(-max(self.end, self._start) // _ALIGN) * _ALIGN
        memory = self._reserve(start + size)
        self._address = _native.address(memory)
        self.end = start + size
        return memory[start : self.end]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Make an array; as ``numpy.empty``."""
        import numpy as np

        size = math.prod(shape) * dtype.itemsize
        return np.ndarray(shape, dtype, self.allocate(size)) if size else np.empty(shape, dtype)

    def copied(self, array: Any) -> Any:
        """Copy an array into the arena or, if it is small, anywhere."""
        if array.nbytes < _SMALL or array.dtype.hasobject:
            return array.copy("K")
        flags = array.flags
        turned = flags.f_contiguous and not flags.c_contiguous
        made = self.empty(array.shape[::-1], array.dtype).T if turned else self.empty(array.shape, array.dtype)
        made[...] = array
        return made

    def offset(self, piece: memoryview) -> int:
        """Where a piece lies in the frame; -1 if it lies elsewhere."""
        if not self.end or not len(piece):
            return -1
        offset = _native.address(piece) - self._address
        return offset if 0 < offset <= self.end - len(piece) else -1
