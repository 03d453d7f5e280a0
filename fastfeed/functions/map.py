"""map: a function and an iterable in, a Feed of results out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from fastfeed import options
from fastfeed.engine.feed import Feed
from fastfeed.functions.chunks import ChunksJob


def map(
    fn: Callable[[Any], Any],
    iterable: Iterable[Any],
    *,
    batch_size: int | None = None,
    chunk_size: int | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
    on_error: str = "raise",
    seed: int | str | None = "rank",
    initializer: Callable[[], object] | None = None,
    num_workers: int | None = None,
    ordered: bool = True,
    prefetch: int | None = None,
    timeout: float | None = None,
) -> Feed:
    """Apply a function to every item, in worker processes.

    Parameters
    ----------
    fn : callable
        Called with one item; lambdas, closures and functions of ``__main__`` or a notebook will do.  It may return the
        same object each time, filled anew: what waits for others is copied, whatever its type (see Notes).  It may be
        called again with the same item after a worker's death, and once in each worker if it draws random numbers.
    iterable : iterable
        Read in this process, and no further than what is in flight.  It may yield the same object each time.  An
        iterator serves for one epoch only.  One that waits for what the loop does with results is asked while none is
        pending, if it takes items from a queue that can be seen, of `queue` or `multiprocessing` (see Notes).
    batch_size : int, optional
        Collate this many results into one batch: arrays of one shape become one array, numbers an array, tuples and
        dicts go by position and key, anything else a list.
    chunk_size : int, optional
        Items sent to a worker at once; None suits it to how long the function takes.
    collate : callable, optional
        Makes a batch of a list of results, in place of the above; `fastfeed.pad` is one.
    on_error : {"raise", "skip", "replace"}
        What becomes of an item whose call raises, or kills its worker twice: `WorkerError` (`WorkerDied`), no result,
        or None in its place (in a batch that is not made by a function of yours: zeros, None in a list, and nothing
        but filling in a padded row).  Skipped and replaced ones land in `feed.errors`; a batch of nothing else is left
        out.
    seed : int, "rank" or None
        Random numbers depend on (seed, epoch, index) alone: the global generators of `random`, NumPy and torch begin
        there for each item, if the function uses them, and so do generator objects that it holds (see `parallel`),
        but not those that are items.
        "rank" is 0, or the rank that a launcher (torchrun, Slurm, MPI) has given this process; None draws a seed.
    initializer : callable, optional
        Called once in each worker before anything else, or once in this process with ``num_workers=0``: for what a
        program sets up in its modules, which a worker imports afresh.
    num_workers, ordered, prefetch, timeout
        As for `fastfeed.images`; `prefetch` counts chunks, or batches.

    Returns
    -------
    Feed
        Of results, or of batches of them.  Arrays are views of shared memory.

    Raises
    ------
    ConfigError
        An option that cannot work, or an item that cannot be pickled.
    WorkerError
        While iterating: the function raised; its exception is the cause, with the remote traceback as a note.

    Notes
    -----
    An item is as it was when it was yielded, and a result as it was when it was returned.  Arrays, tuples, lists, dicts
    and dataclasses are copied all the way down, and every other object by ``copy.deepcopy``; what that refuses is
    pickled and read again; what cannot be pickled either is passed on as it is.  Items of a list or tuple are not
    copied: nothing of yours runs between two of them.

    A queue that the loop fills is seen where the iterable is a generator, an iterator of Python's or of `itertools`, or
    an object with a ``__next__`` of yours, and the queue an argument, a variable, an attribute or a global that it
    names.  While that is empty, results are waited for and delivered before the iterable is asked; one that gives more
    than three items meanwhile, of its own or since a thread fills the queue, is read ahead like any other.  Whatever
    else waits for the loop (a socket, an event) must have ``prefetch * chunk_size`` items to give before that: pass 1
    for both where it has one.  A batch is read whole, and the loop gets nothing before it is.

    The function is taken as it is at each ``iter``: where it has changed since, with all that it refers to, or the
    working directory or the environment have, new workers are started with it.
    """
    if not callable(fn):
        raise options.wrong("fn", fn, "pass a function, which is called with each item")
    if not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
        raise options.wrong("iterable", iterable, "pass a list, a generator or another iterable")
    if hasattr(iterable, "columns") and (hasattr(iterable, "iterrows") or hasattr(iterable, "iter_rows")):
        kind = type(iterable).__name__
        remedy = f"pass its rows, or list(iterable) for what a {kind} iterates over, which is its columns"
        raise options.wrong("iterable", iterable, remedy)
    options.on_error(on_error)
    for name, value in (("batch_size", batch_size), ("chunk_size", chunk_size)):
        if value is not None:
            options.whole(name, value, 1)
    if batch_size is not None and chunk_size is not None:
        raise options.wrong("batch_size", batch_size, "pass one of the two: a batch is a chunk", chunk_size=chunk_size)
    if collate is not None and not callable(collate):
        raise options.wrong("collate", collate, "pass a callable, and batch_size with it")
    if collate is not None and batch_size is None:
        raise options.wrong("collate", collate, "pass batch_size with it, the number of items that it gets")
    if inspect.isfunction(collate) and collate.__module__ == "fastfeed.collate.pad":
        raise options.wrong("collate", collate, "pass fastfeed.pad(...), which makes the collate function")
    engine = options.EngineOptions(num_workers=num_workers, ordered=ordered, prefetch=prefetch, timeout=timeout)
    fixed = options.rank_seed(seed)
    options.initializer(initializer)
    if batch_size is not None and collate is None:
        from fastfeed.collate.collate import collate as default_collate

        collate = default_collate
    timed = timeout is not None
    job = ChunksJob(fn, iterable, batch_size, chunk_size, collate, on_error, fixed, timed, initializer)
    return Feed(job, engine)
