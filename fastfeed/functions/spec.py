"""The spec of function workers: the caller and its arguments, packed once for all of them and unpacked in each.

    u64 length | marshalled header | the caller's frame | the frame of its arguments

Workers map it privately: arrays among the arguments are shared until somebody writes to them.
"""

from __future__ import annotations

import marshal
import mmap

from fastfeed.wire import callables, frame
from fastfeed.wire.interpreter import described

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from typing import Any

    from fastfeed.functions.caller import Arguments, Caller

_ALIGN = 64


def packed_spec(caller: Caller, timed: bool) -> bytearray:
    """Pack a caller, with its frames aligned; `timed` says that a timeout is set.

    Raises
    ------
    UnpicklableError
        If the function or an argument cannot travel.
    """
    frames = [callables.packed(caller), frame.frame(_named(caller.arguments()))]
    header = {"interpreter": described(), "timed": timed}
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


class Spec:
    """The spec as a worker reads it, from the file that holds it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        memory = self._mapped()
        length = int.from_bytes(memory[:8], "little")
        header = marshal.loads(memory[8 : 8 + length])
        self.interpreter: dict[str, Any] = header["interpreter"]
        self.timed: bool = header["timed"]
        self._caller_at, self._arguments_at = header["starts"]

    def _mapped(self) -> memoryview:
        """A fresh private mapping of everything."""
        return memoryview(mmap.mmap(self._fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE))

    def caller(self) -> Caller:
        """The caller, which gets fresh arguments whenever it asks for them."""
        caller: Caller = callables.unpacked(self._mapped()[self._caller_at :])
        caller.attach(lambda: frame.read(self._mapped()[self._arguments_at :]))
        callables.share_main([caller.function])
        return caller
