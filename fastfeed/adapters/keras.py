"""Keras: a feed as what fit, evaluate and predict take, on each backend.

Keras makes a `DataAdapter` of whatever it is given, and passes an instance of that class through as it is: no thread,
no queue, no copy, and epochs that follow the feed.  The class is not among the names that Keras promises to keep.
Where it is missing, or not passed through, a `keras.utils.PyDataset` takes its place.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastfeed import options
from fastfeed.adapters.ahead import Adapter
from fastfeed.adapters.epochs import Epochs, length_of
from fastfeed.adapters.keras_folders import flow_from_directory, image_dataset_from_directory
from fastfeed.adapters.waits import NAME, Waits
from fastfeed.errors import ConfigError

try:
    import keras
except ImportError as error:
    raise ImportError(
        "fastfeed.keras and to_keras() need Keras 3, which cannot be imported here: pip install keras"
    ) from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastfeed.engine.feed import Feed


def _data_adapter() -> Any:
    """Keras' class for what it iterates, if instances of it are passed through; None in versions that do not."""
    try:
        from keras.src.trainers.data_adapters import get_data_adapter
        from keras.src.trainers.data_adapters.data_adapter import DataAdapter

        adapter = DataAdapter()
        return DataAdapter if get_data_adapter(adapter) is adapter else None
    except (ImportError, ValueError):
        return None


_DataAdapter = _data_adapter()


class _Face(Adapter):
    """A feed's batches in Keras' form: inputs, (inputs, targets) or (inputs, targets, weights)."""

    def __init__(self, feed: Feed, class_weight: Mapping[int, float] | None = None) -> None:
        super().__init__(feed)
        self._weights = _checked_weights(class_weight)
        self._outline = feed.outline()
        if self._outline.batch is not None:
            self._in_form(self._outline.batch)  # what cannot work is said now, and not in fit
        self._epochs = Epochs(feed)

    def _in_form(self, batch: Any) -> Any:
        parts = tuple(batch) if isinstance(batch, list) else batch
        if not isinstance(parts, tuple):
            parts = (parts,)
        if not 1 <= len(parts) <= 3:
            raise ConfigError(
                f"a batch has {len(parts)} parts, and Keras takes inputs, targets and sample weights: put several "
                f"inputs or targets into a tuple or dict of their own"
            )
        if len(parts) == 3 and getattr(parts[2], "dtype", np.dtype(float)).kind in "iu":
            raise ConfigError(
                f"the third part of a batch is {parts[2].dtype}, and Keras would take it for sample weights: pass "
                f"with_index=False if it is the samples' positions, or give weights as floats"
            )
        if self._weights is not None:
            parts = (*parts, self._weights_of(parts))
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _weights_of(self, parts: tuple[Any, ...]) -> NDArray[np.float32]:
        assert self._weights is not None
        if len(parts) != 2 or not isinstance(parts[1], np.ndarray):
            raise options.wrong(
                "class_weight", self._weights, "pass None: batches are not (inputs, targets) with one array of targets"
            )
        return class_weights(parts[1], self._weights)

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch; None where nobody knows."""
        return length_of(self.feed)


class DataWait(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds ``data_wait_ms`` to the logs of each epoch: the mean wait for a batch, 0.0 where there was none.

    Parameters
    ----------
    feed : Feed, or what ``to_keras()`` has returned
        What ``fit`` is given.
    """

    def __init__(self, feed: Any) -> None:
        super().__init__()
        self._waits = Waits(feed)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Leave out what was waited for before."""
        self._waits.lately_ms()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log it, for the history and the loggers behind this callback."""
        if logs is not None:
            logs[NAME] = self._waits.lately_ms()


