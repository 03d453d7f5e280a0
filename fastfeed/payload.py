"""Any value as one frame of bytes: pickle protocol 5 with its buffers laid out behind it.

    u64 buffers | u64 pickle bytes | u64 length of each buffer | pickle | buffer, buffer, ...  (each 64-byte aligned)

Arrays are copied once, into the frame; reading one back copies nothing: its arrays are views of the frame's memory and
keep whatever owns that memory alive.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys

from fastfeed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HEAD = struct.Struct("<QQ")
_ALIGN = 64


class UnpicklableError(TypeError):
    """A value that no pickler takes; the text names its type."""


def frame(value: Any, by_value: bool = False, home: bool = False) -> tuple[int, list[tuple[int, Any]]]:
    """Lay a value out: the size of its frame, and (offset, bytes-like) pieces to be copied there.

    Functions and classes that the other side cannot import go by value: those of ``__main__``, those that no name
    leads to, and with `by_value` all that cloudpickle thinks so of.  With `home` the value goes to where this process
    has its work from: classes that came from there go by reference.

    Raises
    ------
    UnpicklableError
        Naming the type that cannot travel.
    """
    buffers: list[pickle.PickleBuffer] = []
    pickled = b""
    if not by_value:
        try:
            pickled = _by_name(value, buffers)
        except Exception:  # whatever a reducer raises; cloudpickle may know better, and its error is the one to show
            by_value = True
    if by_value or b"__main__" in pickled:
        buffers.clear()
        pickled = _by_value(value, buffers, home)
    raw = [buffer.raw() for buffer in buffers]
    head = _HEAD.pack(len(raw), len(pickled)) + b"".join(len(piece).to_bytes(8, "little") for piece in raw)
    pieces: list[tuple[int, Any]] = [(0, head + pickled)]
    end = len(head) + len(pickled)
    for piece in raw:
        start = -(-end // _ALIGN) * _ALIGN
        pieces.append((start, piece))
        end = start + len(piece)
    return end, pieces


def _by_name(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return pickle.dumps(value, 5, buffer_callback=buffers.append)
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 5, buffer_callback=buffers.append)
    pickler.dispatch_table = _Reducers({numpy.ndarray: _reduce_array})
    pickler.dump(value)
    return out.getvalue()


class _Reducers(dict[type, "Callable[[Any], Any]"]):
    def __missing__(self, cls: type) -> Callable[[Any], Any]:
        return copyreg.dispatch_table[cls]


def _reduce_array(array: Any) -> Any:
    """Have an array that has gaps or is transposed go out of band too: NumPy copies such a one into the pickle."""
    if array.flags.forc or array.dtype.hasobject:
        return array.__reduce_ex__(5)
    return array.copy("C").__reduce_ex__(5)


def _by_value(value: Any, buffers: list[pickle.PickleBuffer], home: bool) -> bytes:
    from fastfeed import byvalue

    try:
        return byvalue.dumps(value, buffers, home)
    except Exception as error:
        raise UnpicklableError(f"{type(value).__name__} cannot be sent between processes: {error}") from error


def refusal(value: Any) -> str:
    """Why a value cannot travel, in words; for one that cannot."""
    try:
        frame(value)
    except UnpicklableError as error:
        return str(error)
    return f"{type(value).__name__} cannot be sent between processes"


def copied(value: Any) -> Any:
    """Send a value to this very process."""
    size, pieces = frame(value)
    memory = memoryview(bytearray(size))
    for start, piece in pieces:
        memory[start : start + len(piece)] = piece
    return read(memory)


def small(value: Any) -> bytes | None:
    """The pickle of a value that needs nothing besides, or None: use `write`."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
    except Exception:  # as in frame
        return None
    return None if buffers or b"__main__" in pickled else pickled


def write(value: Any, reserve: Callable[[int], memoryview], home: bool = False) -> int:
    """Write a value's frame into the memory that `reserve` returns for its size; the size."""
    size, pieces = frame(value, home=home)
    memory = reserve(size)
    for start, piece in pieces:
        memory[start : start + len(piece)] = piece
    return size


def read_copied(memory: memoryview) -> Any:
    """Return the value of a frame that will be overwritten: its arrays get memory of their own."""
    return read(memoryview(bytearray(memory)) if has_buffers(memory) else memory)


def has_buffers(memory: memoryview) -> bool:
    """Whether a value read from this frame will refer to the frame's memory."""
    return bool(_HEAD.unpack_from(memory)[0])


def read(memory: memoryview) -> Any:
    """Return the value of a frame; its arrays are views of `memory`."""
    count, length = _HEAD.unpack_from(memory)
    end = _HEAD.size + 8 * count
    if not count:
        return pickle.loads(memory[end : end + length])
    sizes = struct.unpack_from(f"<{count}Q", memory, _HEAD.size)
    pickled = memory[end : end + length]
    end += length
    buffers = []
    for size in sizes:
        start = -(-end // _ALIGN) * _ALIGN
        end = start + size
        buffers.append(memory[start:end])
    return pickle.loads(pickled, buffers=buffers)
