"""What a function worker runs: the user's code, unit by unit, each reply in the slot that its unit came in."""

from __future__ import annotations

import os
import sys

from fastfeed import _native
from fastfeed.engine import boot
from fastfeed.engine.boot import CONSUMER_FD, READY_FD, RING_FD, SPEC_FD, TABLE_FD, TIMER_FD, WORK_FD
from fastfeed.engine.memory import grow
from fastfeed.functions.caller import GivenBack
from fastfeed.functions.spec import Spec
from fastfeed.wire import arena as arenas, frame
from fastfeed.wire.callables import print_at_once
from fastfeed.wire.failure import Failed, failure
from fastfeed.wire.interpreter import become

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastfeed.functions.caller import Caller
    from fastfeed.wire.failure import Failure

    Reserve = Callable[[int], memoryview]

# How long a worker looks for work before it goes to sleep: small units come within microseconds.
_PATIENCE_NS = 50_000


def main() -> None:
    """Run a function worker; argv holds its number."""
    boot.number = number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    _native.keep_heap()
    print_at_once()
    spec = Spec(SPEC_FD)
    become(spec.interpreter)
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    worker = _native.FunctionWorker(ring, number, WORK_FD, READY_FD)
    worker.set_patience(_PATIENCE_NS)
    worker.set_timer(TIMER_FD)
    reserve = _reserver(worker)
    try:
        spec.initialize()
        caller = spec.caller()
    except BaseException as error:
        failed = error if isinstance(error, Failed) else Failed("loading the function in a worker", error)
        _refuse(worker, reserve, failure(failed))
        return
    _serve(worker, reserve, caller, spec.timed)
    worker.detach()
    caller.close()


def _reserver(worker: _native.FunctionWorker) -> Reserve:
    """Return what makes the first n bytes of the slot in hand exist, and returns them."""

    def reserve(size: int) -> memoryview:
        had = worker.allocated()
        if size > had:
            worker.set_allocated(grow(RING_FD, worker.offset(), size, worker.limit(), had))
        return worker.payload(size)

    return reserve


def _refuse(worker: _native.FunctionWorker, reserve: Reserve, broken: Failure) -> None:
    """Answer every unit with why none can be done: the consumer listens to answers, and to nothing before them."""
    worker.attach()
    while worker.take() >= 0:
        worker.reply(frame.write(broken, reserve, to_consumer=True), _native.E_PYTHON, 1)


def _serve(worker: _native.FunctionWorker, reserve: Reserve, caller: Caller, timed: bool) -> None:
    """Do units until the feed stops; if a timeout is set, say which item is in hand."""
    arena = caller.arena = arenas.in_hand = arenas.Arena(reserve, frame.HEAD_BYTES)
    note = worker.note if timed else None
    worker.attach()
    while worker.take() >= 0:
        items = 1
        code = 0
        try:
            one_by_one, unit, items = frame.read_copied(worker.payload(worker.used()))
            arena.clear()
            reply = GivenBack if unit is None else caller(unit, worker.note if one_by_one else note)
            try:
                used = frame.write(reply, reserve, True, arena)
            except frame.UnpicklableError:
                used = frame.write(caller.sendable(unit, reply), reserve, True, arena)
            del reply, unit
        except BaseException as error:
            used, code = frame.write(failure(error), reserve, to_consumer=True), _native.E_PYTHON
        worker.reply(used, code, items)
