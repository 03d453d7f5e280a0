"""PyTorch's DataLoader over fastfeed's workers: its arguments, its batches, its order.

What the arguments mean is PyTorch's to say: a DataLoader of its own reads those about datasets and samplers, and is
never iterated.  Lists of indices go to the workers (`fetch.py`), which send collated batches back in the ring; a folder
of images goes another way where its transforms are known (`torchvision.py`).
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import data as torch_data

from fastfeed import options
from fastfeed._native import MAX_SLOTS, MAX_WORKERS
from fastfeed.adapters import torchvision
from fastfeed.adapters.dataloader_epoch import Epoch, Items, Running, decoded, encoded, states_of
from fastfeed.adapters.fetch import MapFetcher, Skipped, Stream, StreamFetcher
from fastfeed.engine.feed import Feed
from fastfeed.errors import ConfigError
from fastfeed.functions.map import map as map_over_workers
from fastfeed.functions.parallel import parallel
from fastfeed.schedule.sampler import NOTHING_SEEN

if TYPE_CHECKING:
    from typing import Self

_VERSION = 1
_STARTS = (None, "spawn", "forkserver")  # what is like the start of a worker here: a fresh interpreter


class DataLoader:
    """PyTorch's ``DataLoader``, with fastfeed's workers and memory under it.

    Arguments and attributes are PyTorch's, and so are the batches and their order for the same generator or seed.  The
    table in docs/migrating.md says argument by argument what holds, and what differs.

    Parameters
    ----------
    dataset : Dataset
        With ``__getitem__``, or an ``IterableDataset``; pickled for the workers, tensors and arrays once for all.
    batch_size : int or None
        Samples in a batch; None: samples as they are.
    shuffle, sampler, batch_sampler, generator, drop_last, collate_fn
        As in PyTorch; samplers run in this process, `collate_fn` in the workers.
    num_workers : int
        0: the same batches, made in this process.
    pin_memory : bool
        Copy tensors to page-locked memory; natively fed images lie in it, and nothing is copied.
    timeout : float
        Seconds that a worker may take for a batch before it counts as hung; 0: no limit.
    worker_init_fn : callable
        Called once with the number of the worker: when it starts, or, for an iterable dataset, when each epoch does.
    multiprocessing_context : None, "spawn" or "forkserver"
        Changes nothing: a worker is a fresh interpreter in any case.
    prefetch_factor : int, optional
        Batches in flight for each worker; 2 where it is left out.
    persistent_workers : bool
        Workers are persistent in any case; as in PyTorch, True draws one base seed for all epochs.
    pin_memory_device : str
        Only "": PyTorch itself ignores it.
    in_order : bool
        False yields batches as soon as they are complete.
    native : bool or "auto"
        Whether an ``ImageFolder`` of torchvision is decoded and transformed by fastfeed itself, where its transforms
        are known here.  "auto" does so where it can, and says so in a warning; False never; True or an error.

    Raises
    ------
    ConfigError
        An argument that cannot work, also one that PyTorch refuses.
    WorkerError, WorkerDied
        While iterating: the dataset, `collate_fn` or `worker_init_fn` raised, or has cost two workers.

    Notes
    -----
    Random numbers that the dataset draws, from the global generators of `random`, NumPy and PyTorch or from generators
    that it holds, depend on the base seed and on the number of the batch, not on workers: the same for any number of
    them, none included.  The base seed is drawn from `generator`, or from PyTorch's global one, as in PyTorch.

    Two iterators may run at once; each has workers of its own, as in PyTorch.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], object] | None = None,
        multiprocessing_context: Any = None,
        generator: torch.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        native: bool | str = "auto",
    ) -> None:
        self._is_stream = isinstance(dataset, torch_data.IterableDataset)
        _check_dataset(dataset, self._is_stream)
        self.num_workers = options.whole("num_workers", num_workers, 0, MAX_WORKERS)
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = options.flag("persistent_workers", persistent_workers)
        self.pin_memory = options.flag("pin_memory", pin_memory)
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.collate_fn = collate_fn
        self.generator = generator
        self.multiprocessing_context = multiprocessing_context
        self.in_order = options.flag("in_order", in_order)
        self.native = native
        self._check_workers()
        try:
            reads: Any = torch_data.DataLoader(
                dataset, batch_size, shuffle, sampler, batch_sampler, 0, collate_fn, False, drop_last, 0, None, None,
                generator,
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise ConfigError(f"PyTorch's DataLoader refuses these arguments: {error}") from error
        self._reads = reads
        self.dataset = dataset
        self.batch_size, self.drop_last = reads.batch_size, reads.drop_last
        self.sampler, self.batch_sampler = reads.sampler, reads.batch_sampler
        self.collate_fn = reads.collate_fn
        self._is_plain = collate_fn is None and batch_sampler is None and batch_size is not None
        self._folder = self._find_folder(tell=True)
        self._pins = self.pin_memory and _has_accelerator()
        self._base_seed: int | None = None
        self._idle: list[Running] = []
        self._loaded: dict[str, Any] | None = None
        self._begun: Epoch | None = None  # the epoch that the newest iterator is in
        self._is_settled = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SETTLED and getattr(self, "_is_settled", False):
            raise options.wrong(name, value, "pass it to another DataLoader: one that is made stays as it is")
        super().__setattr__(name, value)

    # ---- the arguments ----

    def _check_workers(self) -> None:
        workers, factor, timeout = self.num_workers, self.prefetch_factor, self.timeout
        if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
            raise options.wrong("timeout", timeout, "pass seconds above 0 for one batch, or 0 for no limit")
        if factor is not None:
            options.whole("prefetch_factor", factor, 1, (MAX_SLOTS - 1) // max(1, workers))
        if not workers:
            for name in ("prefetch_factor", "timeout", "persistent_workers", "multiprocessing_context"):
                if value := getattr(self, name):
                    remedy = "leave it out, or pass num_workers of 1 or more"
                    raise options.wrong(name, value, remedy, num_workers=workers)
        elif factor is None:
            self.prefetch_factor = 2
        context = self.multiprocessing_context
        if getattr(context, "_name", context) not in _STARTS:  # as multiprocessing.get_context names what it returns
            remedy = "leave it out: a worker is a fresh interpreter here, as with 'spawn'"
            raise options.wrong("multiprocessing_context", context, remedy)
        if self.pin_memory_device:
            remedy = "leave it out: pin_memory=True is for the accelerator that PyTorch uses"
            raise options.wrong("pin_memory_device", self.pin_memory_device, remedy)
        for name, what in (("worker_init_fn", "a worker's number"), ("collate_fn", "a list of samples")):
            if (function := getattr(self, name)) is not None and not callable(function):
                raise options.wrong(name, function, f"pass a function of {what}, or None")
        if not isinstance(self.generator, torch.Generator | None):
            raise options.wrong("generator", self.generator, "pass a torch.Generator, or None")
        if not isinstance(self.native, bool):
            options.one_of("native", self.native, ("auto",))

    def _find_folder(self, tell: bool = False) -> torchvision.Folder | None:
        """The dataset as a folder that is fed natively, if that is asked for and possible."""
        if self.native is False:
            return None
        found = torchvision.found(self.dataset)
        if not isinstance(found, str) and not self._is_plain:
            found = "batches are not made by batch_size= and the default collate_fn"
        if not isinstance(found, str):
            if tell and self.native == "auto":
                shifted = ", and pictures are shifted by up to half a pixel" if found.is_shifted else ""
                warnings.warn(
                    f"this {type(self.dataset).__name__} is decoded and transformed by fastfeed itself: random numbers "
                    f"are its own, pixels differ by a level or so from those of PIL and torchvision{shifted} "
                    f"(docs/migrating.md); native=True says that you know, native=False leaves the work to them",
                    stacklevel=3,
                )
            return found
        if self.native is True:
            raise options.wrong("native", True, f"pass 'auto' or False: {found}")
        return None

    # ---- iteration ----

    def __len__(self) -> int:
        return len(self._reads)

    def __iter__(self) -> Iterator[Any]:
        # A generator: nothing is drawn and nothing begins before the first step.
        is_resumed = True
        while is_resumed:
            self._begun = begun = self._begin()
            is_resumed = begun.had > 0
            for batch in self._batches(begun):
                begun.give()
                is_resumed = False  # or nothing was left of the epoch
                yield batch
                del batch
            if self._begun is begun:
                self._begun = None

    def _begin(self) -> Epoch:
        """Draw what PyTorch draws, or go back to what was drawn."""
        loaded, self._loaded = self._loaded, None
        generators = self._generators()
        if loaded is not None:
            for generator, state in zip(generators, loaded["generators"], strict=True):
                generator.set_state(decoded(state))
            if loaded["batches"]:
                seed, random, held, feed_state, had = (
                    loaded[name] for name in ("seed", "random", "generators", "feed", "batches")
                )
                return Epoch(seed, random, held, feed_state, had, tuple(loaded.get("seen", NOTHING_SEEN)))
        if self._base_seed is None or not self.persistent_workers:
            self._base_seed = int(torch.empty((), dtype=torch.int64).random_(generator=self.generator).item())
        return Epoch(self._base_seed, encoded(torch.get_rng_state()), states_of(generators))

    def _batches(self, begun: Epoch) -> Iterator[Any]:
        """What is left of an epoch."""
        drawn, left = self._indices(begun)
        self._folder = self._find_folder()
        fed = self._fed(self._folder)
        fed.feed.set_epoch(begun.seed)
        drop = 0
        if fed.folder is None:
            fed.items.now = itertools.chain(itertools.repeat(Skipped, len(drawn)), left)
            drop = begun.had if self._is_stream else 0
        else:
            fed.items.now = itertools.chain(drawn, left)
            if begun.had:
                fed.feed.load_state_dict(begun.feed_state)
            begun.feed = fed.feed
        try:
            for batch in fed.feed:
                if drop:
                    drop -= 1
                elif fed.folder is not None:
                    yield list(batch)  # as the default collate_fn leaves a tuple
                elif batch is not Skipped:
                    yield _pinned(batch) if self._pins else batch
                del batch
        finally:
            if self._idle:
                fed.feed.close()
            else:
                self._idle.append(fed)

    def _indices(self, begun: Epoch) -> tuple[list[Any], Iterator[Any]]:
        """What the sampler has drawn for batches that the loop has had, and what it is to draw."""
        if self._is_stream:
            return [], iter(())
        left = iter(self._reads._index_sampler)
        by_lists = self.batch_size is None and self.batch_sampler is not None
        name = type(self.batch_sampler if by_lists else self.sampler).__name__
        if not begun.had:
            return begun.draw(left, name)
        with torch.random.fork_rng(devices=()):
            torch.set_rng_state(decoded(begun.random))
            return begun.draw(left, name)

    def _fed(self, folder: torchvision.Folder | None) -> Running:
        """A feed that no other iterator is using."""
        while self._idle:
            fed = self._idle.pop()
            if fed.folder == folder:
                return fed
            fed.feed.close()
        items = Items()
        if folder is not None:
            feed = folder.feed(sampler=items, batch_size=self.batch_size, **self._engine())
            return Running(feed.to_torch(pin_memory=self._pins), items, folder)
        common = self.dataset, self.collate_fn, self.batch_sampler is not None, self.worker_init_fn, self.num_workers
        if self._is_stream:
            stream = Stream(f"{type(self.dataset).__name__}.__iter__")
            fetcher = StreamFetcher(*common, size=self.batch_size, drop_last=self.drop_last)
            return Running(parallel(stream, copies=True, seed=0, **self._engine())(fetcher), items)
        assert self._base_seed is not None
        fetch = MapFetcher(*common, seed=self._base_seed)
        return Running(map_over_workers(fetch, items, chunk_size=1, seed=0, **self._engine()), items)

    def _engine(self) -> dict[str, Any]:
        """The options of a feed that say who does the work."""
        workers, factor = self.num_workers, self.prefetch_factor
        return {
            "num_workers": workers,
            "ordered": self.in_order,
            "prefetch": None if factor is None else workers * factor + 1,  # the loop holds one
            "timeout": self.timeout or None,
        }

    # ---- states ----

    def state_dict(self) -> dict[str, Any]:
        """Where the loop of the newest iterator stands: torchdata's protocol.

        Returns
        -------
        dict
            Plain values that JSON keeps.  The sampler is run again when a state is loaded, from the generators' states
            at the epoch's beginning, so its order must depend on nothing but these, PyTorch's global one and its own
            `set_epoch`.

        Raises
        ------
        ConfigError
            With ``in_order=False``, where what the loop has had is no beginning of the epoch.
        """
        if self.num_workers and not self.in_order:
            raise options.wrong("in_order", False, "pass True where states are saved: what was delivered has gaps")
        if self._loaded is not None:
            return self._loaded
        begun = self._begun
        if begun is None or not begun.had:
            begun = Epoch(self._base_seed, None, states_of(self._generators()))
        return {
            "version": _VERSION,
            "of": self._of(),
            "batches": begun.had,
            "seen": list(begun.seen),
            "seed": begun.seed,
            "random": begun.random,
            "generators": begun.generators,
            "epoch": getattr(self.sampler, "epoch", None) if begun.had else None,
            "feed": None if begun.feed is None else begun.feed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iterator go on where a state was taken; an empty one changes nothing.

        A state taken after an epoch's last batch begins the next.  Batches of a dataset that is read by index are not
        made again; an iterable dataset is gone through from its beginning, and what the loop has had is dropped.

        Raises
        ------
        ConfigError
            If it is no state, or that of another loader.  The next iterator says so of one whose sampler does not draw
            again what it had drawn.
        """
        if not state:
            return
        try:
            version, of, batches = state["version"], dict(state["of"]), state["batches"]
            sound = version == _VERSION and batches >= 0 and len(state["generators"]) == of["generators"]
        except (KeyError, TypeError, ValueError):
            sound, of = False, {}
        if not sound:
            raise ConfigError("load_state_dict: this is not what state_dict() returned; pass that, unchanged")
        for name, now in self._of().items():
            if of.get(name) != now:
                raise ConfigError(
                    f"load_state_dict: this is the state of a loader with {name}={of.get(name)!r}, and here it is "
                    f"{now!r}: make the loader as it was"
                )
        if state["epoch"] is not None and hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(state["epoch"])
        self._base_seed = state["seed"]
        self._loaded = dict(state)

    def _of(self) -> dict[str, Any]:
        """What a state depends on."""
        native = self._folder is not None
        of: dict[str, Any] = {"batch_size": self.batch_size, "native": native, "generators": len(self._generators())}
        return {**of, **({"num_workers": self.num_workers} if self._is_stream else {"len": len(self)})}

    def _generators(self) -> list[torch.Generator]:
        """Generators that decide the order, each once."""
        held = [self.generator, *(getattr(each, "generator", None) for each in (self.sampler, self.batch_sampler))]
        return list({id(each): each for each in held if each is not None}.values())

    # ---- the end ----

    def close(self) -> None:
        """End the workers; a further iteration starts new ones.  Batches that you keep stay valid."""
        for fed in self._idle:
            fed.feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


# What cannot be set afterwards: workers are started with it.
_SETTLED = frozenset(inspect.signature(DataLoader).parameters)


def _check_dataset(dataset: Any, is_stream: bool) -> None:
    if isinstance(dataset, Feed):
        raise options.wrong("dataset", dataset, "pass what the feed is made of, or take feed.to_torch(), which loops")
    if isinstance(dataset, torch_data.IterDataPipe | torch_data.MapDataPipe):
        remedy = "pass an IterableDataset, or a Dataset with __getitem__: DataPipes are not taken"
        raise options.wrong("dataset", dataset, remedy)
    if not is_stream and not hasattr(dataset, "__getitem__"):
        remedy = "pass a dataset with __getitem__ and __len__, or an IterableDataset"
        raise options.wrong("dataset", dataset, remedy)


def _has_accelerator() -> bool:
    if torch.accelerator.is_available():
        return True
    warnings.warn("pin_memory=True: this PyTorch sees no accelerator, so memory is not page-locked", stacklevel=3)
    return False


def _pinned(batch: Any) -> Any:
    """A batch in page-locked memory, as PyTorch makes it, with what batches of a class of their own do for it."""
    return torch_data._utils.pin_memory.pin_memory(batch)


__all__ = ["DataLoader"]
