"""What only Python can do to a row: PIL for formats that the kernel does not know, and the user's callables.

A row that cannot be finished is a `KernelError`, as where the kernel itself gives up.  Its code says who is to blame:
`E_PYTHON` the user's callables, any other code the file.
"""

from __future__ import annotations

from fastfeed import _native

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from fastfeed._native import Kernel, KernelError, Sample, Worker
    from fastfeed.randomness.seeds import Held

    Step = Callable[["Worker | Sample", int], None]
    Call = Callable[[Kernel], Any]


def finisher(spec: dict[str, Any], call: Call | None) -> Step:
    """Return what finishes a row that the kernel handed over; `call` is what the user's callables make of its pixels.

    The same function serves the workers and ``num_workers=0``, so both make the same bytes.
    """

    def finish(maker: Worker | Sample, step: int) -> None:
        if step == _native.STEP_DECODE:
            from fastfeed.image.decode import BeyondLimitError, DecodeError, decode, refuse_unless_an_image

            if spec.get("plugins") is not None:  # in a worker that has run none of the user's code
                from fastfeed.wire.interpreter import add_plugins

                add_plugins(spec.pop("plugins"))
            try:
                if maker.is_partial():
                    refuse_unless_an_image(maker.data())
                    maker.read_rest()
                rgb, width, height = decode(maker.data(), max_pixels=spec["max_pixels"], orient=spec["orient"])
            except DecodeError as error:
                code = _native.E_LIMIT if isinstance(error, BeyondLimitError) else _native.E_CORRUPT
                raise _native.KernelError(code, str(error)) from error
            step = maker.decoded(rgb, width, height)
        if step == _native.STEP_CALL:
            assert call is not None
            maker.called(call(maker))

    return finish


def caller(functions: Iterable[Callable[[Any], Any]], held: Sequence[Held], shape: tuple[int, int, int]) -> Call:
    """Return what applies the user's callables, one after the other, to the pixels of the sample in hand.

    Their random numbers, those of the generators that they hold among them, begin at the sample's key.
    """
    import numpy as np

    from fastfeed.randomness.seeds import seed_everything, seed_held, seedable
    from fastfeed.wire.callables import name_of

    def call(maker: Kernel) -> Any:
        key = maker.key()
        while True:
            loaded = seedable()
            seed_everything(*key)
            seed_held(held, *key)
            made = apply(np.frombuffer(maker.pixels(), np.uint8).reshape(shape))
            if seedable() == loaded:
                return made

    def apply(image: Any) -> Any:
        for function in functions:
            try:
                image = np.asarray(function(image))
            except BaseException as error:
                from fastfeed.wire.failure import said  # only now: it would delay every start

                if isinstance(error, KeyboardInterrupt):
                    raise
                raise _native.KernelError(
                    _native.E_PYTHON, f"transform {name_of(function)} raised {said(error)}{_line(error)}"
                ) from error
            if image.dtype != np.uint8 or image.shape != shape:
                returned = f"{image.dtype} {image.shape}"
                if image.shape == () and image.item() is None:
                    returned = "None, as a function without a return does"
                raise _native.KernelError(
                    _native.E_PYTHON,
                    f"transform {name_of(function)} returned {returned}; it must return uint8 {shape}, as it was given",
                )
        return np.ascontiguousarray(image).reshape(-1)

    return call


def held_by_callables(functions: Iterable[Callable[[Any], Any]], bases: Mapping[str, bytes]) -> list[Held]:
    """Return the random generators that the user's callables hold; bases as `held_by` wants them."""
    from fastfeed.randomness.search import held_by
    from fastfeed.wire.callables import name_of

    return held_by({name_of(function) + str(number): function for number, function in enumerate(functions)}, bases)


def loaded_caller(spec: dict[str, Any]) -> Call | None:
    """Run the initializer and return `caller` for what a worker was sent, None where there is nothing to call.

    What goes wrong is reported with the first row, by what is called with it.
    """
    from fastfeed.wire.callables import print_at_once, run_initializer, share_main, unpacked
    from fastfeed.wire.failure import Failed, said

    print_at_once()
    initializer, calls = (memoryview(bytearray(framed)) for framed in spec["calls"])
    try:
        run_initializer(initializer)
        if not spec["calling"]:
            return None
        functions = unpacked(calls)
        share_main(functions)
        return caller(functions, held_by_callables(functions, spec["bases"]), spec["call_shape"])
    except BaseException as error:
        failed = error if isinstance(error, Failed) else Failed("loading the function", error)
        # Words go into the row, which may hold a few; the consumer knows the rest.
        where = " in the initializer" if failed is error and spec["calling"] else ""

    def call(maker: Kernel) -> Any:
        del maker
        raise _native.KernelError(_native.E_PYTHON, said(failed.cause) + where) from failed

    return call


def _line(error: BaseException) -> str:
    """Return where a user's function raised: its own line, not that of a library it called; no traceback gets out."""
    frame = None if error.__traceback__ is None else error.__traceback__.tb_next
    return "" if frame is None else f" ({frame.tb_frame.f_code.co_filename}, line {frame.tb_lineno})"


def content(error: KernelError, room: int) -> bytes:
    """What a row that could not be finished holds for the consumer, in about as many bytes as it has."""
    if error.code != _native.E_PYTHON:
        text = error.text.encode("utf-8", "replace")[: _native.ERR_LEN - 1] + b"\0"
        return text if len(text) <= room else b"\0"
    from fastfeed.wire.row_failure import RowFailure, to_row

    return to_row(RowFailure.of(error.text, error.__cause__, frameless=True), room)
