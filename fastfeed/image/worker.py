"""What an image worker process runs: settle in, attach to the ring, make rows until the feed stops."""

import marshal
import posix  # os and __future__ would cost a start more than all that is read here
import sys

from fastfeed import _native
from fastfeed.engine.boot import CONSUMER_FD, FAILURE_BYTES, READY_FD, RING_FD, SPEC_FD, TABLE_FD, WORK_FD


def main() -> None:
    """Run a worker that makes rows of images; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    spec = marshal.loads(posix.pread(SPEC_FD, posix.fstat(SPEC_FD).st_size, 0))
    ring = _native.Mapping(RING_FD, posix.fstat(RING_FD).st_size, True)
    if spec["calls"] is None:  # PIL and what it needs come from this interpreter's own places first
        sys.path.extend(entry for entry in spec["interpreter"]["path"] if entry not in sys.path)
        spec["plugins"] = spec["interpreter"]["plugins"]
    else:
        from fastfeed.wire.interpreter import become  # only now: it would delay every start

        become(spec["interpreter"])
    call, finish_plan = None, spec["finish_plan"]
    if spec["calls"] is not None:
        from fastfeed.image.finish import loaded_caller

        call = loaded_caller(spec)
        if call is not None and finish_plan is None:  # nothing but to say what went wrong
            finish_plan = spec["plan"]
    table = _native.Mapping(TABLE_FD, posix.fstat(TABLE_FD).st_size, False)
    worker = _native.Worker(ring, table, spec["plan"], finish_plan, spec["seed"], number, WORK_FD, READY_FD)
    worker.attach()
    if (step := worker.run()) == _native.STEP_STOP:
        return
    # Most workers never come here: it is what the kernel cannot do.
    from fastfeed.image.finish import content, finisher

    finish = finisher(spec, call)
    room = min(_native.plan_row_bytes(finish_plan or spec["plan"]), FAILURE_BYTES)
    while step != _native.STEP_STOP:
        try:
            finish(worker, step)
        except _native.KernelError as error:
            worker.fail(error.code, content(error, room))
        step = worker.run()
