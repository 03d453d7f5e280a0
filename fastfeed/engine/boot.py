"""What a worker is started with: where its descriptors are, how each kind is begun."""

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from typing import Final

# Where the crew puts a worker's descriptors.  A worker's thread watches CONSUMER_FD and the next one, LIFE_FD.
RING_FD, WORK_FD, READY_FD, CONSUMER_FD, LIFE_FD, TIMER_FD, SPEC_FD, TABLE_FD = range(3, 11)
# What a failed row may hold of its failure, however large the row is: the consumer copies it for every failed row.
FAILURE_BYTES = 64 << 10

number: int | None = None
"""Which worker this process is, counted from 0; None in the consumer."""


class WorkerKind:
    """One kind of worker process.

    Attributes
    ----------
    module : str
        The module whose ``main`` it runs.
    isolated : bool
        Whether it runs no code of the user's, and needs nothing from outside; else it is the consumer's interpreter.
    addressed : bool
        Whether slots may be for one worker alone, so that each needs a wake-up of its own.
    """

    def __init__(self, module: str, *, isolated: bool, addressed: bool) -> None:
        self.module: Final = module
        self.isolated: Final = isolated
        self.addressed: Final = addressed
