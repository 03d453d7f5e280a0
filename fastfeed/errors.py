"""The exceptions that fastfeed raises, and nothing else.

FastfeedError
 +-- ConfigError        an option or a source that cannot work (also ValueError)
 +-- SampleError        one sample is bad: path, index, reason
 +-- WorkerError        user code raised in a worker: the exception is the cause, with a note
 +-- WorkerDied         a worker process ended without being told to: pid, signal, sample
 +-- RingMemoryError    the ring does not fit into memory (also MemoryError)
 +-- FeedClosed         the feed was closed, or a newer iteration has taken over (also RuntimeError)
"""

from __future__ import annotations

from functools import partial


class FastfeedError(Exception):
    """Base class of everything that fastfeed raises on purpose."""


class ConfigError(FastfeedError, ValueError):
    """An option, or a combination of options and source, that cannot work."""


class SampleError(FastfeedError):
    """One sample could not be prepared.

    Where a function of yours raised, its exception is ``__cause__``, with its traceback in the worker as a note.

    Attributes
    ----------
    path : str
        The file, or ``"sample 17"`` where the source is not made of files.
    index : int
        Position of the sample in the source.
    reason : str
        What is wrong with it.
    """

    def __init__(self, path: str, index: int, reason: str, remedy: str = "mend or remove it") -> None:
        super().__init__(path, index, reason, remedy)
        self.path = path
        self.index = index
        self.reason = reason
        self._remedy = remedy

    def __str__(self) -> str:
        # A file's name need not be text; it must not break whatever prints or logs the message.
        path = self.path.encode("utf-8", "backslashreplace").decode("utf-8")
        return f"{path} (index {self.index}): {self.reason}; {self._remedy}"


class WorkerError(FastfeedError):
    """User code raised in a worker: its exception is ``__cause__``, with the traceback in the worker as a note."""


class WorkerDied(FastfeedError):
    """A worker process ended without being told to.

    Attributes
    ----------
    pid : int
        The process that ended.
    signal : int or None
        The signal that ended it, or None where it exited by itself.
    sample : str or None
        What it was working on, or None where it was idle.
    """

    def __init__(self, message: str, *, pid: int, signal: int | None, sample: str | None) -> None:
        super().__init__(message)
        self.pid = pid
        self.signal = signal
        self.sample = sample

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), pid=self.pid, signal=self.signal, sample=self.sample), self.args


class RingMemoryError(FastfeedError, MemoryError):
    """The ring does not fit into the memory that this process may use."""


class FeedClosed(FastfeedError, RuntimeError):
    """The feed was closed, or a newer iteration of it has taken over."""
