"""Pages of a ring's file: made to exist before anybody stores to them."""

from __future__ import annotations

import os

from fastfeed.errors import RingMemoryError

# What a payload slot grows by at least, and the page size that everything is rounded to.
_STEP = 64 << 10


def allocate(fd: int, start: int, size: int) -> None:
    """Have a range of the file exist, so that no store to it can meet a bus error.

    Raises
    ------
    RingMemoryError
        If the system has not so much memory.
    """
    try:
        os.posix_fallocate(fd, start, size)
    except OSError as error:
        raise RingMemoryError(
            f"{size / 1e6:,.1f} MB more of shared memory were refused ({error.strerror}): lower prefetch, batch_size "
            f"or the size of what a batch holds, or use dtype='uint8'"
        ) from error


def grow(fd: int, offset: int, size: int, limit: int, had: int) -> int:
    """Make a payload slot that `had` so many bytes hold at least `size`; how many it then holds.

    Raises
    ------
    RingMemoryError
        If `size` is beyond the slot's `limit` or the memory.
    """
    if size > limit:
        raise RingMemoryError(
            f"a value of {size / 1e9:,.2f} GB does not fit: this process may use {limit / 1e9:,.2f} GB a slot; "
            f"yield smaller pieces"
        )
    # Values that grow a little each time must not call the system each time, and most do not grow.
    more = size // 4 if size < 4 * had else 0
    room = min((size + more) // _STEP * _STEP + _STEP, limit)
    allocate(fd, offset, room)
    return room
