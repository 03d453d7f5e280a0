"""What only Python can do to a row: PIL for formats that the kernel does not know, and the user's callables."""

from __future__ import annotations

from fastfeed import _native

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastfeed._native import Sample, Worker

    Step = Callable[["Worker | Sample", int], None]

TRANSFORM = "transform "  # how the reason of a user's function that failed begins


class RowFailed(Exception):
    """A row that Python could not finish: the text is for the user."""


def finisher(spec: dict[str, Any]) -> Step:
    """Return what finishes a row that the kernel handed over: PIL for formats it does not know, the user's callables.

    The same function serves the workers and ``num_workers=0``, so both make the same bytes.
    """
    calls: tuple[Callable[[Any], Any], ...] = ()
    if spec["calls"] is not None:
        import pickle

        calls = pickle.loads(spec["calls"])

    def call(pixels: bytearray) -> Any:
        import numpy as np

        image = np.frombuffer(pixels, np.uint8).reshape(spec["call_shape"])
        for function in calls:
            name = getattr(function, "__name__", type(function).__name__)
            try:
                image = np.asarray(function(image))
            except Exception as error:
                where = _line(error)
                raise RowFailed(f"{TRANSFORM}{name} raised {type(error).__name__}: {error}{where}") from error
            if image.dtype != np.uint8 or image.shape != tuple(spec["call_shape"]):
                raise RowFailed(
                    f"{TRANSFORM}{name} returned {image.dtype} {image.shape}; "
                    f"it must return uint8 {tuple(spec['call_shape'])}, as it was given"
                )
        return np.ascontiguousarray(image).reshape(-1)

    def finish(maker: Worker | Sample, step: int) -> None:
        if step == _native.NEED_DECODE:
            from fastfeed.image.decode import DecodeError, decode

            try:
                rgb, width, height = decode(maker.data(), max_pixels=spec["max_pixels"], orient=spec["orient"])
            except DecodeError as error:
                raise RowFailed(str(error)) from error
            step = maker.decoded(rgb, width, height)
        if step == _native.NEED_CALL:
            maker.called(call(maker.pixels()))

    return finish


def _line(error: Exception) -> str:
    """Return where a user's function raised: its own line, not that of a library it called; no traceback gets out."""
    frame = None if error.__traceback__ is None else error.__traceback__.tb_next
    return "" if frame is None else f" ({frame.tb_frame.f_code.co_filename}, line {frame.tb_lineno})"
