"""What a worker process runs that picks rows of arrays."""

from __future__ import annotations

import marshal
import posix  # os would cost a start more than all that is read here
import sys

from fastfeed import _native
from fastfeed.engine.boot import CONSUMER_FD, READY_FD, RING_FD, SPEC_FD, TABLE_FD, WORK_FD

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # (path, fd, device, inode, offset, stride, end) as in memmap.Place, bytes of a row, beginning in a slot
    Located = tuple[tuple[str, int, int, int, int, int, int], int, int]

_MADV_RANDOM = 1
# From this row size on, pread beats mapping (about one page: where a system call costs as much as the copy).
_READ_BYTES = 4096


def gather_of(spec: dict[str, Any], open_file: Callable[[str, int, int, int], int]) -> _native.Gather:
    """Return what picks rows of columns that lie in files; `open_file` is given a path, fd, device and inode.

    Large rows of a file are read: that brings in all of a row at once, and a file that has shrunk is an error and not
    a signal.  Small rows, and those of the memfd, are mapped: a call for each would cost more than the row.  The kernel
    must know of a shuffled order, or it reads far more around each row than the row itself.
    """
    columns: list[Located] = spec["columns"]
    gather = _native.Gather(spec["samples"], len(columns))
    mappings: dict[int, _native.Mapping] = {}
    for (path, its_fd, device, inode, offset, stride, end), row_bytes, slot_at in columns:
        fd = open_file(path, its_fd, device, inode)
        if path and row_bytes >= _READ_BYTES:
            if spec["shuffle"]:
                posix.posix_fadvise(fd, 0, 0, posix.POSIX_FADV_RANDOM)
            gather.add(None, fd, offset, stride, row_bytes, slot_at)
            continue
        if fd not in mappings:
            size = end if path else posix.fstat(fd).st_size
            mappings[fd] = _native.Mapping(fd, size, False)
            if path and spec["shuffle"]:
                mappings[fd].advise(0, size, _MADV_RANDOM)
        gather.add(mappings[fd], fd if path else -1, offset, stride, row_bytes, slot_at)
    return gather


def open_again(path: str, fd: int, device: int, inode: int) -> int:
    """Open a file of the consumer's: by its path or, where that names another file by now, by the consumer's fd."""
    if not path:
        return TABLE_FD
    for place in (path, f"/proc/{posix.getppid()}/fd/{fd}"):
        try:
            found = posix.open(place, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            continue
        status = posix.fstat(found)
        if (status.st_dev, status.st_ino) == (device, inode):
            return found
        posix.close(found)
    raise FileNotFoundError(f"{path} has been removed or replaced since the feed was made: make a new feed")


def main() -> None:
    """Run a worker that picks rows; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    spec = marshal.loads(posix.pread(SPEC_FD, posix.fstat(SPEC_FD).st_size, 0))
    ring = _native.Mapping(RING_FD, posix.fstat(RING_FD).st_size, True)
    gather = gather_of(spec, open_again)
    _native.GatherWorker(ring, gather, number, WORK_FD, READY_FD).run()
