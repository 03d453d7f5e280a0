"""What a function worker runs: the user's code, unit by unit, each reply in the slot that its unit came in."""

from __future__ import annotations

import marshal
import mmap
import os
import sys

from fastfeed import TYPE_CHECKING, _native, payload
from fastfeed.memory import grow
from fastfeed.work import Failed, failure
from fastfeed.worker import CONSUMER_FD, READY_FD, RING_FD, SPEC_FD, TABLE_FD, WORK_FD

if TYPE_CHECKING:
    from typing import Any

    from fastfeed.work import Failure

_ALIGN = 64


def packed_spec(work: object, careful: bool) -> bytes:
    """The spec of a function worker: a marshalled header, then the work's frame, aligned.

    Workers map it privately: arrays among the arguments are shared until somebody writes to them.
    """
    path = [entry or os.getcwd() for entry in sys.path]
    header = marshal.dumps({"sys_path": path, "careful": careful})
    start = -(-(8 + len(header)) // _ALIGN) * _ALIGN
    size, pieces = payload.frame(work, by_value=True)
    out = bytearray(start + size)
    out[:8] = len(header).to_bytes(8, "little")
    out[8 : 8 + len(header)] = header
    for at, piece in pieces:
        out[start + at : start + at + len(piece)] = piece
    return bytes(out)


def _load(fd: int) -> tuple[dict[str, Any], memoryview]:
    memory = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    length = int.from_bytes(memory[:8], "little")
    start = -(-(8 + length) // _ALIGN) * _ALIGN
    return marshal.loads(memory[8 : 8 + length]), memoryview(memory)[start:]


def main() -> None:
    """Run a function worker; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    spec, frame = _load(SPEC_FD)
    known = set(sys.path)
    sys.path.extend(entry for entry in spec["sys_path"] if entry not in known)
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    worker = _native.FunctionWorker(ring, number, WORK_FD, READY_FD)
    work: Any = None
    broken: Failure | None = None
    try:
        work = payload.read(frame)
    except Exception as error:  # told with the first unit, where the consumer listens
        broken = failure(Failed("loading it in a worker", error))

    def reserve(size: int) -> memoryview:
        if size > worker.allocated():
            worker.set_allocated(grow(RING_FD, worker.offset(), size, worker.limit()))
        return worker.payload(size)

    worker.attach()
    note = worker.note if spec["careful"] else None
    while worker.take() >= 0:
        items = 1
        code = 0
        try:
            if broken is not None:
                used, code = payload.write(broken, reserve), _native.E_PYTHON
            else:
                careful, unit, items = payload.read_copied(worker.payload(worker.used()))
                reply = work(unit, worker.note if careful else note)
                used = payload.write(reply, reserve)
                del reply, unit
        except BaseException as error:
            used, code = payload.write(failure(error), reserve), _native.E_PYTHON
        worker.reply(used, code, items)
    if hasattr(work, "close"):
        work.close()
