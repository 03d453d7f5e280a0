"""The consumer's interpreter, described for a worker that runs the user's code and is to be like it.

The crew starts such a worker with the consumer's options, environment and working directory, and with ``site``.  The
rest is what the program has made of its interpreter since: where it looks for modules, which ones it found elsewhere,
its arguments, what it has added to PIL, and code that is in no file.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    # The file of a module, "" for a namespace; the loader's class in importlib.machinery; where its submodules are.
    Found = tuple[str, str, list[str] | None]

_LOADERS = ("SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader")
# By the path as it was last, the modules that a search of it leads to: each is looked at once, and not at each start.
_in_place: dict[frozenset[str], dict[str, ModuleSpec]] = {}


# ---- in the consumer ----


def search_path() -> list[str]:
    """Where this process looks for modules."""
    # Python passes over entries that are no text, such as a Path.
    return [str(entry) for entry in sys.path if isinstance(entry, str)]


def described_in_short() -> dict[str, Any]:
    """Describe what a worker needs that runs none of the user's code, but perhaps PIL."""
    return {"path": search_path(), "plugins": _plugins()}


def described() -> dict[str, Any]:
    """Describe this interpreter in values that `marshal` takes."""
    manager = sys.modules.get("multiprocessing.managers")
    return {
        **described_in_short(),
        "argv": [str(argument) for argument in getattr(sys, "argv", [])],
        "elsewhere": _elsewhere(),
        "shadowed": _shadowed(),
        "sources": _sources(),
        # By which a process proves to a manager's server that it may use its proxies.
        "authkey": None if manager is None else bytes(manager.process.current_process().authkey),
    }


def surroundings() -> bytes:
    """What this process hands to the workers that it starts: they are outdated where it changes."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = ""
    arguments = [str(argument) for argument in getattr(sys, "argv", [])]
    return marshal.dumps([search_path(), arguments, folder, dict(os.environb)])


def _elsewhere() -> dict[str, Found]:
    """The modules of this process that a search of its path would not find, or not there: loaded by their path, say."""
    path = frozenset(map(_absolute, search_path()))
    if path not in _in_place:
        _in_place.clear()
    in_place = _in_place.setdefault(path, {})
    found = {}
    for name, module in list(sys.modules.items()):
        spec: ModuleSpec | None = getattr(module, "__spec__", None)
        if spec is None or spec is in_place.get(name) or spec.name != name:  # the last: another name of a module
            continue
        origin = _absolute(spec.origin) if spec.has_location and isinstance(spec.origin, str) else ""
        locations = spec.submodule_search_locations
        parts = None if locations is None else [_absolute(str(place)) for place in locations]  # a Path is one, too
        is_of_its_own_kind = not origin and (spec.origin is not None or not parts)  # or built in
        if is_of_its_own_kind or _would_be_found(name, origin, parts, path):
            in_place[name] = spec
            continue
        loader = type(spec.loader).__name__
        found[name] = origin, loader if loader in _LOADERS else _LOADERS[0], parts
    return found


def _would_be_found(name: str, origin: str, parts: list[str] | None, path: frozenset[str]) -> bool:
    from importlib.machinery import all_suffixes

    parent, _, last = name.rpartition(".")
    package = getattr(sys.modules.get(parent), "__path__", None) or ()
    folders = {_absolute(str(place)) for place in package} if parent else path
    if not origin:  # a namespace
        return {os.path.dirname(part) for part in parts or ()} <= folders
    folder, file = os.path.split(origin)
    if parts is None:
        return folder in folders and file.startswith(last) and file[len(last) :] in all_suffixes()
    return os.path.dirname(folder) in folders and os.path.basename(folder) == last and file.startswith("__init__.")


def _sources() -> dict[str, list[str]]:
    """The lines of code that is in no file, such as a notebook's cells, for tracebacks."""
    cache = getattr(sys.modules.get("linecache"), "cache", {})
    return {name: entry[2] for name, entry in list(cache.items()) if len(entry) == 4 and entry[1] is None}


