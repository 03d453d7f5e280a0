"""Failures of the user's code on their way to the consumer: the exception, its traceback, what was being done."""

from __future__ import annotations

import traceback

from fastfeed.errors import RingMemoryError, WorkerError
from fastfeed.wire import frame

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    Failure = tuple[str, BaseException, str]  # what was being done, the exception, its traceback as text


class Failed(Exception):
    """User code raised; `cause` is its exception and `what` names the piece of work."""

    def __init__(self, what: str, cause: BaseException) -> None:
        super().__init__(what, cause)
        self.what = what
        self.cause = cause


def failure(error: BaseException, frameless: bool = False) -> Failure:
    """What travels when user code raised; an exception that cannot be pickled goes as text.

    `frameless`: drop the frames of the exception's traceback, so that what they hold is freed now rather than at the
    next garbage collection.
    """
    what = ""
    if isinstance(error, Failed):
        what, error = error.what, error.cause
    text = "".join(traceback.format_exception(error))
    if frameless:
        _let_go(error)
    try:
        frame.copied(error)  # many an exception class can be pickled, but not made from what was pickled
    except Exception:
        error = RuntimeError(said(error))
    return what, error, text


def item_failure(error: BaseException, in_worker: bool) -> Failure:
    """The same for one item, whatever was raised: `asyncio.CancelledError` is no `Exception`.

    What concerns every item is raised: running out of memory for its result, and an interrupt of the consumer.  A
    worker's signals are the function's business.
    """
    if isinstance(error, RingMemoryError):
        raise error
    if not in_worker:
        from fastfeed.interrupt import interrupts

        if interrupts(error):
            raise error
    return failure(error, frameless=in_worker)


def _let_go(error: BaseException | None) -> None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        BaseException.with_traceback(error, None)  # a class of the user's may refuse to have attributes set
        error = error.__cause__ or error.__context__


def said(error: BaseException) -> str:
    """An exception in one line."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def worker_error(who: str, what: str, cause: BaseException, text: str) -> WorkerError:
    """The error for what user code raised, with that as its cause."""
    cause = with_note(cause, text)
    error = WorkerError(f"{who} raised {said(cause)} ({what})")
    error.__cause__ = cause
    return error


def with_note(cause: BaseException, text: str) -> BaseException:
    """The exception, with its traceback in the worker as a note."""
    note = f"The traceback in the worker:\n{text}"
    if note in getattr(cause, "__notes__", ()):
        return cause  # one exception that is raised again and again
    try:
        cause.add_note(note)
    except Exception:  # a class of the user's that takes no attributes
        cause = RuntimeError(said(cause))
        cause.add_note(note)
    return cause
