"""The plan of a feed: its batches as a pure function of epoch and number, to be made anywhere."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastfeed import options, tree
from fastfeed.errors import ConfigError
from fastfeed.wire import frame
from fastfeed.wire.obstacle import remedied

if TYPE_CHECKING:
    import numpy as np

    from fastfeed.engine.feed import Feed


class Leaf(NamedTuple):
    """One array of a batch.

    Attributes
    ----------
    shape : tuple of int or None
        The first axis counts the samples; it is None where batches differ in length.
    dtype : numpy.dtype
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


class Plan:
    """What a feed yields, without the workers that make it; returned by ``feed.plan()``.

    It is pickled as the arguments that the feed was made with, so that of a folder is small, whatever lies in it.
    Where it is used the source is listed afresh: compare `digest` where that may give other files.
    """

    def __init__(self, door: Callable[..., Feed], args: Sequence[Any], given: Mapping[str, Any]) -> None:
        self._door = door
        self._args = tuple(args)
        self._given = dict(given)
        self._here: Feed | None = None

    def __repr__(self) -> str:
        usual = inspect.signature(self._door).parameters
        given = [options.shown(value) for value in self._args]
        for name, value in self._given.items():
            text = options.shown(value)
            if name not in usual or text != options.shown(usual[name].default):
                given.append(f"{name}={text}")
        return f"<Plan of {self._door.__name__}({', '.join(given)})>"

    def feed(self, **changed: Any) -> Feed:
        """Make the feed anew, in this process.

        Parameters
        ----------
        **changed
            Options of the door to change, such as ``num_workers``.
        """
        return self._door(*self._args, **{**self._given, **changed})

    def _job(self) -> Any:
        if self._here is None:
            self._here = self.feed(num_workers=0)
        return self._here.job

    def batches(self, epoch: int = 0) -> int:
        """Return the number of batches of an epoch, in this shard."""
        options.whole("epoch", epoch, 0)
        return int(self._job().length())

    @property
    def schema(self) -> Any:
        """A batch with a `Leaf` in place of each array, and None in place of what is no array."""
        import numpy as np

        outline = self._job().outline()
        rows = outline.rows if outline.exact and outline.rows == outline.last_rows else None

        def described(value: Any) -> Leaf | None:
            return Leaf((rows, *value.shape[1:]), value.dtype) if isinstance(value, np.ndarray) else None

        return tree.mapped(outline.batch, described)

    @property
    def digest(self) -> str:
        """What tells this plan from others: the same files, labels, transforms and order give the same on any machine.

        The names of files count and not their contents, nor the folder that they lie in; of arrays some rows.
        """
        return digest_of(self._job())

    @property
    def batch_bytes(self) -> int:
        """How much memory the arrays of a batch need, with the gaps between them."""
        return int(self._job().batch_bytes)

    def make(self, epoch: int, k: int, out: Any = None) -> Any:
        """Make a batch in this process: the very bytes that the feed yields, whatever its workers.

        Parameters
        ----------
        epoch : int
        k : int
            Which batch of the epoch, from 0 to ``batches(epoch) - 1``.
        out : buffer, optional
            Writable memory of at least `batch_bytes` bytes, aligned to 64, for the arrays of the batch; labels and
            indices have memory of their own.

        Returns
        -------
        batch
            As the feed's loop gets it; None where ``on_error="skip"`` has left nothing of it.

        Raises
        ------
        ConfigError
            No such batch, or memory that does not do.
        SampleError
            A bad sample.
        """
        count = self.batches(epoch)
        options.whole("k", k, 0, count - 1, f"pass a batch of the epoch, from 0 to {count - 1}")
        return self._job().make(epoch, k, out)

    def __getstate__(self) -> bytes:
        value = (self._door, self._args, self._given)
        try:
            return bytes(frame.filled(*frame.frame(value, by_value=True)))
        except frame.UnpicklableError as error:
            raise ConfigError(f"this plan cannot be pickled: {remedied(value, error)}") from error

    def __setstate__(self, state: bytes) -> None:
        door, args, given = frame.read(memoryview(bytearray(state)))
        self.__init__(door, args, given)  # type: ignore[misc]  # a plan that is read is a new one


def digest_of(job: Any) -> str:
    """Return the digest of the plan that a feed's job is of."""
    seen = hashlib.blake2b(digest_size=16)
    for part in job.digested():
        seen.update(len(part).to_bytes(8, "little"))
        seen.update(part)
    return seen.hexdigest()
