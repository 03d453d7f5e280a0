"""The search for random generators that a callable holds, from attribute to attribute, without running any of its code.

    function    globals that it names (of modules: what it names of them), closure, defaults, attributes
    method      what it is bound to
    object      its attributes; its class
    class       its methods and attributes
    container   the members of lists, tuples, deques and dicts

The code of other people's packages is not entered, but for the package of the callable itself: what belongs to one of
them is looked into for what it holds, and not for the globals that its functions name.  The search is breadth first,
and ends after so many objects that more would be data.
"""

from __future__ import annotations

import functools
import sys
import types
from collections import deque
from itertools import count, islice

from fastfeed.randomness.seeds import Held, global_generators, held_kinds

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Step = tuple[str, Any]

_MOST_OBJECTS = 10_000
# Members of one container: so many are looked at, and so many of those that are no generators are looked into.
_MOST_MEMBERS = 10_000
_MOST_ENTERED = 100
# Values of these types lead nowhere.
_ENDS = frozenset({int, float, str, bytes, bool, complex, bytearray, range, type(None), type(...)})
_CONTAINERS = (dict, list, tuple, deque)
_NEVER_ENTERED = frozenset({"fastfeed", "numpy", "torch"})


def held_by(roots: Mapping[str, Any], bases: Mapping[str, bytes], known: set[int] | None = None) -> list[Held]:
    """Find the generators that values hold.

    Parameters
    ----------
    roots : mapping
        The values, by the name with which paths begin.
    bases : mapping
        Bases by path: what the consumer has found.  A module that a worker imports for itself may hold other states.
    known : set of int, optional
        Ids of generators that are left out, and to which the found ones are added.
    """
    kinds = held_kinds()
    known = set() if known is None else known
    passed_over = global_generators()
    found = []
    for path, value in _Search(roots, tuple(kinds)):
        if id(value) in passed_over:
            continue
        generator = getattr(value, "bit_generator", value)  # which two of NumPy's generators may share
        if id(generator) in known:
            continue
        kind = next(kind for cls, kind in kinds.items() if issubclass(type(value), cls))
        try:
            held = kind(generator, path)
        except Exception:  # random.SystemRandom, say: it has no state, so it does not repeat itself
            continue
        held.base = bases.get(path, held.base)
        known.add(id(generator))
        found.append(held)
    return found


class _Search:
    """The walk over what is reached from some values: an iterable of (path, generator)."""

    def __init__(self, roots: Mapping[str, Any], wanted: tuple[type, ...]) -> None:
        self._roots = roots
        self._wanted = wanted
        self._entered: dict[str, bool] = {}  # package -> whether its code is looked into
        self._members: dict[type, list[Step]] = {}  # class -> descriptors of its slots
        for root in roots.values():
            inner = root.func if type(root) is functools.partial else root
            for name in (getattr(inner, "__module__", None), type(inner).__module__):
                package = str(name).partition(".")[0]
                if package not in sys.stdlib_module_names and package not in _NEVER_ENTERED:
                    self._entered[package] = True

    def __iter__(self) -> Iterator[Step]:
        queue = list(self._roots.items())
        seen: dict[int, Any] = {}  # with the objects, for some are made on the way and their ids must stay theirs
        for path, value in queue:
            if type(value) in _ENDS or id(value) in seen:
                continue
            seen[id(value)] = value
            if issubclass(type(value), self._wanted):
                yield path, value
            elif len(queue) < _MOST_OBJECTS:
                queue += [step for step in self._steps(path, value) if type(step[1]) not in _ENDS]

    def _steps(self, path: str, value: Any) -> Iterator[Step]:
        kind = type(value)  # not isinstance, which asks a proxy, and so wakes what is behind it
        if issubclass(kind, _CONTAINERS):
            yield from self._of_container(path, value)
        if kind is types.FunctionType:
            yield from self._of_function(path, value)
        elif kind is types.MethodType:
            yield f"{path}.__self__", value.__self__
            yield f"{path}.__func__", value.__func__
        elif kind is types.BuiltinMethodType:
            yield f"{path}.__self__", value.__self__
        elif issubclass(kind, type):
            yield from self._of_class(path, value)
        elif not issubclass(kind, types.ModuleType):
            yield from self._of_object(path, value)

    def _of_container(self, path: str, value: Any) -> Iterator[Step]:
        base: Any = next(base for base in _CONTAINERS if issubclass(type(value), base))
        keys: Iterable[Any] = base.keys(value) if base is dict else count()
        members = list(islice(base.values(value) if base is dict else base.__iter__(value), _MOST_MEMBERS))
        kinds = set(map(type, members))
        if kinds <= _ENDS:
            return
        if not any(issubclass(kind, self._wanted) for kind in kinds):
            del members[_MOST_ENTERED:]
        for number, (key, member) in enumerate(zip(keys, members, strict=False)):
            if number < _MOST_ENTERED or issubclass(type(member), self._wanted):
                yield f"{path}[{key!r}]" if type(key) in _ENDS else f"{path}[{number}]", member

    def _of_function(self, path: str, function: types.FunctionType) -> Iterator[Step]:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                yield f"{path}.{name}", cell.cell_contents
            except ValueError:  # not filled yet
                continue
        yield f"{path}.__defaults__", function.__defaults__
        yield f"{path}.__kwdefaults__", function.__kwdefaults__
        yield f"{path}.__dict__", function.__dict__
        if self._is_entered(function.__globals__.get("__name__")):
            names = list(dict.fromkeys(_names(function.__code__)))
            yield from _named(path, function.__globals__, names, set())

    def _of_class(self, path: str, cls: type) -> Iterator[Step]:
        for each in cls.__mro__:
            if self._is_entered(each.__module__):
                yield from ((f"{path}.{name}", member) for name, member in list(vars(each).items()))

    def _of_object(self, path: str, value: Any) -> Iterator[Step]:
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except Exception:  # there is none, or a property of the user's
            attributes = None
        if isinstance(attributes, dict):
            for name, member in list(islice(attributes.items(), _MOST_MEMBERS)):
                yield f"{path}.{name}", member
        cls = type(value)
        if cls not in self._members:
            self._members[cls] = [
                (name, member)
                for each in cls.__mro__
                for name, member in vars(each).items()
                if type(member) is types.MemberDescriptorType
            ]
        for name, descriptor in self._members[cls]:
            try:
                yield f"{path}.{name}", descriptor.__get__(value)
            except AttributeError:  # not set
                continue
        yield f"{path}.__class__", cls

    def _is_entered(self, module: object) -> bool:
        """Whether the functions of a module are looked into: those of the user's own packages are."""
        package = str(module).partition(".")[0]
        entered = self._entered.get(package)
        if entered is None:
            entered = package not in sys.stdlib_module_names and package not in _NEVER_ENTERED
            loaded = sys.modules.get(package)
            if entered and loaded is not None and package != "__main__":
                places = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", ())]
                entered = not any("-packages/" in str(place) for place in places)
            self._entered[package] = entered
        return entered


def _names(code: types.CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes in a function's code, and in that of the functions in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _named(path: str, scope: Mapping[str, Any], names: list[str], modules: set[int]) -> Iterator[Step]:
    """Yield what names stand for in a scope, and in the modules among that."""
    for name in names:
        value = scope.get(name)
        if not isinstance(value, types.ModuleType):
            yield f"{path}.{name}", value
        elif id(value) not in modules:
            modules.add(id(value))
            # Not by the module itself: one that is loaded when it is first asked for something is to stay unloaded.
            inner = types.ModuleType.__getattribute__(value, "__dict__")
            yield from _named(f"{path}.{name}", inner, names, modules)