def _plugins() -> bytes | None:
    """A frame of what the program has added to PIL, for HEIC or AVIF, say; None where that is nothing."""
    image = sys.modules.get("PIL.Image")
    found = [
        {name: made for name, made in getattr(image, table, {}).items() if not _is_of_pil(made)}
        for table in ("OPEN", "DECODERS")
    ]
    if not any(found):
        return None
    from fastfeed.wire import frame

    try:
        return bytes(frame.filled(*frame.frame(found, by_value=True)))
    except frame.UnpicklableError:  # workers will say that they do not know the format
        return None


def _is_of_pil(made: Any) -> bool:
    factory = made[0] if isinstance(made, tuple) else made
    return str(getattr(factory, "__module__", "PIL")).split(".")[0] == "PIL"


def _shadowed() -> list[str]:
    """The modules of Python's library in whose place this process finds others: the program's own."""
    library = os.path.dirname(os.__file__)
    names = sys.stdlib_module_names - set(sys.builtin_module_names)
    found = []
    for entry in search_path():
        if entry == library:
            break
        finder: Any = sys.path_importer_cache.get(entry or _absolute(entry))  # it has read the folder
        if finder is not None:
            found += [name for name in sorted(names & _stems(entry)) if _is_found(finder, name)]
    return found


def _stems(folder: str) -> set[str]:
    """What the modules of a folder can be called: a look at each name would take milliseconds."""
    try:
        return {file.partition(".")[0] for file in os.listdir(folder or ".")}
    except OSError:  # an archive
        return set(sys.stdlib_module_names)


def _is_found(finder: Any, name: str) -> bool:
    loaded: ModuleType | None = sys.modules.get(name)
    spec = finder.find_spec(name)
    if spec is None or spec.loader is None:
        return False
    return loaded is None or getattr(loaded, "__file__", None) == spec.origin


def _absolute(path: str) -> str:
    try:
        return path if path.startswith("/") else os.path.abspath(path)
    except FileNotFoundError:  # the working directory has been removed
        return path


# ---- in a worker ----


def become(like: dict[str, Any]) -> None:
    """Make this interpreter like the one that was described; before any code of the user's is loaded."""
    # Last, where it may be new: what found fastfeed itself.
    sys.path[:] = [*like["path"], *(entry for entry in sys.path[-1:] if entry not in like["path"])]
    sys.argv[:] = like["argv"]
    for name in like["shadowed"]:
        sys.modules.pop(name, None)  # this process's own imports hold what they need
    if like["elsewhere"]:
        sys.meta_path.insert(0, _Finder(like["elsewhere"]))
    if like["authkey"] is not None:
        from multiprocessing import process

        process.current_process().authkey = like["authkey"]
    add_plugins(like["plugins"])
    if like["sources"]:
        import linecache

        entries = ((name, (sum(map(len, lines)), None, lines, name)) for name, lines in like["sources"].items())
        linecache.cache.update(entries)


def add_plugins(plugins: bytes | None) -> None:
    """Add to PIL what the consumer's program has added."""
    if plugins is None:
        return
    from PIL import Image

    from fastfeed.wire import frame

    Image.preinit()  # PIL's own come first, as they do there
    openers, decoders = frame.read(memoryview(bytearray(plugins)))
    for name, (factory, accept) in openers.items():
        Image.register_open(name, factory, accept)
    for name, decoder in decoders.items():
        Image.register_decoder(name, decoder)


class _Finder:
    """An import hook: modules where the consumer found them."""

    def __init__(self, found: dict[str, Found]) -> None:
        self._found = found

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module that the consumer found elsewhere."""
        if name not in self._found:
            return None
        from importlib import machinery, util

        origin, loader, locations = self._found[name]
        if origin:
            made = getattr(machinery, loader)(name, origin)
            return util.spec_from_file_location(name, origin, loader=made, submodule_search_locations=locations)
        spec = machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = locations
        return spec