class KerasFeed(_Face, _DataAdapter or object):  # type: ignore[misc]
    """A feed as Keras' `DataAdapter`; made by ``feed.to_keras()``.

    Each epoch of ``fit`` is the feed's next one.  Keras passes it through without a look at its other arguments, so
    ``fit(class_weight=...)``, ``shuffle``, ``batch_size`` and ``validation_split`` do nothing here: the feed has an
    order and batches of its own.
    """

    def __iter__(self) -> Iterator[Any]:
        for batch in self._epochs:
            made = self._in_form(batch)
            del batch
            yield made
            del made

    def get_numpy_iterator(self) -> Iterator[Any]:
        """Batches as they are."""
        return iter(self)

    def get_jax_iterator(self) -> Iterator[Any]:
        """Batches as they are: JAX takes aligned arrays over."""
        return iter(self)

    def get_torch_dataloader(self) -> Iterator[Any]:
        """Batches as tensors over the same memory."""
        from fastfeed.adapters.torch import tensors_of

        for batch in map(tensors_of, self):
            yield batch
            del batch
            # Keras' walk over a batch leaves cycles behind that hold it (functions in torchtree.py that call
            # themselves).  Without a look at the youngest objects, which is quick, the ring would run out of slots.
            gc.collect(0)

    def get_tf_dataset(self) -> Any:
        """Batches as a `tf.data.Dataset`; see `fastfeed.tensorflow.dataset`."""
        from fastfeed.adapters.tensorflow import dataset_of

        # An epoch that a loaded state cuts short is a warning in Keras, and would be an error of TensorFlow's.
        return dataset_of(self.feed, self._in_form, None, claims_length=False)

    @property
    def batch_size(self) -> int | None:
        """Rows of a full batch."""
        return self._outline.rows or None

    @property
    def has_partial_batch(self) -> bool | None:
        """Whether an epoch's last batch has fewer rows than the others."""
        rows, last_rows = self._outline.rows, self._outline.last_rows
        return None if rows is None or last_rows is None else last_rows < rows

    @property
    def partial_batch_size(self) -> int | None:
        """Rows of the last batch, where it has fewer."""
        return self._outline.last_rows if self.has_partial_batch else None

    def on_epoch_begin(self) -> None:
        """Nothing: an epoch begins with its first batch."""

    def on_epoch_end(self) -> None:
        """Nothing; Keras may call it more than once."""


class KerasDataset(_Face, keras.utils.PyDataset):  # type: ignore[misc]
    """A feed as a `keras.utils.PyDataset`, for versions of Keras that pass no `DataAdapter` through.

    Keras asks for batches by number, and this has them in order alone: ``fit`` needs ``shuffle=False``.  A feed that
    does not know its length goes on into its next epoch, so ``fit`` needs ``steps_per_epoch``.
    """

    def __init__(self, feed: Feed, class_weight: Mapping[int, float] | None = None) -> None:
        _Face.__init__(self, feed, class_weight)
        keras.utils.PyDataset.__init__(self)
        self._iterator: Iterator[Any] | None = None
        self._next = 0

    def __getitem__(self, number: int) -> Any:
        """Return the batch of this number, which is the next one, or the first of an epoch."""
        if number == 0 or self._iterator is None:
            self._iterator, self._next = None, 0  # the one before is let go of first, or it is not taken up again
            self._iterator = iter(self._epochs)
        if number != self._next:
            raise options.wrong("shuffle", True, "pass fit(shuffle=False): the feed has an order of its own")
        self._next += 1
        batch = next(self._iterator, _END)
        if batch is _END:
            self._iterator = iter(self._epochs)
            batch = next(self._iterator)
        batch = self._in_form(batch)
        return batch if isinstance(batch, tuple | dict) else (batch,)


_END = object()


def keras_feed(feed: Feed, class_weight: Mapping[int, float] | None = None) -> KerasFeed | KerasDataset:
    """Return a feed as what Keras takes for ``x`` and ``validation_data``; what ``feed.to_keras()`` calls.

    Parameters
    ----------
    feed : Feed
        Yields inputs, (inputs, targets) or (inputs, targets, weights).
    class_weight : mapping of int to number, optional
        A weight for each class; 1 for those that it does not have.  Targets are one array of class numbers, or of rows
        with a number for each class, the largest of which counts.

    Raises
    ------
    ConfigError
        If batches have another form, or `class_weight` is none.
    """
    return (KerasDataset if _DataAdapter is None else KerasFeed)(feed, class_weight)


def class_weights(targets: NDArray[Any], weights: Mapping[int, float]) -> NDArray[np.float32]:
    """Return a weight for each row of the targets, as Keras' own ``class_weight`` gives it."""
    if targets.ndim > 1:
        targets = targets.argmax(axis=-1) if targets.shape[-1] != 1 else targets[..., 0]
    classes, rows = np.unique(np.round(targets).astype(np.int64), return_inverse=True)
    return np.array([weights.get(number, 1.0) for number in classes.tolist()], np.float32)[rows]


def _checked_weights(weights: Any) -> Mapping[int, float] | None:
    if weights is None or (
        isinstance(weights, Mapping)
        and all(isinstance(number, int) and isinstance(weight, Real) for number, weight in weights.items())
    ):
        return weights
    raise options.wrong("class_weight", weights, "pass a dict of class numbers to weights, such as {0: 1.0, 1: 5.0}")


__all__ = [
    "DataWait",
    "KerasDataset",
    "KerasFeed",
    "class_weights",
    "flow_from_directory",
    "image_dataset_from_directory",
    "keras_feed",
]
