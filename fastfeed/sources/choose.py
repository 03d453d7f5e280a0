"""What the user gave as a source, made a Source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from fastfeed import options
from fastfeed.errors import ConfigError
from fastfeed.sources.encoded import encoded_images
from fastfeed.sources.files import Files, files_listed, files_of
from fastfeed.sources.labels import WHAT_LABELS, can_be_indexed
from fastfeed.sources.source import WHAT_WORKS, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def files(
    source: object,
    *,
    labels: object = "auto",
    exclude: str | Iterable[str] | None = None,
    classes: Iterable[str] | None = None,
) -> Files:
    """List image files, with their labels.

    Parameters
    ----------
    source : str, Path, or sequence of these, or Files
        A folder: all files in it, at any depth, whose names end in ``.avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm
        .pgm .png .pnm .ppm .tif .tiff .webp``, in any case.  Hidden files and folders are left out, and folders that
        systems leave behind (``__MACOSX @eaDir $RECYCLE.BIN __pycache__ lost+found`` and the like); linked folders are
        entered, and the order is that of the sorted paths.  A glob: every file that it matches, whatever its name,
        sorted; ``**`` enters sub-folders.  A sequence of paths: these files, in this order.
    labels : optional
        - ``"auto"``: where a folder has sub-folders with images, each sub-folder is a class, and a file's label is the
          number of its class among the sorted names, which are ``classes``.  Otherwise there are no labels.
        - None: no labels.
        - a mapping, or a pandas Series or DataFrame indexed by strings: looked up by the path as given, then by the
          path below the folder (of a glob: below the part without wildcards), then by the file name, then by the file
          name without its suffix.  `Labels` says what ``on_error`` means for files that it lacks.
        - a sequence, one label per file, in the order of ``paths``; or a dict of such sequences.
        - a callable, called with each path as it stands in ``paths``.
    exclude : str or sequence of str, optional
        Names of files and folders to leave out, at any depth, or globs of such names; with a slash, paths below the
        folder (of a glob: below the part without wildcards).
    classes : sequence of str, optional
        The sub-folders that are classes, in the order of their numbers; what is not in them is left out.

    Returns
    -------
    Files
        With ``paths``, ``labels``, ``classes``, ``len()`` and ``split()``.

    Raises
    ------
    ConfigError
        Nothing found, or labels that do not fit.
    """
    made = as_source(source, labels, exclude, classes)
    if not isinstance(made, Files):
        raise ConfigError("ff.files lists files, and these are encoded images; pass them to ff.images as they are")
    return made


def as_source(source: object, labels: object = "auto", exclude: object = None, classes: object = None) -> Source:
    """Make a source of what a front door was given: what `files` takes, or a sequence of encoded images.

    Raises
    ------
    ConfigError
        Naming what does not work, and what does.
    """
    if isinstance(labels, str) and labels != "auto":
        raise options.wrong("labels", labels, WHAT_LABELS)
    if isinstance(source, str | os.PathLike):
        return files_of(os.fsdecode(source), labels, exclude, classes)
    for name, value in (("exclude", exclude), ("classes", classes)):
        if value is not None:
            remedy = "pass a folder as the source, or let ff.files list one: this source is no list of its files"
            raise options.wrong(name, value, remedy)
    if isinstance(source, Source):
        return source.with_labels(labels)
    if not can_be_indexed(source) or isinstance(source, memoryview) or _is_table(source):
        raise ConfigError(_why_not(source))
    items = list(cast("Sequence[Any]", source))
    if not items:
        raise ConfigError(f"the source is an empty {type(source).__name__}; {WHAT_WORKS}")
    if all(issubclass(kind, str | os.PathLike) for kind in set(map(type, items))):
        return files_listed(items, labels)
    return encoded_images(items, labels)


def _is_table(source: object) -> bool:
    """Whether this is a table of pandas, polars, Arrow or Hugging Face: a list of it may be that of its columns."""
    return hasattr(source, "columns") or hasattr(source, "column_names")


def _why_not(source: object) -> str:
    kind = type(source).__name__
    if isinstance(source, bytes | bytearray | memoryview):
        return f"the source is a single {kind} object: pass [data] for one encoded image, or a path as str"
    if isinstance(source, Mapping):
        return "the source is a mapping: pass its keys as the source and itself as labels, images(list(m), labels=m)"
    if _is_table(source):
        return (
            f"the source is a {kind}, a table: pass its column of paths as the source, and that of labels as labels, "
            f"images(list(table['path']), labels=list(table['label']))"
        )
    if hasattr(source, "__next__"):
        return (
            f"the source is a {kind}, which can be walked once and not indexed: pass list(...) of it, "
            f"or use ff.map or ff.parallel, which take iterables and generators"
        )
    if hasattr(source, "__iter__"):
        return f"the source is a {kind}, which has no order: pass sorted(...) of it"
    return f"the source is a {kind}: {WHAT_WORKS}"
