"""What a worker does for PyTorch's DataLoader: fetch samples from a dataset, and collate them as PyTorch does.

What the user's code asks of PyTorch has PyTorch's answers here: `get_worker_info()`, one thread, and a
`default_collate` that knows what was registered with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import _utils

from fastfeed.engine import boot
from fastfeed.wire import arena, tensors
from fastfeed.wire.arena import Arena

_MAP = "default_collate_fn_map"  # of PyTorch's collate module: what is registered for a type


class Skipped:
    """What stands for a batch that a loop has had before its state was saved: as an item, and as its result."""


class Fetcher:
    """What both kinds of dataset have in common.

    Parameters
    ----------
    dataset : Dataset
    collate : callable
        PyTorch's ``collate_fn``.
    batched : bool
        Whether it is given a list of samples, and not a lone one.
    initialize : callable or None
        PyTorch's ``worker_init_fn``.
    workers : int
    """

    _arena: Arena | None = None  # where tensors are stacked, if not in memory of this process

    def __init__(
        self,
        dataset: Any,
        collate: Callable[[Any], Any],
        batched: bool,
        initialize: Callable[[int], object] | None,
        workers: int,
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.batched = batched
        self._initialize = initialize
        self._workers = workers
        self._registered = dict(getattr(_utils.collate, _MAP))

    def begin(self, seed: int) -> None:
        """Make this process a worker in the eyes of PyTorch and of the user's code; nothing in the consumer."""
        if boot.number is None:
            return
        torch.set_num_threads(1)
        registered = getattr(_utils.collate, _MAP)
        registered.update(self._registered)
        if registered[torch.Tensor] is _utils.collate.collate_tensor_fn:
            registered[torch.Tensor] = self._stacked
        _utils.worker._worker_info = _utils.worker.WorkerInfo(
            id=boot.number, num_workers=self._workers, seed=seed, dataset=self.dataset
        )
        if self._initialize is not None:
            self._initialize(boot.number)

    def _stacked(self, batch: Any, *, collate_fn_map: Any = None) -> torch.Tensor:
        """Stack tensors as PyTorch does, which in a worker takes new shared memory for each batch."""
        first = batch[0]
        if first.is_nested or first.layout is not torch.strided:  # it says why not
            made: torch.Tensor = _utils.collate.collate_tensor_fn(batch, collate_fn_map=collate_fn_map)
            return made
        out = None
        if self._arena is not None and all(each.dtype == first.dtype and not each.requires_grad for each in batch):
            out = tensors.empty((len(batch), *first.shape), first.dtype, self._arena)
        return torch.stack(batch, 0, out=out)


class MapFetcher(Fetcher):
    """Makes a batch of the samples that a sampler has drawn."""

    def __init__(self, *args: Any, seed: int) -> None:
        super().__init__(*args)
        self.__name__ = f"{type(self.dataset).__name__}.__getitem__"
        self._seed = seed
        self._begun = False
        collating = (self.collate, *self._registered.values())
        self._is_theirs = all(getattr(each, "__module__", "") == _utils.collate.__name__ for each in collating)

    def __call__(self, indices: Any) -> Any:
        """Fetch the samples and collate them."""
        if indices is Skipped:
            return Skipped
        if not self._begun:
            self.begin(self._seed + (boot.number or 0))
            self._begun = True
        dataset = self.dataset
        if not self.batched:
            return self.collate(dataset[indices])
        if getattr(dataset, "__getitems__", None):
            samples = dataset.__getitems__(indices)
        else:
            samples = [dataset[index] for index in indices]
        # In the ring's memory, which will be used again: so only where no code of the user's sees a batch.
        self._arena = arena.in_hand if self._is_theirs else None
        try:
            return self.collate(samples)
        finally:
            self._arena = None


class StreamFetcher(Fetcher):
    """Goes through a worker's copy of an iterable dataset; a batch of ``size`` samples each, or a sample each."""

    def __init__(self, *args: Any, size: int | None, drop_last: bool) -> None:
        super().__init__(*args)
        self._size = size
        self._drop_last = drop_last

    def __iter__(self) -> Iterator[Any]:
        self.begin(torch.initial_seed())  # the generators have just been seeded, for this stream and epoch
        samples = iter(self.dataset)
        if self._size is None:
            yield from map(self.collate, samples)
            return
        while batch := list(itertools.islice(samples, self._size)):
            short = len(batch) < self._size
            if short and self._drop_last:
                return
            yield self.collate(batch)
            if short:
                return


class Stream:
    """What a worker calls for each epoch, with a fresh copy of the fetcher."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, fetcher: StreamFetcher) -> Iterator[Any]:
        """Go through the dataset."""
        return iter(fetcher)
