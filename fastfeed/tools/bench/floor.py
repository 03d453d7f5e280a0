"""The floor: libjpeg-turbo's own RGB decode of the same files, from memory, on every core at once.

Nothing that reads JPEG files through that library can be faster, so every rate is given over this one.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfeed.errors import FastfeedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection


class Floor:
    """Processes that decode whenever they are told to, each with every file in memory.

    Processes rather than threads: between two files a thread would wait for the interpreter lock.
    """

    def __init__(self, paths: Sequence[str], processes: int) -> None:
        # Fork, and before anything here has threads: all processes share the one copy of the files.
        context = multiprocessing.get_context("fork")
        files = {path: Path(path).read_bytes() for path in dict.fromkeys(paths)}
        self._ends: list[Connection] = []
        self._processes = []
        for number in range(processes):
            mine, theirs = context.Pipe()
            process = context.Process(target=_decode_on_demand, args=(theirs, files, number / processes), daemon=True)
            process.start()
            theirs.close()
            self._ends.append(mine)
            self._processes.append(process)

    def window(self, seconds: float) -> tuple[int, float]:
        """Decode for about `seconds`; images, and the seconds that they would take at the rates' sum."""
        for end in self._ends:
            with contextlib.suppress(BrokenPipeError):  # its last words are still in the pipe
                end.send(seconds)
        answers = [end.recv() for end in self._ends]
        for answer in answers:
            if isinstance(answer, str):
                raise FastfeedError(answer)
        counts: list[tuple[int, float]] = answers
        images = sum(count for count, _ in counts)
        return images, images / sum(count / taken for count, taken in counts)

    def close(self) -> None:
        """End the processes."""
        # Closing the pipes is not enough: each process holds copies of the ends of those before it.
        for end in self._ends:
            end.send(0.0)
            end.close()
        for process in self._processes:
            process.join(5)


def _decode_on_demand(end: Connection, named: dict[str, bytes], start: float) -> None:
    native: Any = importlib.import_module("fastfeed._native")
    names, files = list(named), list(named.values())
    position = 0
    try:
        largest = 0
        for position in range(len(files)):
            width, height = native.jpeg_size(files[position])
            largest = max(largest, width * height * 3)
        out = bytearray(largest)
        position = int(start * len(files))
        while seconds := end.recv():
            count, began = 0, time.perf_counter()
            while True:
                native.floor_decode(files[position], out)
                position = (position + 1) % len(files)
                count += 1
                taken = time.perf_counter() - began
                if taken >= seconds:
                    break
            end.send((count, taken))
    except native.KernelError as error:
        end.send(f"{names[position]}: {error.text}; remove it, or measure other files")
