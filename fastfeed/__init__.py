"""fastfeed: ready batches from slow data preparation, without the wait.

Public names live here and nowhere else; each is loaded when it is first used, so that the import stays cheap.
"""

from __future__ import annotations

import sys

# Not from typing, whose import would double the start-up time of a worker; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from fastfeed.arrays import arrays
    from fastfeed.collate import pad
    from fastfeed.errors import (
        ConfigError,
        FastfeedError,
        FeedClosed,
        RingMemoryError,
        SampleError,
        WorkerDied,
        WorkerError,
    )
    from fastfeed.feed import Feed
    from fastfeed.images import images
    from fastfeed.map import map
    from fastfeed.parallel import parallel
    from fastfeed.prefetch import prefetch
    from fastfeed.source import files
    from fastfeed.stats import Stats
    from fastfeed.transforms import (
        CenterCrop,
        ColorJitter,
        Normalize,
        RandomAffine,
        RandomHorizontalFlip,
        RandomResizedCrop,
        RandomVerticalFlip,
        Resize,
    )

else:
    ModuleType = type(sys)

__version__ = "0.1.0"

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

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "ConfigError",
    "FastfeedError",
    "Feed",
    "FeedClosed",
    "Normalize",
    "RandomAffine",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "RingMemoryError",
    "SampleError",
    "Stats",
    "WorkerDied",
    "WorkerError",
    "arrays",
    "files",
    "images",
    "map",
    "pad",
    "parallel",
    "prefetch",
]


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # The import system binds a loaded submodule to its name here: the function of that name goes first.
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:  # a user's function that refers to this module is sent to workers
        return __import__, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fastfeed' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"fastfeed.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
