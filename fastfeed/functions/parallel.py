"""parallel: a generator function in, the same function over worker processes out."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fastfeed import options
from fastfeed.engine.feed import Feed
from fastfeed.errors import ConfigError
from fastfeed.functions.stream_caller import ArgumentPath, cut
from fastfeed.functions.streams import RunsJob, StreamsJob
from fastfeed.options import EngineOptions
from fastfeed.wire.callables import name_of


def parallel(
    generator_function: Callable[..., Any] | None = None,
    *,
    split: str | Sequence[str] | None = None,
    split_size: int | None = None,
    copies: bool = False,
    seed: int | str | None = "rank",
    initializer: Callable[[], object] | None = None,
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
        The argument to cut, or several of one length to be cut alike: lists, arrays, anything with a length and with
        slices of its elements (a slice that is a batch of columns is refused).  Alone, it is cut into one part per
        worker, each part a call of its own, and the streams are interleaved: in turn, or as they come with
        ``ordered=False``.  Without it one worker runs one stream, and the consumer overlaps with it.
    split_size : int, optional
        Cut into runs of this many elements, each a call of its own, for finite generators.  A generator that walks its
        argument in order then gives exactly its serial stream, if this is a multiple of its batch size.
    copies : bool
        One independent stream per worker, for generators that sample for ever.
    seed : int, "rank" or None
        Random numbers depend on (seed, epoch, stream or run): see the notes.  "rank" is 0, or the rank that a launcher
        (torchrun, Slurm, MPI) has given this process, so that ranks differ; a number is taken as it is, on all ranks
        alike.  None draws a seed.
    initializer : callable, optional
        As for `fastfeed.map`.
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

    The global generators of `random`, NumPy and torch (on the processor) begin each call at (seed, epoch, stream or
    run).  So do generator objects, `random.Random`, `numpy.random.Generator` and `RandomState`, `torch.Generator`, each
    from its own state at the first iteration as well, so that those of two seeds differ.  They are found in the
    function, its closure, the globals that it and the functions of your own packages name, in attributes of objects
    (``self``), partials, and arguments.  What is not: generators that the function makes for itself, those within other
    people's modules, and those of TensorFlow, OpenCV or a GPU.  torch counts from when it is loaded: import it beside
    the function.

    Function and arguments go to the workers as they are at each ``iter``, which starts new workers where they have
    changed: arrays once for all of them, shared until somebody writes to them, and memmaps by the name of their file.
    A stream sees them so, whatever it did to them the epoch before.  Runs are sent their parts one by one, and share
    the other arguments with those before them on the same worker.  With num_workers=0 the function gets the very
    objects that you passed, as in a plain call.

    A generator that is left before its end is closed, so that its ``finally`` clauses run, when the next iteration
    begins or the feed is closed.  At the end they have ten seconds; a `RuntimeWarning` says where that was not enough.
    """
    given: dict[str, Any] = {"num_workers": num_workers, "ordered": ordered, "prefetch": prefetch, "timeout": timeout}
    engine = EngineOptions(**given)
    if generator_function is None:
        given |= {"split": split, "split_size": split_size, "copies": copies, "seed": seed, "initializer": initializer}
        return functools.partial(parallel, **given)
    function = generator_function
    if not callable(function):
        remedy = "pass the generator function itself" + _called(function)
        raise options.wrong("generator_function", function, remedy)
    names = _names(split)
    options.flag("copies", copies)
    if copies and names:
        remedy = "pass one of the two: copies are whole streams, with nothing to cut"
        raise options.wrong("copies", copies, remedy, split=split)
    if split_size is not None:
        options.whole("split_size", split_size, 1)
        if not names:
            raise options.wrong("split_size", split_size, "pass split= as well, the name of the argument to cut")
    fixed = options.rank_seed(seed)
    options.initializer(initializer)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        remedy = "pass a function that calls it: its own arguments cannot be seen"
        raise options.wrong("generator_function", function, remedy) from error

    def call(*args: Any, **kwargs: Any) -> Feed:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name_of(function)}: {error}") from None
        bound.apply_defaults()
        where, count = _cut(function, bound, names)
        arguments = bound.args, bound.kwargs
        timed = timeout is not None
        if split_size is not None and count is not None:
            return Feed(RunsJob(function, arguments, where, count, split_size, fixed, timed, initializer), engine)
        workers = max(1, engine.workers())
        streams = workers if copies else 1 if count is None else max(1, min(workers, count))
        job = StreamsJob(function, arguments, where, streams, count, fixed, timed, initializer, ordered)
        return Feed(job, engine if num_workers == 0 else replace(engine, num_workers=streams))

    return _Door(function, call)


class _Door:
    """What `parallel` returns: called as the generator function is, and bound to an object as that is."""

    def __init__(self, function: Callable[..., Any], call: Callable[..., Feed]) -> None:
        functools.update_wrapper(self, function)
        self._call = call

    def __repr__(self) -> str:
        name = name_of(self)
        return f"<fastfeed.parallel({name}): a call of it, as one of {name}, gives a feed>"

    def __call__(self, *args: Any, **kwargs: Any) -> Feed:
        return self._call(*args, **kwargs)

    def __get__(self, owner: object, kind: type | None = None) -> Callable[..., Feed]:
        return self if owner is None else types.MethodType(self, owner)

    def __iter__(self) -> Iterator[Any]:
        name = name_of(self)
        raise TypeError(f"parallel({name}) is to be called as {name} is, and returns a feed then: iterate {name}(...)")


def _called(thing: object) -> str:
    if inspect.isgenerator(thing):
        return f", not what it returns: parallel({thing.gi_code.co_name}), then call the result; or prefetch(generator)"
    return ""


def _names(split: str | Sequence[str] | None) -> tuple[str, ...]:
    if split is None:
        return ()
    names = (split,) if isinstance(split, str) else tuple(split) if isinstance(split, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise options.wrong("split", split, "pass the name of an argument, or a tuple of names")
    if len(set(names)) < len(names):
        raise options.wrong("split", split, "pass each name once")
    return names


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
            remedy = f"pass the name of an argument of {name_of(function)}, which has {known or 'none'}"
            raise options.wrong("split", name, remedy)
        value = bound.arguments.get(name, bound.kwargs.get(name))
        try:
            count = lengths[name] = len(value)  # type: ignore[arg-type]
            for size in (1, 2):  # two, because a batch may have one column
                cut(value, 0, min(size, count))
        except Exception as error:  # whatever an object of the user's raises for a slice
            why = str(error) if isinstance(error, ConfigError) else f"{type(value).__name__} cannot be cut"
            remedy = f"pass a list, an array or something else with a length and slices of its elements in {name}"
            raise options.wrong("split", name, f"{remedy}: {why}") from error
    if len(set(lengths.values())) > 1:
        remedy = f"pass arguments of one length, to be cut alike; they have {lengths}"
        raise options.wrong("split", names, remedy)
    return where, next(iter(lengths.values()), None)
