"""Memory of a frame that is yet to be written, for arrays that are to be part of it."""

from __future__ import annotations

import math

from fastfeed import _native

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Where the first array of a frame may lie: behind its head.
_HEAD_BYTES = 24
_ALIGN = 64
_SMALL = 4096


class Arena:
    """Memory of a frame that is yet to be written, for arrays that are to be part of it.

    Parameters
    ----------
    reserve : callable
        Returns so many bytes of the frame's memory, from its beginning; what it has returned before stays valid.
    """

    def __init__(self, reserve: Callable[[int], memoryview]) -> None:
        self._reserve = reserve
        self._address = 0
        self.end = 0

    def clear(self) -> None:
        """Begin another frame."""
        self.end = 0

    def take(self, size: int) -> memoryview:
        """So many bytes, at least one."""
        start = -(-max(self.end, _HEAD_BYTES) // _ALIGN) * _ALIGN
        memory = self._reserve(start + size)
        self._address = _native.address(memory)
        self.end = start + size
        return memory[start : self.end]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Make an array; as ``numpy.empty``."""
        import numpy as np

        size = math.prod(shape) * dtype.itemsize
        return np.ndarray(shape, dtype, self.take(size)) if size else np.empty(shape, dtype)

    def copied(self, array: Any) -> Any:
        """Copy an array: here, unless it is small."""
        if array.nbytes < _SMALL or array.dtype.hasobject:
            return array.copy("K")
        flags = array.flags
        turned = flags.f_contiguous and not flags.c_contiguous
        made = self.empty(array.shape[::-1], array.dtype).T if turned else self.empty(array.shape, array.dtype)
        made[...] = array
        return made

    def offset(self, piece: memoryview) -> int:
        """Where a piece lies in the frame, or -1."""
        if not self.end or not len(piece):
            return -1
        offset = _native.address(piece) - self._address
        return offset if 0 < offset <= self.end - len(piece) else -1
