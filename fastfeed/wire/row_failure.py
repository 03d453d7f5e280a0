"""Failures of the user's code that travel in the failed row's own bytes, which may be few.

    u8 what follows | reason as text | 0 | frame of (exception, its traceback as text)

The status of the row says already that the user's code is to blame.  The reason is cut where the row ends, and the
frame is there only where all of it fits.
"""

from __future__ import annotations

from fastfeed.wire import frame
from fastfeed.wire.failure import Failed, failure, said

_OF_THE_WORKER = 1
_WITH_FRAME = 2
# Part of a traceback, its end, is worth having from about this size on.
_SHORT = 200


class RowFailure:
    """Why a row could not be made by the user's code.

    Attributes
    ----------
    reason : str
        In one sentence.
    cause : BaseException or None
        What was raised; None where nothing was, or where the row had no room for it.
    text : str
        Its traceback.
    of_the_worker : bool
        Whether the worker cannot do its work at all, so that this row is as good as any other.
    is_cut : bool
        Whether the row had no room for the whole reason.
    """

    def __init__(
        self,
        reason: str,
        cause: BaseException | None = None,
        text: str = "",
        of_the_worker: bool = False,
        is_cut: bool = False,
    ) -> None:
        self.reason = reason
        self.cause = cause
        self.text = text
        self.of_the_worker = of_the_worker
        self.is_cut = is_cut

    @classmethod
    def of(cls, reason: str, error: BaseException | None, frameless: bool) -> RowFailure:
        """What is kept of an exception, see `failure`; it is of the worker where what `Failed` is not a row."""
        if error is None:
            return cls(reason)
        of_the_worker = isinstance(error, Failed)  # which will be reported again
        _, cause, text = failure(error, frameless and not of_the_worker)
        return cls(reason, cause, text, of_the_worker)


def to_row(failed: RowFailure, room: int) -> bytes:
    """What the row holds, in no more bytes than it has."""
    kind = _OF_THE_WORKER if failed.of_the_worker else 0
    reason = failed.reason.replace("\0", "?").encode("utf-8", "replace")
    if failed.cause is not None:
        framed = _fitting(failed.cause, failed.text, room - len(reason) - 2)
        if framed:
            return b"%c%b\0%b" % (kind | _WITH_FRAME, reason, framed)
    return (b"%c%b\0" % (kind, reason))[:room]


def _fitting(cause: BaseException, text: str, room: int) -> bytes:
    """A frame of at most this size, for which the traceback may lose its beginning; empty where there is none."""
    framed = _framed((cause, text))
    if len(framed) > room:
        encoded = text.encode("utf-8", "replace")
        kept = room - (len(framed) - len(encoded)) - len("...\n")
        text = "...\n" + encoded[-kept:].decode("utf-8", "ignore") if kept >= _SHORT else ""
        framed = _framed((cause, text))
    return framed if len(framed) <= room else b""


def _framed(value: object) -> bytes:
    return bytes(frame.filled(*frame.frame(value, to_consumer=True)))


def from_row(row: bytes) -> RowFailure:
    """Return what a row holds."""
    kind = row[0]
    reason, end, framed = row[1:].partition(b"\0")
    failed = RowFailure(reason.decode("utf-8", "ignore"), of_the_worker=bool(kind & _OF_THE_WORKER), is_cut=not end)
    if kind & _WITH_FRAME:
        try:
            failed.cause, failed.text = frame.read(memoryview(bytearray(framed)))
        except Exception as error:  # the user's classes, being made from what was pickled
            failed.cause, failed.text = error, said(error)
    return failed
