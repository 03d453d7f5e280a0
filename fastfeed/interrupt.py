"""What a signal's handler raised, as against what the code raised in whose midst it was called."""

from __future__ import annotations

import functools
import signal
from types import CodeType


def interrupts(error: BaseException) -> bool:
    """Whether an exception is an interrupt of this process, and no failure of the code that it came out of."""
    if isinstance(error, KeyboardInterrupt):
        return True
    codes = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    traceback = error.__traceback__ if codes else None
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False


def _code(handler: object) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    if callable(handler) and not hasattr(handler, "__code__"):
        handler = type(handler).__call__
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None
