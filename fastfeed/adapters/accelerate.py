"""Hugging Face Accelerate: a feed as a prepared loader, on the accelerator's device, that knows its last batch in time.

``accelerator.prepare`` passes through whatever is no ``DataLoader``; and of one over an iterable data set, rank 0 would
read all batches and broadcast them, although a feed yields each rank's own.  So what ``prepare`` does for a loader is
done here: tensors on the device, a place in checkpoints, and word of the last batch of an epoch, at which accumulated
gradients are applied.  To know which batch is the last, the feed is one ahead of the loop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from fastfeed import options, tree
from fastfeed.adapters.ahead import Ahead
from fastfeed.adapters.torch import TorchFeed
from fastfeed.engine.feed import Feed

try:
    from accelerate.data_loader import DataLoaderStateMixin
except ImportError as error:
    raise ImportError(
        "fastfeed.accelerate needs Accelerate, which cannot be imported here: pip install accelerate"
    ) from error


class AcceleratedFeed(DataLoaderStateMixin, TorchFeed):  # type: ignore[misc]
    """A feed as Accelerate's loops know their loaders; made by ``fastfeed.accelerate.prepare``.

    Parameters
    ----------
    feed : Feed
        What to feed; made with ``shard=(accelerator.process_index, accelerator.num_processes)`` where several processes
        train.
    accelerator : accelerate.Accelerator
        Says where tensors are to be, and is told of the last batch of each epoch.

    Attributes
    ----------
    end_of_dataloader : bool
        Whether the loop has been given the last batch of the epoch.
    remainder : int
        Samples in the last batches of all processes, once these have been given out; -1 before.
    """

    def __init__(self, feed: Feed, accelerator: Any) -> None:
        super().__init__(feed.to_torch(accelerator.device if accelerator.device_placement else None))
        feed.reserve(2)  # the batch that the loop works on, and the one ahead of it
        self.gradient_state = accelerator.gradient_state
        self._processes: int = accelerator.num_processes

    @property
    def dataset(self) -> Any:
        """There is none, so that nobody makes another loader of it."""
        raise AttributeError(
            "a feed has no dataset; to go on in the middle of an epoch, load a state (accelerator.load_state, or "
            "load_state_dict): no batch is made again, and skip_first_batches is not needed"
        )

    def __iter__(self) -> Iterator[Any]:
        self.reached = None
        ahead = Ahead(self, self._batches())
        self.begin()
        try:
            for batch in ahead:
                if ahead.at_end:
                    self.end_of_dataloader, self.remainder = True, _rows(batch) * self._processes
                yield batch
                del batch
        finally:
            ahead.close()
            self.end()

    def _batches(self) -> Generator[Any, None, None]:
        yield from self.feed


def prepare(feed: Feed, accelerator: Any) -> AcceleratedFeed:
    """Return a feed as a loader for Accelerate's loops, as ``accelerator.prepare`` does with a ``DataLoader``.

    It yields tensors on the accelerator's device.  The last batch of an epoch is known as such, so that accumulated
    gradients are applied there.  ``accelerator.save_state`` saves where the loop stands, and ``load_state`` lets the
    next iteration go on there.

    Parameters
    ----------
    feed : Feed
        What ``fastfeed.images`` and its siblings return; with ``shard=(accelerator.process_index,
        accelerator.num_processes)`` where several processes train.  All of them then have as many batches.
    accelerator : accelerate.Accelerator
        Yours.

    Raises
    ------
    ConfigError
        If it is no feed.
    """
    if not isinstance(feed, Feed):
        raise options.wrong("feed", feed, "pass what fastfeed.images and its siblings return, as it is")
    loader = AcceleratedFeed(feed, accelerator)
    accelerator.register_for_checkpointing(loader)
    return loader


def _rows(batch: Any) -> int:
    """Samples in a batch: the length of its first tensor."""
    return next((len(leaf) for leaf in tree.leaves(batch, lists=True) if getattr(leaf, "ndim", 0)), 0)


__all__ = ["AcceleratedFeed", "prepare"]
