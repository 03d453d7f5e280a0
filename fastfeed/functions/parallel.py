"""parallel: a generator function in, the same function over worker processes out."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

from fastfeed import machine
from fastfeed.engine.feed import Feed
from fastfeed.errors import ConfigError
from fastfeed.functions.caller import name_of
from fastfeed.functions.stream_caller import ArgumentPath
from fastfeed.functions.streams import RunsJob, StreamsJob
from fastfeed.options import Engine, check_seed, whole


def parallel(
    generator_function: Callable[..., Any] | None = None,
    *,
    split: str | Sequence[str] | None = None,
    split_size: int | None = None,
    copies: bool = False,
    seed: int | None = 0,
    num_workers: int | None = None,
    ordered: bool = True,
    prefetch: int | None = None,
    timeout: float | None = None,
) -> Callable[..., Any]:
    """Run a generator function in worker processes; a call gives a Feed of what it yields.

    A wrapper, ``fast = parallel(gen, split="files", split_size=32)``, or a decorator with or without options.  Each
    ``iter`` of the feed calls the function afresh.

    Parameters
    ----------
    generator_function : callable
        A generator function, or any that returns an iterable: a method, a lambda, a closure, one of ``__main__``.
    split : str or sequence of str, optional
        The argument to cut, or several of one length to be cut alike: lists, arrays, anything with a length and
        slices.  Alone, it is cut into one part per worker, each part a call of its own, and the streams are
        interleaved: in turn, or as they come with ``ordered=False``.  Without it one worker runs one stream, and the
        consumer overlaps with it.
    split_size : int, optional
        Cut into runs of so many elements, each a call of its own, for finite generators.  A generator that walks its
        argument in order then gives exactly its serial stream, if this is a multiple of its batch size.
    copies : bool
        One independent stream per worker, for generators that sample for ever.
    seed : int or None
        `random` and `numpy.random` are seeded in the workers with (seed, epoch, stream or run); None draws one.
    num_workers, ordered, prefetch, timeout
        As for `fastfeed.images`; `prefetch` counts items, or runs; `timeout` is for one of them.

    Returns
    -------
    callable
        With the generator function's signature, returning a `Feed`.

    Raises
    ------
    ConfigError
        Options or arguments that cannot work.
    WorkerError
        While iterating: the generator raised; its exception is the cause.
    WorkerDied
        While iterating: an item killed its worker twice.

    Notes
    -----
    When a worker dies, its stream is started again with the same arguments and seed, and the items already delivered
    are dropped.  A generator that is not deterministic (time, network, its own entropy) may then repeat or leave out
    some of what it would have yielded.

    Arguments go to the workers when the feed is first iterated: arrays once for all of them, shared until somebody
    writes to them, and read-only memmaps by the name of their file.  A stream sees them as they were, whatever it did
    to them the epoch before.  Runs are sent their parts one by one, and share the other arguments with those before
    them on the same worker.  With num_workers=0 the function gets the very objects that you passed, as in a plain call.

    A generator that is left before its end is closed, so that its ``finally`` clauses run, when the next iteration
    begins or the feed is closed.
    """
    options: dict[str, Any] = {"num_workers": num_workers, "ordered": ordered, "prefetch": prefetch, "timeout": timeout}
    engine = Engine(**options)
    if generator_function is None:
        return functools.partial(parallel, split=split, split_size=split_size, copies=copies, seed=seed, **options)
    function = generator_function
    if not callable(function):
        raise ConfigError(f"parallel({function!r}): pass the generator function itself" + _called(function))
    names = _names(split)
    if not isinstance(copies, bool):
        raise ConfigError(f"copies={copies!r}: pass True or False")
    if copies and names:
        raise ConfigError("copies=True and split: copies are whole streams, with nothing to cut; pass one of them")
    if split_size is not None:
        whole("split_size", split_size, 1)
        if not names:
            raise ConfigError(f"split_size={split_size}: name the argument to cut with split=")
    fixed = int.from_bytes(os.urandom(8), "little") if seed is None else check_seed(seed)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        what = f"parallel({name_of(function)}): its arguments cannot be seen; wrap it in a function"
        raise ConfigError(what) from error

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Feed:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        where, count = _cut(function, bound, names)
        arguments = bound.args, bound.kwargs
        careful = timeout is not None
        if split_size is not None and count is not None:
            return Feed(RunsJob(function, arguments, where, count, split_size, fixed, careful), engine)
        workers = machine.available_cpus() if num_workers is None else max(1, num_workers)
        streams = workers if copies else 1 if count is None else max(1, min(workers, count))
        job = StreamsJob(function, arguments, where, streams, count, fixed, careful, ordered)
        return Feed(job, _with_workers(engine, streams))

    return call


def _called(thing: object) -> str:
    if inspect.isgenerator(thing):
        return f", not what it returns: parallel({thing.gi_code.co_name}), then call the result; or prefetch(generator)"
    return ""


def _names(split: str | Sequence[str] | None) -> tuple[str, ...]:
    if split is None:
        return ()
    names = (split,) if isinstance(split, str) else tuple(split) if isinstance(split, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"split={split!r}: pass the name of an argument, or a tuple of names")
    if len(set(names)) < len(names):
        raise ConfigError(f"split={split!r}: name each argument once")
    return names


def _with_workers(engine: Engine, streams: int) -> Engine:
    workers = 0 if engine.num_workers == 0 else streams
    return Engine(num_workers=workers, ordered=engine.ordered, prefetch=engine.prefetch, timeout=engine.timeout)


def _cut(
    function: Callable[..., Any], bound: inspect.BoundArguments, names: tuple[str, ...]
) -> tuple[list[ArgumentPath], int | None]:
    """Where the split arguments are in the call, and their length."""
    positional = [
        name
        for name, parameter in bound.signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    where: list[ArgumentPath] = []
    lengths: dict[str, int] = {}
    for name in names:
        if name in positional:
            where.append(("args", positional.index(name)))
        elif name in bound.kwargs:
            where.append(("kwargs", name))
        else:
            known = ", ".join(bound.signature.parameters)
            raise ConfigError(f"split={name!r}: {name_of(function)} has no such argument; it has {known or 'none'}")
        value = bound.arguments.get(name, bound.kwargs.get(name))
        try:
            lengths[name] = len(value)  # type: ignore[arg-type]
            value[0:0]  # type: ignore[index]
        except (TypeError, KeyError) as error:
            raise ConfigError(
                f"split={name!r}: {type(value).__name__} cannot be cut; pass a list or an array, something with a "
                f"length and slices"
            ) from error
    if len(set(lengths.values())) > 1:
        raise ConfigError(f"split={names}: the arguments must have one length to be cut alike, and have {lengths}")
    return where, next(iter(lengths.values()), None)
