"""What a worker process runs: settle in, attach to the ring, work until told to stop."""

from __future__ import annotations

import marshal
import os
import sys

from fastfeed import TYPE_CHECKING, _native

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastfeed._native import Sample, Worker

    # (path, fd, device, inode, offset, stride, end) as in columns.Place, bytes of a row, beginning in a slot
    Located = tuple[tuple[str, int, int, int, int, int, int], int, int]
    Step = Callable[["Worker | Sample", int], None]

# Where the crew puts a worker's descriptors.
RING_FD, WORK_FD, READY_FD, CONSUMER_FD, SPEC_FD, TABLE_FD = range(3, 9)

TRANSFORM = "transform "  # how the reason of a user's function that failed begins
_MADV_RANDOM = 1
# Rows of a file are read from this size on: a page, for which a call costs about what the copy does.
_READ_BYTES = 4096


class RowFailed(Exception):
    """A row that Python could not finish: the text is for the user."""


def finisher(spec: dict[str, Any]) -> Step:
    """Return what finishes a row that the kernel handed over: PIL for formats it does not know, the user's callables.

    The same function serves the workers and ``num_workers=0``, so both make the same bytes.
    """
    calls: tuple[Callable[[Any], Any], ...] = ()
    if spec["calls"] is not None:
        import pickle

        calls = pickle.loads(spec["calls"])

    def call(pixels: bytearray) -> Any:
        import numpy as np

        image = np.frombuffer(pixels, np.uint8).reshape(spec["call_shape"])
        for function in calls:
            name = getattr(function, "__name__", type(function).__name__)
            try:
                image = np.asarray(function(image))
            except Exception as error:
                where = _line(error)
                raise RowFailed(f"{TRANSFORM}{name} raised {type(error).__name__}: {error}{where}") from error
            if image.dtype != np.uint8 or image.shape != tuple(spec["call_shape"]):
                raise RowFailed(
                    f"{TRANSFORM}{name} returned {image.dtype} {image.shape}; "
                    f"it must return uint8 {tuple(spec['call_shape'])}, as it was given"
                )
        return np.ascontiguousarray(image).reshape(-1)

    def finish(maker: Worker | Sample, step: int) -> None:
        if step == _native.STEP_DECODE:
            from fastfeed.decode import DecodeError, decode

            try:
                rgb, width, height = decode(maker.data(), max_pixels=spec["max_pixels"], orient=spec["orient"])
            except DecodeError as error:
                raise RowFailed(str(error)) from error
            step = maker.decoded(rgb, width, height)
        if step == _native.STEP_CALL:
            maker.called(call(maker.pixels()))

    return finish


def _line(error: Exception) -> str:
    """Return where a user's function raised: its own line, not that of a library it called; no traceback gets out."""
    frame = None if error.__traceback__ is None else error.__traceback__.tb_next
    return "" if frame is None else f" ({frame.tb_frame.f_code.co_filename}, line {frame.tb_lineno})"


def gather_of(spec: dict[str, Any], open_file: Callable[[str, int, int, int], int]) -> _native.Gather:
    """Return what picks rows of columns that lie in files; `open_file` is given a path, fd, device and inode.

    Large rows of a file are read: that brings in all of a row at once, and a file that has shrunk is an error and not
    a signal.  Small rows, and those of the memfd, are mapped: a call for each would cost more than the row.  The kernel
    is told of a shuffled order, or it would read far more around each row than the row.
    """
    columns: list[Located] = spec["columns"]
    gather = _native.Gather(spec["samples"], len(columns))
    mappings: dict[int, _native.Mapping] = {}
    for (path, its_fd, device, inode, offset, stride, end), row_bytes, slot_at in columns:
        fd = open_file(path, its_fd, device, inode)
        if path and row_bytes >= _READ_BYTES:
            if spec["shuffle"]:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            gather.add(None, fd, offset, stride, row_bytes, slot_at)
            continue
        if fd not in mappings:
            size = end if path else os.fstat(fd).st_size
            mappings[fd] = _native.Mapping(fd, size, False)
            if path and spec["shuffle"]:
                mappings[fd].advise(0, size, _MADV_RANDOM)
        gather.add(mappings[fd], fd if path else -1, offset, stride, row_bytes, slot_at)
    return gather


def open_again(path: str, fd: int, device: int, inode: int) -> int:
    """Open a file of the consumer's: by its path or, where that names another file by now, by the consumer's fd."""
    if not path:
        return TABLE_FD
    for place in (path, f"/proc/{os.getppid()}/fd/{fd}"):
        try:
            found = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        status = os.fstat(found)
        if (status.st_dev, status.st_ino) == (device, inode):
            return found
        os.close(found)
    raise FileNotFoundError(f"{path} has been removed or replaced since the feed was made: make a new feed")


def main() -> None:
    """Run a worker that makes rows, of images or of columns; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    spec = marshal.loads(os.pread(SPEC_FD, os.fstat(SPEC_FD).st_size, 0))
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    if "columns" in spec:
        gather = gather_of(spec, open_again)
        _native.GatherWorker(ring, gather, number, WORK_FD, READY_FD).run()
        return
    known = set(sys.path)
    sys.path.extend(entry for entry in spec["sys_path"] if entry not in known)
    table = _native.Mapping(TABLE_FD, os.fstat(TABLE_FD).st_size, False)
    worker = _native.Worker(ring, table, spec["plan"], spec["store"], spec["seed"], number, WORK_FD, READY_FD)
    finish = finisher(spec)
    worker.attach()
    while (step := worker.run()) != _native.STEP_STOP:
        try:
            finish(worker, step)
        except RowFailed as error:
            worker.fail(_native.E_PYTHON, str(error))
