"""Sources: the samples a feed is made from, and the table by which workers find them.

    table   u64 count | u64 kind | u64 offsets[count + 1] | blob        (native byte order)

Sample i is bytes offsets[i] .. offsets[i + 1] of the blob: a NUL-terminated absolute path, or an encoded image
(csrc/source/table.h).  The table lies in a sealed memfd, so it costs its memory once, however many feeds and workers
read it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from fastfeed import _native
from fastfeed.errors import ConfigError, RingMemoryError
from fastfeed.labels import Labels, class_labels, is_sequence, make_labels
from fastfeed.listing import exists, has_wildcards, is_folder, list_folder, list_glob
from fastfeed.machine import memory_limit
from fastfeed.schedule import check_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_TABLE_LOCK = threading.Lock()  # two feeds that start at once share one table
_SPLIT_EPOCH = 2**64 - 1  # an order that no epoch of a feed has
_LONGEST_PATH = 4096  # PATH_MAX
_WHAT_WORKS = "pass a folder, a glob, a sequence of paths, a sequence of encoded images (bytes), or ff.files(...)"


class Source:
    """Samples that can be asked for by index, with their labels.

    Attributes
    ----------
    labels : Labels or None
        One label per sample.
    classes : list of str or None
        Names of the classes, where the labels are numbers of class folders.
    """

    kind: ClassVar[int]
    labels: Labels | None
    classes: list[str] | None

    def __init__(self, labels: Labels | None, classes: list[str] | None) -> None:
        self.labels = labels
        self.classes = classes
        self._fd: int | None = None
        self._closer: weakref.finalize[Any, Any] | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def name(self, index: int) -> str:
        """Return what messages call a sample: its path as the user spelt it, or ``"sample 17"``."""
        raise NotImplementedError

    def with_labels(self, labels: object) -> Self:
        """Return the same samples with other labels; ``"auto"`` keeps those that are there."""
        raise NotImplementedError

    def split(self, fraction: float = 0.8, *, seed: int = 0) -> tuple[Self, Self]:
        """Divide the samples at random into two sources, for training and for validation.

        Parameters
        ----------
        fraction : float
            Share of the first part, between 0 and 1; the number of samples is rounded to the nearest.
        seed : int
            0 to 2**64 - 1.  The same seed divides the same list alike, on every machine.

        Returns
        -------
        tuple of two sources
            Disjoint, together complete, in shuffled order, with their labels and the classes of the whole.

        Raises
        ------
        ConfigError
            A fraction or a seed that cannot work, or a part that would be empty.
        """
        n = len(self)
        first = round(_share(fraction) * n)
        if not 0 < first < n:
            raise ConfigError(
                f"split({fraction!r}) of {n} samples gives parts of {first} and {n - first}; "
                f"pass another fraction, or more samples"
            )
        order = array("q", [0]) * n
        _native.permute_fill(memoryview(order), n, check_seed(seed), _SPLIT_EPOCH, 0, 1)
        return self._part(order[:first]), self._part(order[first:])

    def table_fd(self) -> int:
        """Return a descriptor of the table, made on the first call; it stays the source's and closes with it."""
        with _TABLE_LOCK:
            if self._fd is None:
                self._fd = self.write_table()
                self._closer = weakref.finalize(self, os.close, self._fd)
            return self._fd

    def close(self) -> None:
        """Give the table's memory back.  A later feed makes it again."""
        with _TABLE_LOCK:
            if self._closer is not None:
                self._closer()
            self._fd = self._closer = None

    def write_table(self) -> int:
        """Write the table into a memfd of its own and seal it.

        Returns
        -------
        int
            Its descriptor, closed on exec; the caller's to close.

        Raises
        ------
        RingMemoryError
            Encoded images that do not fit into memory a second time.
        """
        n = len(self)
        fd = os.memfd_create("fastfeed-source", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            offsets = array("Q", [0]) * (n + 1)
            at = 0
            # The file object gathers small entries and goes on after short writes; one entry at a time is in memory.
            with os.fdopen(fd, "wb", buffering=1 << 20, closefd=False) as file:
                file.seek(16 + 8 * (n + 1))
                for index, entry in enumerate(self._entries(), 1):
                    file.write(entry)
                    at += len(entry)
                    offsets[index] = at
                file.seek(0)
                file.write(array("Q", (n, self.kind)))
                file.write(offsets)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _entries(self) -> Iterator[bytes | memoryview]:
        """Yield each sample's bytes in the blob."""
        raise NotImplementedError

    def _part(self, indices: array[int]) -> Self:
        """Return a source of some of the samples."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fd": None, "_closer": None}  # a descriptor means nothing in another process


class Files(Source):
    """Image files, with their labels; made by `files`.

    Attributes
    ----------
    paths : list of str
        The files as they were spelt, or found; not to be changed.
    labels : Labels or None
        One label per file: ``labels[i]`` belongs to ``paths[i]``.
    classes : list of str or None
        Names of the class folders; a label is a position in it.
    """

    kind = _native.TABLE_PATHS

    def __init__(
        self,
        paths: Sequence[str],
        labels: Labels | None,
        classes: list[str] | None = None,
        *,
        root: str | None = None,
        folder: str | None = None,
    ) -> None:
        super().__init__(labels, classes)
        self.paths = list(paths)
        self._root = root
        # Workers, and a later self, may have another working directory.
        if folder is None and not all(path.startswith("/") for path in self.paths):
            folder = str(Path.cwd())
        self._folder = folder

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", {len(self.classes)} classes"
        return f"Files({len(self)} files{classes})"

    def name(self, index: int) -> str:
        """Return the path of a file as the user spelt it."""
        return self.paths[index]

    def with_labels(self, labels: object) -> Self:
        """Return the same files with other labels; ``"auto"`` keeps those that are there."""
        if isinstance(labels, str) and labels == "auto":
            return self
        made = None if labels is None else make_labels(labels, len(self), self.paths, self._root)
        return type(self)(self.paths, made, root=self._root, folder=self._folder)

    def _entries(self) -> Iterator[bytes]:
        folder = b"" if self._folder is None else os.fsencode(self._folder).rstrip(b"/") + b"/"
        for path in self.paths:
            try:
                encoded = os.fsencode(path)
            except UnicodeEncodeError as error:
                raise ConfigError(
                    f"the path {path!r} cannot be a file's name: {error.reason}; mend or remove it"
                ) from error
            yield (encoded if encoded.startswith(b"/") else folder + encoded) + b"\0"

    def _part(self, indices: array[int]) -> Self:
        labels = None if self.labels is None else self.labels.select(memoryview(indices))
        paths = [self.paths[index] for index in indices]
        return type(self)(paths, labels, self.classes, root=self._root, folder=self._folder)


class Bytes(Source):
    """Encoded images in memory.  They are kept as they are, and copied once into the table that workers read."""

    kind = _native.TABLE_BYTES

    def __init__(self, items: Sequence[Any], labels: Labels | None) -> None:
        super().__init__(labels, None)
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Bytes({len(self)} samples)"

    def name(self, index: int) -> str:
        """Return ``"sample 17"``."""
        return f"sample {index}"

    def with_labels(self, labels: object) -> Self:
        """Return the same samples with other labels; ``"auto"`` keeps those that are there."""
        if isinstance(labels, str) and labels == "auto":
            return self
        return type(self)(self._items, None if labels is None else make_labels(labels, len(self), None, None))

    def _entries(self) -> Iterator[memoryview]:
        total = sum(memoryview(item).nbytes for item in self._items)
        limit = memory_limit()
        if total > limit:
            raise RingMemoryError(
                f"the encoded images need {total:,} bytes in memory that workers share, and this process may use "
                f"{limit:,}: pass the paths of files, or fewer images"
            )
        for item in self._items:
            yield memoryview(item).cast("B")

    def _part(self, indices: array[int]) -> Self:
        labels = None if self.labels is None else self.labels.select(memoryview(indices))
        return type(self)([self._items[index] for index in indices], labels)


def files(source: object, *, labels: object = "auto") -> Files:
    """List image files, with their labels.

    Parameters
    ----------
    source : str, Path, or sequence of these, or Files
        A folder: all files in it, at any depth, whose names end in ``.avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm
        .pgm .png .pnm .ppm .tif .tiff .webp``, in any case.  Hidden files and folders are left out, linked folders are
        entered, and the order is that of the sorted paths.  A glob: every file that it matches, whatever its name,
        sorted; ``**`` enters sub-folders.  A sequence of paths: these files, in this order.
    labels : optional
        - ``"auto"``: where a folder has sub-folders with images, each sub-folder is a class, and a file's label is the
          number of its class among the sorted names, which are ``classes``.  Otherwise there are no labels.
        - None: no labels.
        - a mapping, or a pandas Series indexed by strings: looked up by the path as given, then by the path below the
          folder (of a glob: below the part without wildcards), then by the file name, then by the file name without
          its suffix.  What ``on_error`` means for files that it lacks is said in `Labels`.
        - a sequence, one label per file, in the order of ``paths``; or a dict of such sequences.
        - a callable, called with each path as it stands in ``paths``.

    Returns
    -------
    Files
        With ``paths``, ``labels``, ``classes``, ``len()`` and ``split()``.

    Raises
    ------
    ConfigError
        Nothing found, or labels that do not fit.
    """
    made = as_source(source, labels)
    if not isinstance(made, Files):
        raise ConfigError("ff.files lists files, and these are encoded images; pass them to ff.images as they are")
    return made


def as_source(source: object, labels: object = "auto") -> Source:
    """Make a source of what a front door was given; `files` says what that can be, and encoded images can be, too.

    Raises
    ------
    ConfigError
        Naming what does not work, and what does.
    """
    if isinstance(labels, str) and labels != "auto":
        raise ConfigError(
            f"labels={labels!r} does not work: pass 'auto', None, a mapping from file name or path, "
            f"a sequence with one label per sample, a dict of such sequences, or a callable"
        )
    if isinstance(source, Source):
        return source.with_labels(labels)
    if isinstance(source, str | os.PathLike):
        return _from_place(os.fsdecode(source), labels)
    if not is_sequence(source) or isinstance(source, memoryview):
        raise ConfigError(_why_not(source))
    items = list(cast("Sequence[Any]", source))
    if not items:
        raise ConfigError(f"the source is an empty {type(source).__name__}; {_WHAT_WORKS}")
    kinds = set(map(type, items))
    if all(issubclass(kind, str | os.PathLike) for kind in kinds):
        paths = items if kinds == {str} else [str(os.fsdecode(item)) for item in items]
        for index, path in enumerate(paths):
            if not path or "\0" in path:
                raise ConfigError(f"sample {index} of the source is {path!r}, which is no path; mend or remove it")
        return Files(paths, None).with_labels(labels)
    if kinds != {bytes}:
        _check_encoded(items)
    elif len(items[0]) < _LONGEST_PATH and os.path.isfile(items[0]):
        raise ConfigError(
            f"sample 0 of the source is {items[0]!r}, the path of a file, and bytes are taken for encoded images: "
            f"pass paths as str, [os.fsdecode(path) for path in paths]"
        )
    return Bytes(items, None).with_labels(labels)


def _share(fraction: object) -> float:
    if not isinstance(fraction, int | float) or not 0 < fraction < 1:  # bools are ints, and neither lies between
        raise ConfigError(f"split({fraction!r}) does not work: pass the first part's share, such as 0.8")
    return fraction


def _from_place(text: str, labels: object) -> Files:
    """Return the files of a folder or a glob."""
    auto = isinstance(labels, str)
    if text and is_folder(text):
        found = list_folder(text, classes=auto)
    elif text and exists(text):
        raise ConfigError(
            f"{text!r} is a file, not a folder: "
            f"pass [{text!r}] for this one file, or {str(Path(text).parent)!r} for the folder that it is in"
        )
    elif has_wildcards(text):
        found = list_glob(text)
    else:
        home = " (~ is not expanded: use os.path.expanduser)" if text.startswith("~") else ""
        where = "" if text.startswith("/") else f" in {str(Path.cwd())!r}"
        raise ConfigError(f"there is no folder {text!r}{where}{home}: check the path; {_WHAT_WORKS}")
    made = None if found.labels is None else class_labels(found.labels)
    return Files(found.paths, made, found.classes, root=found.root).with_labels(labels)


def _why_not(source: object) -> str:
    kind = type(source).__name__
    if isinstance(source, bytes | bytearray | memoryview):
        return f"the source is a single {kind} object: pass [data] for one encoded image, or a path as str"
    if isinstance(source, Mapping):
        return "the source is a mapping: pass its keys as the source and itself as labels, images(list(m), labels=m)"
    if hasattr(source, "__next__"):
        return (
            f"the source is a {kind}, which can be walked once and not indexed: pass list(...) of it, "
            f"or use ff.map or ff.parallel, which take iterables and generators"
        )
    if hasattr(source, "__iter__"):
        return f"the source is a {kind}, which has no order: pass sorted(...) of it"
    return f"the source is a {kind}: {_WHAT_WORKS}"


def _check_encoded(items: list[Any]) -> None:
    """Refuse samples that are not each one encoded image in a contiguous run of bytes."""
    paths = [isinstance(item, str | os.PathLike) for item in items]
    if any(paths):
        other = paths.index(not paths[0])
        raise ConfigError(
            f"sample 0 of the source is a {type(items[0]).__name__} "
            f"and sample {other} a {type(items[other]).__name__}: pass either paths or encoded images, not both"
        )
    for index, item in enumerate(items):
        try:
            view = memoryview(item)
        except TypeError:
            raise ConfigError(f"sample {index} of the source is a {type(item).__name__}: {_WHAT_WORKS}") from None
        if view.ndim != 1 or view.itemsize != 1 or not view.c_contiguous:
            raise ConfigError(
                f"sample {index} of the source is a buffer of shape {view.shape} and format {view.format!r}, "
                f"not an encoded image as bytes: for pixels use ff.arrays; {_WHAT_WORKS}"
            )
