"""What a function worker runs: the user's code, unit by unit, each reply in the slot that its unit came in."""

from __future__ import annotations

import os
import sys

from fastfeed import _native
from fastfeed.engine.boot import CONSUMER_FD, READY_FD, RING_FD, SPEC_FD, TABLE_FD, WORK_FD
from fastfeed.engine.memory import grow
from fastfeed.functions.caller import GivenBack
from fastfeed.functions.spec import Spec
from fastfeed.wire import callables, frame
from fastfeed.wire.arena import Arena
from fastfeed.wire.failure import Failed, failure

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from fastfeed.functions.caller import Caller
    from fastfeed.wire.failure import Failure


def main() -> None:
    """Run a function worker; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    _native.keep_heap()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # what is printed must not wait for the end, which may be sudden
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    spec = Spec(SPEC_FD)
    callables.search_like(spec.sys_path)
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    worker = _native.FunctionWorker(ring, number, WORK_FD, READY_FD)
    work: Caller | None = None
    broken: Failure | None = None
    try:
        work = spec.caller()
    except BaseException as error:  # reported with the first unit, where the consumer listens
        broken = failure(Failed("loading the function in a worker", error))

    def reserve(size: int) -> memoryview:
        had = worker.allocated()
        if size > had:
            worker.set_allocated(grow(RING_FD, worker.offset(), size, worker.limit(), had))
        return worker.payload(size)

    arena = Arena(reserve, frame.HEAD_BYTES)
    if work is not None:
        work.arena = arena
    worker.attach()
    note = worker.note if spec.careful else None
    while worker.take() >= 0:
        items = 1
        code = 0
        try:
            if work is None:
                used, code = frame.write(broken, reserve, to_consumer=True), _native.E_PYTHON
            else:
                careful, unit, items = frame.read_copied(worker.payload(worker.used()))
                arena.clear()
                reply = GivenBack if unit is None else work(unit, worker.note if careful else note)
                try:
                    used = frame.write(reply, reserve, True, arena)
                except frame.UnpicklableError:
                    used = frame.write(work.sendable(unit, reply), reserve, True, arena)
                del reply, unit
        except BaseException as error:
            used, code = frame.write(failure(error), reserve, to_consumer=True), _native.E_PYTHON
        worker.reply(used, code, items)
    if work is not None:
        work.close()
