"""Which files a folder or a glob stands for: sorted, hidden and excluded ones left out, no loop entered."""

from __future__ import annotations

import fnmatch
import os
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastfeed.errors import ConfigError
from fastfeed.options import wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    _Excludes = Callable[[str], bool]

IMAGE_SUFFIXES: Final = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
"""File name endings that count as images when a folder is walked, in any case."""

_NOT_DATA: Final = frozenset(
    (
        "#recycle",
        "$recycle.bin",
        "@eadir",
        "@recycle",
        "__macosx",
        "__pycache__",
        "lost+found",
        "system volume information",
    )
)
"""Folders, in any case, that systems and programs leave among the data: thumbnails, resource forks, deleted files."""

_Identity = tuple[int, int]  # device and inode: what a folder is, by whatever path it was reached


@dataclass(frozen=True)
class Listing:
    """Files, as the user would spell them.

    Attributes
    ----------
    paths : list of str
        Sorted by path, component by component and code point by code point, so the same on every machine.
    root : str
        What each path begins with: the folder, with its slash.
    classes : list of str or None
        Names of the class folders, sorted unless they were chosen.
    labels : array of int64 or None
        For each path, the position of its class folder in ``classes``.
    """

    paths: list[str]
    root: str
    classes: list[str] | None = None
    labels: array[int] | None = None


def excluder(patterns: Iterable[str]) -> _Excludes:
    """Return what says whether a path below the listed folder is left out, or lies in a folder that is.

    A pattern without a slash is matched against every name, one with slashes against the path, part by part.
    """
    split = [[re.compile(fnmatch.translate(part)) for part in pattern.strip("/").split("/")] for pattern in patterns]

    def excludes(path: str) -> bool:
        names = path.split("/")
        for wanted in split:
            if len(wanted) == 1 and any(map(wanted[0].match, names)):
                return True
            if 1 < len(wanted) <= len(names) and all(
                part.match(name) for part, name in zip(wanted, names, strict=False)
            ):
                return True
        return False

    return excludes


def list_folder(
    folder: str, *, classes: bool, chosen: Sequence[str] | None = None, excludes: _Excludes | None = None
) -> Listing:
    """List the image files below a folder.

    Every sub-folder of ``folder`` is a class, the empty ones too, so that a training and a validation folder number
    their classes alike.  Files count at any depth.  Linked folders are entered, unless they lead back to a folder
    that the walk came through.

    Parameters
    ----------
    folder : str
        Path of the folder.
    classes : bool
        Whether sub-folders are classes.  Where no sub-folder holds an image there are none.
    chosen : sequence of str, optional
        The sub-folders that are classes, in the order of their numbers; nothing else is listed.
    excludes : callable, optional
        Says of paths below the folder whether they are left out, as `excluder` returns it.

    Raises
    ------
    ConfigError
        No image file, images both beside and inside class folders, a chosen class without a folder, or a folder that
        cannot be read.
    """
    root = folder if folder.endswith("/") else folder + "/"
    own = _identity(root)
    left_out = None if excludes is None else lambda path: excludes(path[len(root) :])
    _, folders, files = next(_walk(root, left_out=left_out))
    folders = [name for name in folders if _identity(root + name) != own]
    if chosen is not None:
        _check_chosen(chosen, folder, folders)
        folders, files = sorted(chosen), []
    top = [root + name for name in files if _is_image(name)]
    groups: list[tuple[str, list[str]]] = []
    others = [root + name for name in files if not _is_image(name)]
    for name in folders:
        found: list[str] = []
        for here, _, names in _walk(root + name + "/", frozenset((own,)), left_out):
            for one in names:
                (found if _is_image(one) else others).append(here + one)
        groups.append((name, found))

    below = [path for _, found in groups for path in found]
    if not top and not below:
        there = f"it holds {len(others)} other files, such as {min(others)!r}; " if others else "it holds no files; "
        where = "" if chosen is None else "the class folders of "
        less = "" if excludes is None else "without what exclude= names "
        raise ConfigError(
            f"no image file in {where}the folder {folder!r}: {less}{there}"
            f"images are files named {', '.join(sorted(IMAGE_SUFFIXES))}; "
            f"for files of other names pass a glob, such as {root + '**/*'!r}"
        )
    if not classes or not below:
        return Listing(_sorted(top + below), root)
    if top:
        inside = next(path for _, found in groups for path in found)
        raise ConfigError(
            f"the folder {folder!r} holds images itself ({_sorted(top)[0]!r}) and in sub-folders ({inside!r}), "
            f"so labels='auto' cannot tell the classes: move the images into class folders, or name these by classes=, "
            f"or pass labels=None to take them all without labels, or pass labels"
        )
    paths, labels = [], array("q")
    names = list(chosen) if chosen is not None else folders
    numbers = {name: number for number, name in enumerate(names)}
    for name, found in groups:
        paths += _sorted(found)
        labels.extend([numbers[name]] * len(found))
    return Listing(paths, root, names, labels)


def class_folders(folder: str) -> list[str]:
    """Return the sorted names of the sub-folders that may be classes: none is hidden, or holds no data."""
    return _read(folder if folder.endswith("/") else folder + "/")[0]


