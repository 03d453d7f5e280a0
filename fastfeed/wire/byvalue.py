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


def dumps(value: Any, buffers: list[pickle.PickleBuffer], to_consumer: bool) -> bytes:
    """Pickle a value; `to_consumer`: for the process that sent this one its work, and classes with it."""
    out = io.BytesIO()
    pickler = _Pickler(out, 5, buffer_callback=buffers.append)
    pickler.to_consumer = to_consumer
    pickler.generators = global_generators()
    pickler.dump(value)
    return out.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    to_consumer = False
    generators: dict[int, tuple[str, str]]

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type):
            return self._class(obj)
        if id(obj) in self.generators:
            return _named, self.generators[id(obj)]
        # Pickle takes what functools.cache and lru_cache make by its name, which may lead nowhere on the other side.
        if type(obj) is _CACHED:
            module = sys.modules.get(obj.__module__)
            if obj.__module__ == "__main__" or getattr(module, obj.__qualname__, None) is not obj:
                return _cached, (obj.__wrapped__, obj.cache_parameters())
        if isinstance(obj, types.FunctionType) and _is_behind_its_name(obj):
            return _behind, (obj.__module__, obj.__qualname__)
        return super().reducer_override(obj)

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


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)
