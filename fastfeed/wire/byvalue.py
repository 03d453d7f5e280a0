"""Pickling of functions and classes that the other side cannot import, by their content.

cloudpickle does it, and this adds what it leaves out.  A class that has gone from A to B by value comes back to A as
the very class it was, because only its key travels.  cloudpickle would send its content back and overwrite the
original's methods and attributes with it.  The global random generators go by name, as the functions do that draw from
them: a copy would not be seeded with its module.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import sys
import types
import typing
import weakref

import cloudpickle

from fastfeed.randomness.seeds import global_generators
from fastfeed.wire import tensors

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable
    from typing import Any

_THIS_PROCESS = os.urandom(8).hex()
_CACHED = type(functools.cache(len))

# Classes of this process by the key that they were sent with, and those of other processes by theirs.
_sent: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
_sent_keys: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
_received: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
_received_keys: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
_complete: weakref.WeakSet[type] = weakref.WeakSet()


def dumps(value: Any, buffers: list[pickle.PickleBuffer], to_consumer: bool, to_keep: bool = False) -> bytes:
    """Pickle a value.

    `to_consumer`: for the process that sent this one its work, and classes with it.  `to_keep`: for a worker that keeps
    it, so that memmaps may go by the name of their file.
    """
    out = io.BytesIO()
    pickler = _Pickler(out, 5, buffer_callback=buffers.append)
    pickler.to_consumer, pickler.to_keep = to_consumer, to_keep
    pickler.generators, pickler.by_value = global_generators(), set()
    pickler.tensor = tensors.tensor_class()
    try:
        pickler.dump(value)
    finally:
        for module in pickler.by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return out.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    to_consumer = to_keep = False
    by_value: set[types.ModuleType]  # modules that go by value in this pickle alone
    generators: dict[int, tuple[str, str]]
    tensor: type | None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, types.FunctionType, types.ModuleType)):
            self._register(obj)
        if isinstance(obj, type):
            return self._class(obj)
        if id(obj) in self.generators:
            return _named, self.generators[id(obj)]
        if type(obj) is self.tensor:
            return tensors.reduced(obj)
        if isinstance(obj, types.CodeType) and types.CodeType in self.dispatch_table:
            return _code, (obj.co_filename, *self.dispatch_table[types.CodeType](obj)[1])
        if self.to_keep and "numpy" in sys.modules:
            from fastfeed.wire.memmap import by_path  # in the consumer only: its imports would delay every worker

            if (made := by_path(obj)) is not obj:
                return made.__reduce__()
        if isinstance(obj, io.TextIOWrapper) and obj not in (sys.stdin, sys.stdout, sys.stderr):
            _refuse_to_lose(obj)
        # Those of Python 3.11 have a lock.
        if type(obj) is functools.cached_property:
            return _cached_property, (obj.func, obj.attrname)
        # Pickle takes what functools.cache and lru_cache make by its name, which may lead nowhere on the other side.
        if type(obj) is _CACHED:
            module = sys.modules.get(obj.__module__)
            if obj.__module__ == "__main__" or getattr(module, obj.__qualname__, None) is not obj:
                return _cached, (obj.__wrapped__, obj.cache_parameters())
        if isinstance(obj, types.FunctionType) and _is_behind_its_name(obj):
            return _behind, (obj.__module__, obj.__qualname__)
        return super().reducer_override(obj)

    def _register(self, obj: Any) -> None:
        """Send by value what is of a module that no import leads to: made by hand, or by multiprocessing."""
        name = obj.__name__ if isinstance(obj, types.ModuleType) else obj.__module__
        module = sys.modules.get(name)
        if module is None or name == "__main__" or getattr(module, "__spec__", None) is not None:
            return
        above = sys.modules.get(name.rpartition(".")[0])
        if getattr(above, "__spec__", None) is None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            self.by_value.add(module)

    def _class(self, cls: type) -> Any:
        if self.to_consumer and cls in _received_keys:
            return _original, (_received_keys[cls],)
        reduced = super().reducer_override(cls)
        if reduced is NotImplemented or len(reduced) < 6:
            return reduced
        make, args, state, _, _, set_state = reduced
        slots = cls.__dict__.get("__slots__")
        if typing.NamedTuple in cls.__dict__.get("__orig_bases__", ()):
            slots = None  # it sets them itself
        if slots is not None and make.__name__ == "_make_skeleton_class":  # which cloudpickle makes a mere attribute of
            args = (*args[:3], {**args[3], "__slots__": slots}, *args[4:])
        key = _sent_keys.setdefault(cls, f"{_THIS_PROCESS}-{len(_sent_keys)}-{id(cls)}")
        _sent[key] = cls
        return _receive, (key, make, args), (set_state, state), None, None, _set_state


def _receive(key: str, make: Callable[..., type], args: tuple[Any, ...]) -> type:
    cls = _sent.get(key) or _received.get(key)
    if cls is None:
        cls = make(*args)
        _received[key] = cls
        _received_keys[cls] = key
    return cls


def _set_state(cls: type, state: tuple[Callable[[type, Any], object], Any]) -> None:
    if cls not in _complete and cls not in _sent_keys:
        _complete.add(cls)
        state[0](cls, state[1])


def _original(key: str) -> type:
    try:
        return _sent[key]
    except KeyError:
        raise LookupError("a class of this process, which is no more") from None


def _named(module: str, qualname: str) -> Any:
    return functools.reduce(getattr, qualname.split("."), importlib.import_module(module))


def _is_behind_its_name(function: types.FunctionType) -> bool:
    """Whether a decorator's wrapper bears a function's name, in a module that the other side can import."""
    module = sys.modules.get(function.__module__)
    if function.__module__ == "__main__" or getattr(module, "__spec__", None) is None:
        return False
    try:
        return getattr(_named(function.__module__, function.__qualname__), "__wrapped__", None) is function
    except AttributeError:
        return False


def _behind(module: str, qualname: str) -> Any:
    return _named(module, qualname).__wrapped__


def _code(file: str, *parts: Any) -> types.CodeType:
    """Make a code object that names its file, which cloudpickle leaves out, so that tracebacks show its lines."""
    return types.CodeType(*parts).replace(co_filename=file)


def _cached_property(function: Callable[..., Any], name: str) -> Any:
    made = functools.cached_property(function)
    made.__set_name__(object, name)
    return made


def _refuse_to_lose(file: io.TextIOWrapper) -> None:
    """Raise for a file that is open for writing; cloudpickle would send what it holds, and lose what is written."""
    if not file.closed and file.writable():
        raise TypeError(f"the file {file.name!r} is open for writing, and would not get what a worker writes")


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)
