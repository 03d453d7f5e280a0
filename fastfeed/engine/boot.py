"""What a worker is started with: where its descriptors are, how each kind is begun, where it looks for modules."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from typing import Final

# Where the crew puts a worker's descriptors.  A worker's thread watches CONSUMER_FD and the next one, LIFE_FD.
RING_FD, WORK_FD, READY_FD, CONSUMER_FD, LIFE_FD, TIMER_FD, SPEC_FD, TABLE_FD = range(3, 11)
# What a failed row may hold of its failure, however large the row is: the consumer copies it for every failed row.
FAILURE_BYTES = 64 << 10


class WorkerKind:
    """One kind of worker process.

    Attributes
    ----------
    module : str
        The module whose ``main`` it runs.
    flags : tuple of str
        Options of the interpreter.
    addressed : bool
        Whether slots may be for one worker alone, so that each needs a wake-up of its own.
    """

    def __init__(self, module: str, flags: tuple[str, ...], addressed: bool) -> None:
        self.module: Final = module
        self.flags: Final = flags
        self.addressed: Final = addressed


# A worker that runs no code of the user's needs nothing from outside.
ISOLATED: Final = ("-I", "-S")
# The user's code sees the interpreter's environment as it does in the consumer.
AS_IN_THE_CONSUMER: Final = ("-s", "-P", "-S")


def search_path() -> list[str]:
    """Where this process looks for modules, in a form that another can follow."""
    # Python passes over entries that are no text, such as a Path.
    return [str(entry) or os.getcwd() for entry in sys.path if isinstance(entry, str)]


def search_like(path: list[str]) -> None:
    """Look for modules where the consumer does, in its order: one of the user's may be named like one of Python's."""
    sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
