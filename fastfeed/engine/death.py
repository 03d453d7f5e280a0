"""One worker's end, in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from fastfeed.errors import WorkerDied

# What is said of a worker that SIGKILL does not end.
HANGS = "has not ended: it hangs in the kernel, in a read from a network mount that does not answer, perhaps"

# What is said of a worker that a signal has stopped.
STOPPED = "is stopped (by SIGSTOP, or a debugger), and what it has in hand is waited for"


@dataclass(frozen=True)
class Death:
    """One worker that ended without being told to; it is reaped already."""

    worker: int
    pid: int
    signal: int | None
    exit_code: int | None
    cause: str | None = None  # where the crew ended it itself

    def __str__(self) -> str:
        if self.cause is not None:
            return f"worker {self.worker} (pid {self.pid}) {self.cause}"
        if self.signal is not None:
            name = signal.Signals(self.signal).name if self.signal in list(signal.Signals) else str(self.signal)
            hint = " (the out-of-memory killer, or kill -9)" if self.signal == signal.SIGKILL else ""
            return f"worker {self.worker} (pid {self.pid}) was ended by {name}{hint}"
        if self.exit_code is None:
            return f"worker {self.worker} (pid {self.pid}) ended, and something else in this process waited for it"
        return f"worker {self.worker} (pid {self.pid}) exited with code {self.exit_code}"


def died(death: Death, sample: str | None, what: str) -> WorkerDied:
    """The error for a worker that died; `what` says why that is the end."""
    doing = f" while it worked on {sample}" if sample else ""
    return WorkerDied(
        f"{what}; the last: {death}{doing}. Its own message, if any, is on standard error; "
        f"`fastfeed doctor` tries a worker alone, and num_workers=0 runs the work in this process",
        pid=death.pid,
        signal=death.signal,
        sample=sample,
    )


def undying(worker: int, pid: int, cause: str, spent: float, sample: str | None) -> WorkerDied:
    """The error for a worker that was killed and does not end."""
    doing = f" while it worked on {sample}" if sample else ""
    return WorkerDied(
        f"worker {worker} (pid {pid}) {cause}{doing}; it was killed {spent:.0f} s ago and {HANGS}. "
        f"Until it ends, nobody else can be given what it has in hand",
        pid=pid,
        signal=signal.SIGKILL,
        sample=sample,
    )