def _check_chosen(chosen: Sequence[str], folder: str, folders: list[str]) -> None:
    there = set(folders)
    for name in chosen:
        if name not in there:
            listed = ", ".join(folders[:20]) + (", ..." if len(folders) > 20 else "") if folders else "none"
            raise wrong(
                "classes",
                chosen,
                f"pass names of sub-folders of {folder!r}, which has {listed}, and no {name!r}; an empty one will do",
            )


def has_wildcards(text: str) -> bool:
    """Whether a path is a glob."""
    return any(mark in text for mark in "*?[")


def list_glob(pattern: str, excludes: _Excludes | None = None) -> Listing:
    """List the files, of whatever name, that a glob matches, without those that are left out.

    ``*``, ``?`` and ``[...]`` stay within a folder's name, ``**`` stands for any number of folders, and case counts.
    Names that begin with a dot are matched only by a dot, and folders that hold no data only by their full names.

    Raises
    ------
    ConfigError
        No match, or a folder that cannot be read.
    """
    parts = pattern.split("/")
    first = next(k for k, part in enumerate(parts) if has_wildcards(part))
    base = "".join(part + "/" for part in parts[:first])
    if base and not is_folder(base):
        raise ConfigError(f"the glob {pattern!r} matches nothing: there is no folder {base!r}; check the path")
    wanted = [part for part in parts[first:] if part]
    if wanted[-1] == "**":
        wanted.append("*")
    found = set(_match(base, wanted))  # two ** find a file twice
    if excludes is not None:
        kept = {path for path in found if not excludes(path[len(base) :])}
        if found and not kept:
            raise ConfigError(f"exclude= leaves out all files that the glob {pattern!r} matches: pass fewer names")
        found = kept
    if not found:
        remedy = "check the spelling; case counts, and only ** reaches into sub-folders"
        if next(_match(base, [*wanted, "*"]), None) is not None:
            remedy = f"it matches folders only; for the files in them pass {pattern.rstrip('/') + '/*'!r}"
        raise ConfigError(f"the glob {pattern!r} matches no file: {remedy}")
    return Listing(_sorted(found), base)


def _match(prefix: str, parts: list[str], known: tuple[list[str], list[str]] | None = None) -> Iterator[str]:
    """Yield the files below prefix ("" or ending in a slash) that parts match; known is what _read(prefix) returned."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        for here, folders, files in _walk(prefix):
            yield from _match(here, rest, (folders, files))
    elif not has_wildcards(part):
        path = prefix + part
        if rest:
            if is_folder(path):
                yield from _match(path + "/", rest)
        elif exists(path) and not is_folder(path):
            yield path
    else:
        hidden = part.startswith(".")
        folders, files = known if known is not None and not hidden else _read(prefix, hidden=hidden)
        accepts = re.compile(fnmatch.translate(part)).match
        if not rest:
            yield from (prefix + name for name in files if accepts(name))
        else:
            for name in filter(accepts, folders):
                yield from _match(prefix + name + "/", rest)


def _walk(
    prefix: str, above: frozenset[_Identity] = frozenset(), left_out: _Excludes | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (prefix, names of folders, names of files) of a folder and of all below it, without what is left out.

    Only a folder that is its own ancestor is passed over: one that is linked twice side by side is in the data twice.
    """
    ahead = [(prefix, above)]
    while ahead:
        here, ancestors = ahead.pop()
        own = _identity(here)
        if own in ancestors:
            continue
        folders, files = _read(here)
        if left_out is not None:
            folders, files = ([name for name in names if not left_out(here + name)] for names in (folders, files))
        yield here, folders, files
        ancestors |= {own}
        ahead += [(here + name + "/", ancestors) for name in folders]


def _read(prefix: str, *, hidden: bool = False) -> tuple[list[str], list[str]]:
    """Return the sorted names of folders, and of everything else, in a folder; those with a dot only where hidden.

    Folders that hold no data are left out.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(prefix or ".") as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") and not hidden:
                    continue
                try:
                    if not entry.is_dir():
                        files.append(name)
                    elif name.lower() not in _NOT_DATA:
                        folders.append(name)
                except OSError:  # a link to itself, or into a folder that may not be entered: the reader will say so
                    files.append(name)
    except OSError as error:
        raise _unreadable(prefix, error) from error
    folders.sort()
    files.sort()
    return folders, files


def is_folder(path: str) -> bool:
    """Whether there is a folder, or a link to one; ``ConfigError`` where that cannot be seen."""
    try:
        return Path(path).is_dir()
    except OSError as error:
        raise _unreadable(path, error) from error


def exists(path: str) -> bool:
    """Whether there is anything, even a broken link; ``ConfigError`` where that cannot be seen."""
    try:
        return Path(path).is_symlink() or Path(path).exists()
    except OSError as error:
        raise _unreadable(path, error) from error


def _identity(folder: str) -> _Identity:
    try:
        status = Path(folder or ".").stat()
    except OSError as error:
        raise _unreadable(folder, error) from error
    return status.st_dev, status.st_ino


def _unreadable(path: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot look into {path or '.'!r}: {error.strerror}; "
        f"make it readable, or move it out of the way, or pass the paths of the files yourself"
    )


def _is_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in IMAGE_SUFFIXES


def _sorted(paths: Iterable[str]) -> list[str]:
    # NUL sorts before every character that a name may hold, so a folder's files come before those of "folder-2".
    return sorted(paths, key=lambda path: path.replace("/", "\0"))
