"""One worker's end, in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass


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
