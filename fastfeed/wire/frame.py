"""Any value as one frame of bytes: pickle protocol 5 with its buffers laid out behind it.

    u64 0       | pickle
    u64 buffers | u64 pickle bytes | u64 offset of the table | ...
        buffers, each 64-byte aligned, and somewhere among them the table (u64 offset, u64 length of each) | pickle

Arrays are copied once, into the frame, or are made there (`Arena`).  Reading a frame copies nothing: its arrays are
views of the frame's memory, and keep alive whatever owns that memory.

This layout is known here and nowhere else.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys

from fastfeed import _native
from fastfeed.wire import tensors

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastfeed.wire.arena import Arena

_COUNT = struct.Struct("<Q")
_HEAD = struct.Struct("<QQ")
_TABLE_AT = struct.Struct("<Q")
# In the name of the program's own module, which is __mp_main__ where multiprocessing has started it.
_MAIN = b"_main__"
_ALIGN = 64
_LARGE = 1 << 20

# What comes before the buffers of a frame.
HEAD_BYTES = _HEAD.size + _TABLE_AT.size
# How a frame begins that has no buffers, so that a value read from it refers to none of its memory.
PLAIN = bytes(8)


class UnpicklableError(TypeError):
    """A value that no pickler takes; the text names its type."""


def frame(
    value: Any, by_value: bool = False, to_consumer: bool = False, arena: Arena | None = None
) -> tuple[int, list[tuple[int, Any]]]:
    """Lay a value out: the size of its frame, and (offset, bytes-like) pieces to be copied there.

    Parameters
    ----------
    value : object
        Functions and classes in it go by value if they belong to ``__main__``, or cannot be found by their name.
    by_value : bool
        Pickle by content everything that cloudpickle would, and memmaps by the name of their file: what a worker is
        to keep.
    to_consumer : bool
        The receiver is the process that sent this one its work: classes that came from there go by reference.
    arena : Arena, optional
        Arrays that lie in it stay where they are.

    Raises
    ------
    UnpicklableError
        Naming the type that cannot travel.
    """
    pickled, raw = _pickled(value, by_value, to_consumer)
    if not raw:
        return len(PLAIN) + len(pickled), [(0, PLAIN + pickled)]
    head = _HEAD.pack(len(raw), len(pickled))
    places = [-1 if arena is None else arena.offset(piece) for piece in raw]
    at = HEAD_BYTES
    if arena is not None and max(places) >= 0:
        at = -(-arena.end // 8) * 8
    end = at + 16 * len(raw) + len(pickled)
    buffers = []
    for number, piece in enumerate(raw):
        if places[number] < 0:
            places[number] = -(-end // _ALIGN) * _ALIGN
            end = places[number] + len(piece)
            buffers.append((places[number], piece))
    table = b"".join(
        place.to_bytes(8, "little") + len(piece).to_bytes(8, "little") for place, piece in zip(places, raw, strict=True)
    )
    return end, [(0, head + _TABLE_AT.pack(at)), (at, table + pickled), *buffers]


def _pickled(value: Any, by_value: bool, to_consumer: bool) -> tuple[bytes, list[memoryview]]:
    buffers: list[pickle.PickleBuffer] = []
    pickled = b""
    to_keep = by_value
    if not by_value:
        try:
            pickled = _by_name(value, buffers)
        except Exception as error:  # whatever a reducer raises; cloudpickle may know better, and show its own
            _pass_on(error)
            by_value = True
    if by_value or _MAIN in pickled:
        buffers.clear()
        pickled = _by_value(value, buffers, to_consumer, to_keep)
    return pickled, [buffer.raw() for buffer in buffers]


def sealed(value: Any, arena: Arena) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """Copy a value, because its maker may change it; its arrays go into the arena.  `opened` gives the value back.

    Raises
    ------
    UnpicklableError
        Naming the type that cannot travel.
    """
    pickled, raw = _pickled(value, by_value=False, to_consumer=True)
    kept = []
    for piece in raw:
        memory = arena.allocate(len(piece)) if len(piece) else memoryview(bytearray())
        fill(memory, [(0, piece)])
        kept.append(pickle.PickleBuffer(memory))
    return pickled, kept


def opened(kept: tuple[bytes, list[Any]]) -> Any:
    """Return what was sealed."""
    return pickle.loads(kept[0], buffers=kept[1])


def _by_name(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return pickle.dumps(value, 5, buffer_callback=buffers.append)
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 5, buffer_callback=buffers.append)
    pickler.dispatch_table = reducers = _Reducers({numpy.ndarray: _reduce_array})
    if (tensor := tensors.tensor_class()) is not None:
        reducers[tensor] = tensors.reduced
    pickler.dump(value)
    return out.getvalue()


class _Reducers(dict[type, "Callable[[Any], Any]"]):
    def __missing__(self, cls: type) -> Callable[[Any], Any]:
        return copyreg.dispatch_table[cls]


def _reduce_array(array: Any) -> Any:
    """Send an array with gaps out of band too, as a copy without gaps: NumPy would copy it into the pickle."""
    if array.flags.forc or array.dtype.hasobject:
        return array.__reduce_ex__(5)
    return array.copy("C").__reduce_ex__(5)


def _by_value(value: Any, buffers: list[pickle.PickleBuffer], to_consumer: bool, to_keep: bool) -> bytes:
    from fastfeed.wire import byvalue

    try:
        return byvalue.dumps(value, buffers, to_consumer, to_keep)
    except Exception as error:
        _pass_on(error)
        raise UnpicklableError(f"{type(value).__name__} cannot be sent between processes: {error}") from error


def _pass_on(error: Exception) -> None:
    """Raise what a signal's handler raised."""
    from fastfeed.interrupt import interrupts

    if interrupts(error):
        raise error


