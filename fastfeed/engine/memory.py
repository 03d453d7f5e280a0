"""Memory that consumer and workers share: memfds made, sealed and grown, and the words where there is not enough.

Pages are made to exist before anybody stores to them: a store to a page that the system cannot provide would end the
process with a bus error, where a refusal here is an exception.
"""

from __future__ import annotations

import os

from fastfeed.errors import RingMemoryError

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable

# What a payload slot grows by at least, and what its size is rounded to: whole pages, which have 64 KiB at most.
_STEP = 64 << 10
# What is made to exist in one call: some ten milliseconds.
_PIECE = 64 << 20
_SMALLER = "lower prefetch, or pass and return smaller pieces"


def sealed(name: str, write: Callable[[int], object], writable: bool = False) -> int:
    """Make a memfd, have it written, and seal it.

    Parameters
    ----------
    name : str
        What the system's lists call it, behind "fastfeed-".
    write : callable
        Is given the descriptor, and gives the file its size and content.
    writable : bool
        Whether the content may change afterwards; the size may not.

    Returns
    -------
    int
        The descriptor, closed on exec; the caller's to close.  When anything raises, there is none.
    """
    import fcntl  # here, because workers make no memfd and would load it for nothing

    fd = os.memfd_create(f"fastfeed-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write(fd)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals if writable else seals | fcntl.F_SEAL_WRITE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_all(fd: int, content: bytes | bytearray | memoryview) -> None:
    """Write bytes at the file's position, however many calls that takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def allocate(fd: int, start: int, size: int, remedy: str) -> None:
    """Have a range of the file exist, so that no store to it can meet a bus error.

    Raises
    ------
    RingMemoryError
        If the system does not have that much memory.
    """
    try:
        # In pieces, or a signal would wait for all of it, and one that comes again and again begin it again and again.
        for at in range(start, start + size, _PIECE):
            os.posix_fallocate(fd, at, min(_PIECE, start + size - at))
    except OSError as error:
        from fastfeed.machine import said_bytes

        raise refused(f"{said_bytes(size)} more of shared memory", error, remedy) from error


def grow(fd: int, offset: int, size: int, limit: int, had: int, remedy: str = _SMALLER) -> int:
    """Make a payload slot, which holds `had` bytes, hold at least `size`; how many it holds then.

    Raises
    ------
    RingMemoryError
        If `size` is beyond the slot's `limit` or the memory.
    """
    if size > limit:
        raise too_large("a value needs", size, limit, remedy, who="one slot")
    # Values that grow a little each time must not call the system each time, and most do not grow.
    more = size // 4 if size < 4 * had else 0
    room = min((size + more) // _STEP * _STEP + _STEP, limit)
    allocate(fd, offset, room, remedy)
    return room


def too_large(needs: str, size: int, limit: int, remedy: str, who: str = "this process") -> RingMemoryError:
    """The error for what is larger than the memory that there may be; `needs` ends with the verb."""
    from fastfeed.machine import said_bytes  # here, because workers hardly ever come to this

    return RingMemoryError(f"{needs} {said_bytes(size)} of memory, and {who} may use {said_bytes(limit)}: {remedy}")


def refused(what: str, error: BaseException, remedy: str) -> RingMemoryError:
    """The error for memory that the system did not give."""
    reason = error.strerror if isinstance(error, OSError) else error
    return RingMemoryError(f"{what} was refused ({reason}): {remedy}")
