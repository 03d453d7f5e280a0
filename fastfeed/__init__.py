"""fastfeed: ready batches from slow data preparation, without the wait.

Public names live here and nowhere else; each is loaded when it is first used, so that the import stays cheap.  The stub
beside this file names them to type checkers.
"""

from __future__ import annotations

import sys

ModuleType = type(sys)

_HOMES = {
    "CenterCrop": "transforms",
    "ColorJitter": "transforms",
    "ConfigError": "errors",
    "FastfeedError": "errors",
    "Feed": "feed",
    "FeedClosed": "errors",
    "Normalize": "transforms",
    "RandomAffine": "transforms",
    "RandomHorizontalFlip": "transforms",
    "RandomResizedCrop": "transforms",
    "RandomVerticalFlip": "transforms",
    "Resize": "transforms",
    "RingMemoryError": "errors",
    "SampleError": "errors",
    "Stats": "stats",
    "WorkerDied": "errors",
    "WorkerError": "errors",
    "arrays": "arrays",
    "files": "source",
    "images": "images",
    "map": "map",
    "pad": "collate",
    "parallel": "parallel",
    "prefetch": "prefetch",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  the stub holds the literal list


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import system binds a loaded submodule to its name here: the function of that name goes first.
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[object, ...]:  # a user's function that refers to this module is sent to workers
        return __import__, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("fastfeed")
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f"fastfeed.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'fastfeed' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