def copied(value: Any) -> Any:
    """Send a value to this process itself."""
    return read(memoryview(filled(*frame(value))))


def small(value: Any) -> bytes | None:
    """Return the frame of a value that needs neither buffers nor cloudpickle, or None: `frame` takes any value."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
    except Exception as error:  # as in frame
        _pass_on(error)
        return None
    return None if buffers or _MAIN in pickled else PLAIN + pickled


# The value of a frame that begins with `PLAIN`, from what follows that.
read_plain = pickle.loads


def write(
    value: Any, reserve: Callable[[int], memoryview], to_consumer: bool = False, arena: Arena | None = None
) -> int:
    """Write a value's frame into the memory that `reserve` returns for its size, and return the size."""
    size, pieces = frame(value, to_consumer=to_consumer, arena=arena)
    fill(reserve(size), pieces)
    return size


def filled(size: int, pieces: list[tuple[int, Any]]) -> bytearray:
    """Return a frame in memory of its own."""
    memory = bytearray(size)
    fill(memoryview(memory), pieces)
    return memory


def fill(memory: memoryview, pieces: list[tuple[int, Any]]) -> None:
    """Copy the pieces of a frame to where they belong."""
    size = pieces[-1][0] + len(pieces[-1][1])
    for start, piece in pieces:
        place = memory[start : start + len(piece)]
        if len(piece) < _LARGE:  # a call costs more than such a copy
            place[:] = piece
        else:
            _native.copy(place, piece, size)


def read_copied(memory: memoryview) -> Any:
    """Return the value of a frame that will be overwritten: its arrays get memory of their own."""
    if not _COUNT.unpack_from(memory)[0]:
        return pickle.loads(memory[len(PLAIN) :])
    return read(memoryview(bytearray(memory)))


def has_buffers(memory: memoryview) -> bool:
    """Whether a value read from this frame will refer to the frame's memory."""
    return bool(_COUNT.unpack_from(memory)[0])


def read(memory: memoryview) -> Any:
    """Return the value of a frame; its arrays are views of `memory`."""
    if not _COUNT.unpack_from(memory)[0]:
        return pickle.loads(memory[len(PLAIN) :])
    count, length = _HEAD.unpack_from(memory)
    (at,) = _TABLE_AT.unpack_from(memory, _HEAD.size)
    places = struct.unpack_from(f"<{2 * count}Q", memory, at)
    at += 16 * count
    buffers = [memory[start : start + size] for start, size in zip(places[::2], places[1::2], strict=True)]
    return pickle.loads(memory[at : at + length], buffers=buffers)
