"""How a worker is launched: the command, its environment, and where that cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fastfeed.engine.boot import WorkerKind
from fastfeed.options import wrong

_MAIN = " import main; main()"
# fastfeed is the consumer's, whichever is installed; then its folder comes last, or what lies there would hide Python's
# own modules.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import fastfeed; sys.path.append(sys.path.pop(0)); from {}"
    + _MAIN
)
_ONE_THREAD = (
    *(f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB", "BLIS")),
    "OPENCV_FOR_THREADS_NUM",
)
# Too many descriptors, in this process or in all; too many processes; no memory for one.
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def command(kind: WorkerKind) -> list[str]:
    """The program that a worker is, and its arguments but the last, which is the worker's number."""
    root = str(Path(__file__).resolve().parents[2])
    return [sys.executable, *_options(kind.isolated), "-c", _BOOT.format(kind.module), root]


def _options(isolated: bool) -> list[str]:
    """Options of the interpreter."""
    if isolated:
        return ["-I", "-S"]
    from subprocess import _args_from_interpreter_flags as flags  # type: ignore[attr-defined]  # multiprocessing's way

    options: list[str] = flags()
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return [*options, "-P"]  # the working directory is searched where the consumer searches it


def environment() -> dict[str, str]:
    """The environment of a worker."""
    # Workers share the processors, so their libraries get one thread each, unless the user has said how many.
    made = {**dict.fromkeys(_ONE_THREAD, "1"), **os.environ}
    # Sets of strings have one order in all workers, or a function that goes through one would not repeat itself.
    made.setdefault("PYTHONHASHSEED", "0")
    return made


def refuse_other_programs(workers: int) -> None:
    """Raise where what would be started is no Python interpreter but the user's program, over and over."""
    why = None
    if getattr(sys, "frozen", False) or hasattr(sys.modules.get("__main__"), "__compiled__"):
        why = f"this program is frozen, and {sys.executable} would start it again in place of a worker"
    elif any(argument.endswith(_MAIN) for argument in getattr(sys, "argv", ())):
        why = f"this program was started in place of a worker, since {sys.executable} is no Python interpreter"
    elif not sys.executable:
        why = "sys.executable is empty, so no worker can be started"
    if why is not None:
        raise wrong("num_workers", workers, f"pass 0: {why}")


@contextlib.contextmanager
def limits_named(workers: int) -> Iterator[None]:
    """Say what to do where the system gives no more descriptors or processes."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LIMITS:
            raise
        remedy = "pass a smaller number, or raise the limits of open files and processes (ulimit -n and ulimit -u)"
        raise wrong("num_workers", workers, f"{remedy}: {error.strerror}") from error
