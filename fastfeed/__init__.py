"""fastfeed: ready batches from slow data preparation, without the wait.

Public names live here and nowhere else; each is loaded when it is first used, so that the import stays cheap.  The stub
beside this file names them to type checkers.
"""

_HOMES = {
    "CenterCrop": "image.transforms",
    "ColorJitter": "image.transforms",
    "ConfigError": "errors",
    "FastfeedError": "errors",
    "Feed": "engine.feed",
    "FeedClosed": "errors",
    "Normalize": "image.transforms",
    "Prefetch": "functions.prefetch",
    "PrefetchStats": "functions.prefetch",
    "RandomAffine": "image.transforms",
    "RandomHorizontalFlip": "image.transforms",
    "RandomResizedCrop": "image.transforms",
    "RandomVerticalFlip": "image.transforms",
    "Resize": "image.transforms",
    "RingMemoryError": "errors",
    "SampleError": "errors",
    "Stats": "engine.stats",
    "Weights": "schedule.weights",
    "WorkerDied": "errors",
    "WorkerError": "errors",
    "arrays": "table.arrays",
    "files": "sources.choose",
    "images": "image.images",
    "map": "functions.map",
    "pad": "collate.pad",
    "parallel": "functions.parallel",
    "prefetch": "functions.prefetch",
    "replay": "tools.replay",
    "show": "tools.show",
}

# Adapters are modules of their own, beside this file, so that a framework is imported only where it is asked for.
_MODULES = (
    "accelerate",
    "jax",
    "keras",
    "lightning",
    "opentelemetry",
    "prometheus",
    "ray",
    "tensorflow",
    "torch",
    "transformers",
)

__all__ = sorted(_HOMES)  # noqa: PLE0605  the stub holds the literal list


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("fastfeed")
    elif name in _MODULES:
        from importlib import import_module

        value = import_module(f"fastfeed.{name}")
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f"fastfeed.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'fastfeed' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES, "__version__"})
