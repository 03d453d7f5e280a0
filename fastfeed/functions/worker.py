"""What a function worker runs: the user's code, unit by unit, each reply in the slot that its unit came in."""

from __future__ import annotations

import marshal
import mmap
import os
import sys

from fastfeed import _native
from fastfeed.engine.boot import CONSUMER_FD, READY_FD, RING_FD, SPEC_FD, TABLE_FD, WORK_FD
from fastfeed.engine.memory import grow
from fastfeed.functions.caller import GivenBack
from fastfeed.wire import frame
from fastfeed.wire.arena import Arena
from fastfeed.wire.failure import Failed, failure

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from typing import Any

    from fastfeed.functions.caller import Caller
    from fastfeed.wire.failure import Failure


def _spec() -> tuple[dict[str, Any], memoryview]:
    """The header, and a fresh private mapping of everything."""
    memory = memoryview(mmap.mmap(SPEC_FD, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE))
    length = int.from_bytes(memory[:8], "little")
    return marshal.loads(memory[8 : 8 + length]), memory


def _load() -> Caller:
    spec, memory = _spec()
    work: Caller = frame.read(memory[spec["starts"][0] :])
    start = spec["starts"][1]
    work.attach(lambda: frame.read(_spec()[1][start:]))
    # A pool that the function makes finds its own functions by name.
    scope = getattr(_innermost(work.function), "__globals__", {})
    if scope.get("__name__") == "__main__":
        for name, value in scope.items():
            vars(sys.modules["__main__"]).setdefault(name, value)
    return work


def _innermost(function: Any) -> Any:
    """The function within partials, methods and decorators."""
    while True:
        for name in ("func", "__func__", "__wrapped__"):
            inner = getattr(function, name, None)
            if callable(inner):
                function = inner
                break
        else:
            return function if hasattr(function, "__globals__") else type(function).__call__


def main() -> None:
    """Run a function worker; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    _native.keep_heap()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # what is printed must not wait for the end, which may be sudden
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    spec, _ = _spec()
    # The consumer's order: a module of the user's may bear the name of one of Python's.
    sys.path[:] = [*spec["sys_path"], *(entry for entry in sys.path if entry not in spec["sys_path"])]
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    worker = _native.FunctionWorker(ring, number, WORK_FD, READY_FD)
    work: Caller | None = None
    broken: Failure | None = None
    try:
        try:
            work = _load()
        except ImportError:
            # What was installed as editable may be found only by hooks that site sets up.  It is left for this case
            # because it costs time.
            import site

            site.main()
            work = _load()
    except BaseException as error:  # told with the first unit, where the consumer listens
        broken = failure(Failed("loading the function in a worker", error))

    def reserve(size: int) -> memoryview:
        had = worker.allocated()
        if size > had:
            worker.set_allocated(grow(RING_FD, worker.offset(), size, worker.limit(), had))
        return worker.payload(size)

    arena = Arena(reserve)
    if work is not None:
        work.arena = arena
    worker.attach()
    note = worker.note if spec["careful"] else None
    while worker.take() >= 0:
        items = 1
        code = 0
        try:
            if work is None:
                used, code = frame.write(broken, reserve, home=True), _native.E_PYTHON
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
            used, code = frame.write(failure(error), reserve, home=True), _native.E_PYTHON
        worker.reply(used, code, items)
    if work is not None:
        work.close()
