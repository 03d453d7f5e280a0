"""Arrays that are files: found out, and sent to another process of this machine by the name of the file."""

from __future__ import annotations

import mmap
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Place:
    """Where the rows of an array lie in a file.

    Attributes
    ----------
    path : str
        The file that the array maps; "" for the memfd.
    fd : int
        Its descriptor in the consumer.
    device, inode : int
        What a file that is opened by its path must be.
    offset, stride : int
        Of the first row, and from a row to the next; in bytes.
    end : int
        The file's bytes that are needed.
    """

    path: str
    fd: int
    device: int
    inode: int
    offset: int
    stride: int
    end: int

    def fault(self) -> str | None:
        """Why the file cannot be read as it was, or None."""
        size = os.fstat(self.fd).st_size
        if self.path and size < self.end:
            return f"the file has shrunk to {size:,} bytes, and {self.end:,} are needed"
        return None


def file_of(array: NDArray[Any]) -> tuple[Place | None, str]:
    """Find the file that an array maps, and open it.

    It opens the path again, and makes sure that the path still names the mapped file.

    Parameters
    ----------
    array : array of shape (rows, ...)
        Of any strides.

    Returns
    -------
    place : Place or None
        Where the rows lie; its descriptor is the caller's to close.  None if no file holds the rows as they are.
    reason : str
        Why there is no place, if a user would wonder.
    """
    import numpy as np

    row_bytes = array.itemsize * int(np.prod(array.shape[1:], dtype=object))
    if not len(array) or not row_bytes:
        return None, ""
    if not array[:1].flags.c_contiguous:
        return None, "its rows are not contiguous"
    owner: Any = array
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    mapping = getattr(owner, "_mmap", None)
    if not isinstance(owner, np.memmap) or not isinstance(mapping, mmap.mmap):
        return None, ""
    path = None if owner.filename is None else os.fspath(owner.filename)
    gone = f"its file {path!r} has been removed or replaced"
    if path is None:
        return None, gone
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, gone
    mapped = np.frombuffer(mapping, np.uint8).ctypes.data
    first = array.ctypes.data
    # The offset is that of the memmap as it was first made; its mapping begins at the page boundary before that.
    offset = owner.offset - owner.offset % mmap.ALLOCATIONGRANULARITY + first - mapped
    stride = array.strides[0] if len(array) > 1 else row_bytes
    low, high = min(0, (len(array) - 1) * stride), max(0, (len(array) - 1) * stride) + row_bytes
    status = os.fstat(fd)
    inside = mapped <= first + low and first + high <= mapped + len(mapping)
    if not inside or status.st_size < offset + high or not _is_mapped_at(mapped, fd):
        os.close(fd)
        return None, gone
    if owner.mode == "c" and _private_pages(mapped):
        os.close(fd)
        return None, "it was written to in mode 'c', so the file has other values"
    return Place(path, fd, status.st_dev, status.st_ino, offset, stride, offset + high), ""


class ByPath:
    """An array that is a file on its way to another process: the name of the file travels, and no values."""

    def __init__(self, array: NDArray[Any], place: Place, kind: type, mode: str, turned: bool) -> None:
        path = os.path.abspath(place.path)
        self._reopen = path, place.device, place.inode, array.dtype, place.offset, array.shape, kind, mode, turned

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, self._reopen


def by_path(value: Any) -> Any:
    """Return what travels in place of an array that is a file which is still there; any other value itself.

    What was opened for writing is so in the other process.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) not in (numpy.memmap, numpy.ndarray) or value.dtype.hasobject or not value.ndim:
        return value
    owner = value
    while isinstance(owner, numpy.ndarray) and not isinstance(owner, numpy.memmap):
        owner = owner.base
    turned = not value.flags.c_contiguous
    if owner is None or not (value.flags.c_contiguous or value.flags.f_contiguous):
        return value
    place, _ = file_of(value.T if turned else value)
    if place is None:
        return value
    os.close(place.fd)
    mode = {"w+": "r+"}.get(owner.mode, owner.mode)
    return ByPath(value.T if turned else value, place, type(value), mode, turned)


def _reopened(
    path: str,
    device: int,
    inode: int,
    dtype: Any,
    offset: int,
    shape: tuple[int, ...],
    kind: type,
    mode: Any,
    turned: bool,
) -> NDArray[Any]:
    import numpy as np

    now = os.stat(path)
    if (now.st_dev, now.st_ino) != (device, inode):
        raise FileNotFoundError(f"{path} has been replaced since it was mapped: make the memmap and the feed anew")
    array = np.memmap(path, dtype, mode, offset, shape)
    made = array.T if turned else array
    return made if kind is np.memmap else made.view(np.ndarray)


def _mapping_at(address: int, table: str = "maps") -> list[str]:
    """The /proc/self/maps (or smaps) entry of the mapping that holds an address."""
    found: list[str] = []
    with open(f"/proc/self/{table}") as lines:
        for line in lines:
            addresses = line.split(" ", 1)[0]
            if "-" in addresses and not addresses.endswith(":"):
                if found:
                    break
                start, end = (int(part, 16) for part in addresses.split("-"))
                if not start <= address < end:
                    continue
            elif not found:
                continue
            found.append(line)
    return found


def _is_mapped_at(address: int, fd: int) -> bool:
    """Whether the mapping at an address is one of this file.

    The file is mapped a second time, and the kernel must name the same device and inode for both mappings.  What fstat
    names cannot be compared with that: on overlayfs and btrfs it differs.
    """
    with mmap.mmap(fd, 1, prot=mmap.PROT_READ) as probe:
        import numpy as np

        view = np.frombuffer(probe, np.uint8)
        second_address = view.ctypes.data
        del view
        first, second = _mapping_at(address), _mapping_at(second_address)
    return bool(first) and first[0].split()[3:5] == second[0].split()[3:5]


def _private_pages(address: int) -> bool:
    return any(line.startswith("Anonymous:") and line.split()[1] != "0" for line in _mapping_at(address, "smaps"))
