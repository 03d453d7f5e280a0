"""What an image worker process runs: settle in, attach to the ring, make rows until the feed stops."""

from __future__ import annotations

import marshal
import os
import sys

from fastfeed import _native
from fastfeed.engine.boot import CONSUMER_FD, FAILURE_BYTES, READY_FD, RING_FD, SPEC_FD, TABLE_FD, WORK_FD
from fastfeed.image.finish import content, finisher, loaded_caller


def main() -> None:
    """Run a worker that makes rows of images; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    spec = marshal.loads(os.pread(SPEC_FD, os.fstat(SPEC_FD).st_size, 0))
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    if spec["calls"] is None:  # PIL and what it needs come from this interpreter's own places first
        sys.path.extend(entry for entry in spec["interpreter"]["path"] if entry not in sys.path)
    else:
        from fastfeed.wire.interpreter import become  # only now: it would delay every start

        become(spec["interpreter"])
    table = _native.Mapping(TABLE_FD, os.fstat(TABLE_FD).st_size, False)
    worker = _native.Worker(ring, table, spec["plan"], spec["finish_plan"], spec["seed"], number, WORK_FD, READY_FD)
    call = None if spec["calls"] is None else loaded_caller(spec)
    finish = finisher(spec, call)
    room = min(_native.plan_row_bytes(spec["finish_plan"] or spec["plan"]), FAILURE_BYTES)
    worker.attach()
    while (step := worker.run()) != _native.STEP_STOP:
        try:
            finish(worker, step)
        except _native.KernelError as error:
            worker.fail(error.code, content(error, room))
