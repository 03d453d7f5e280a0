"""Image files as a source: of a folder, a glob, or a list of paths."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fastfeed.errors import ConfigError
from fastfeed.options import several, shown, wrong
from fastfeed.sources.labels import Labels, class_labels, make_labels
from fastfeed.sources.listing import excluder, exists, has_wildcards, is_folder, list_folder, list_glob
from fastfeed.sources.source import WHAT_WORKS, Source

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence


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

    kind = 0  # FF_TABLE_PATHS

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
        root = f" in {shown(self._root)}" if self._root else ""
        return f"Files({len(self)} files{root}{classes})"

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


def files_listed(items: Sequence[str | os.PathLike[str]], labels: object) -> Files:
    """Return these files, in this order."""
    plain = set(map(type, items)) == {str}
    paths: Sequence[Any] = items if plain else [str(os.fsdecode(item)) for item in items]
    for index, path in enumerate(paths):
        if not path or "\0" in path:
            raise ConfigError(f"sample {index} of the source is {path!r}, which is no path; mend or remove it")
    return Files(paths, None).with_labels(labels)


def _names(option: str, value: object, remedy: str) -> list[str]:
    """Return an option that is several names, each once, in their order; a string is one."""
    names: list[Any] = [value]
    if not isinstance(value, str):
        names = list(value) if several(value) and not isinstance(value, Set) else []  # type: ignore[call-overload]
    valid = all(isinstance(name, str) and name.strip("/") for name in names)
    if not names or not valid or len(set(names)) < len(names):
        raise wrong(option, value, remedy)
    return names


# Files that people pass for the images in them.
_NO_IMAGES = {
    (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar"): "unpack it, and pass the folder",
    (".npy", ".npz"): "pass what numpy.load makes of it to fastfeed.arrays",
    (".csv", ".tsv", ".txt", ".json", ".jsonl"): "read it, and pass the list of paths that it holds",
}


def files_of(text: str, labels: object, exclude: object = None, classes: object = None) -> Files:
    """Return the files of a folder or a glob."""
    auto = isinstance(labels, str)
    excludes = chosen = None
    if exclude is not None:
        excludes = excluder(_names("exclude", exclude, "pass names or globs of files and folders, each once"))
    if classes is not None:
        chosen = _names("classes", classes, "pass a list of names of class folders, each once")
    if chosen is not None and not auto:
        raise wrong("classes", classes, "pass labels='auto' with it: it numbers the class folders")
    if text and is_folder(text):
        found = list_folder(text, classes=auto, chosen=chosen, excludes=excludes)
    elif text and exists(text):
        one = f"pass [{text!r}] for this one file, or {str(Path(text).parent)!r} for the folder that it is in"
        remedy = next((words for ends, words in _NO_IMAGES.items() if text.lower().endswith(ends)), one)
        raise ConfigError(f"{text!r} is a file, not a folder: {remedy}")
    elif has_wildcards(text):
        if chosen is not None:
            raise wrong("classes", classes, "pass a folder as the source: a glob has no class folders")
        found = list_glob(text, excludes)
    else:
        if "://" in text:
            raise ConfigError(f"{text!r} is a URL, which is not read: download the files, and pass their folder")
        home = " (~ is not expanded: use os.path.expanduser)" if text.startswith("~") else ""
        where = "" if text.startswith("/") else f" in {str(Path.cwd())!r}"
        raise ConfigError(f"there is no folder {text!r}{where}{home}: check the path; {WHAT_WORKS}")
    made = None if found.labels is None else class_labels(found.labels)
    return Files(found.paths, made, found.classes, root=found.root).with_labels(labels)
