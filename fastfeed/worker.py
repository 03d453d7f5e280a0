"""What a worker process runs: settle in, attach to the ring, work until told to stop."""

from __future__ import annotations

import marshal
import os
import sys

from fastfeed import TYPE_CHECKING, _native

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastfeed._native import Sample, Worker

    Step = Callable[["Worker | Sample", int], None]

# Where the crew puts a worker's descriptors.
RING_FD, WORK_FD, READY_FD, CONSUMER_FD, SPEC_FD, TABLE_FD = range(3, 9)


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
                raise RowFailed(f"transform {name} raised {type(error).__name__}: {error}") from error
            if image.dtype != np.uint8 or image.shape != tuple(spec["call_shape"]):
                raise RowFailed(
                    f"transform {name} returned {image.dtype} {image.shape}; "
                    f"it must return uint8 {tuple(spec['call_shape'])}, as it was given"
                )
        return np.ascontiguousarray(image).reshape(-1)

    def finish(maker: Worker | Sample, step: int) -> None:
        if step == _native.NEED_DECODE:
            from fastfeed.decode import DecodeError, decode

            try:
                rgb, width, height = decode(maker.data(), max_pixels=spec["max_pixels"], orient=spec["orient"])
            except DecodeError as error:
                raise RowFailed(str(error)) from error
            step = maker.decoded(rgb, width, height)
        if step == _native.NEED_CALL:
            maker.called(call(maker.pixels()))

    return finish


def main() -> None:
    """Run an image worker; argv holds its number."""
    number = int(sys.argv[1])
    _native.settle(CONSUMER_FD, number, TABLE_FD)
    spec = marshal.loads(os.pread(SPEC_FD, os.fstat(SPEC_FD).st_size, 0))
    known = set(sys.path)
    sys.path.extend(entry for entry in spec["sys_path"] if entry not in known)
    ring = _native.Mapping(RING_FD, os.fstat(RING_FD).st_size, True)
    table = _native.Mapping(TABLE_FD, os.fstat(TABLE_FD).st_size, False)
    worker = _native.Worker(ring, table, spec["plan"], spec["store"], spec["seed"], number, WORK_FD, READY_FD)
    finish = finisher(spec)
    worker.attach()
    while (step := worker.run()) != _native.STEP_STOP:
        try:
            finish(worker, step)
        except RowFailed as error:
            worker.fail(_native.E_PYTHON, str(error))
