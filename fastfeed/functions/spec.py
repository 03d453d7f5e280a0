"""The work of function workers and its arguments, packed once for all of them."""

from __future__ import annotations

import marshal
import os
import sys

from fastfeed.wire import frame

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from fastfeed.functions.caller import Arguments, Caller


_ALIGN = 64


def packed_spec(work: Caller, careful: bool) -> bytearray:
    """The spec of a function worker: a marshalled header, the work's frame and that of its arguments, aligned.

    Workers map it privately: arrays among the arguments are shared until somebody writes to them.

    Raises
    ------
    UnpicklableError
        If the function or an argument cannot travel.
    """
    frames = [frame.frame(work, by_value=True), frame.frame(_named(work.arguments()))]
    header = {"sys_path": [entry or os.getcwd() for entry in sys.path], "careful": careful, "starts": [0, 0]}
    # Room for the largest numbers: they are not known before the header's size is.
    starts = []
    end = 8 + len(marshal.dumps({**header, "starts": [1 << 62, 1 << 62]}))
    for size, _ in frames:
        starts.append(-(-end // _ALIGN) * _ALIGN)
        end = starts[-1] + size
    packed = marshal.dumps({**header, "starts": starts})
    out = bytearray(end)
    out[:8] = len(packed).to_bytes(8, "little")
    out[8 : 8 + len(packed)] = packed
    for start, (_, pieces) in zip(starts, frames, strict=True):
        frame.fill(memoryview(out)[start:], pieces)
    return out


def _named(arguments: Arguments | None) -> Arguments | None:
    """The same arguments, files by name."""
    if arguments is None:
        return None
    from fastfeed.wire.memmap import by_path  # in the consumer only: its imports would delay every worker

    args, kwargs = arguments
    return tuple(map(by_path, args)), {name: by_path(value) for name, value in kwargs.items()}
