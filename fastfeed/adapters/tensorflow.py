"""TensorFlow: a feed's batches as a `tf.data.Dataset` over the same memory.

TensorFlow takes an array over without a copy where it begins at a multiple of 64 bytes, and a batch's arrays do.  It
lets go of an array at some later call from Python, so the ring gets slots for the batches that wait for that.  Where
the dataset is iterated nothing runs ahead of the loop but the feed's own workers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastfeed import options, tree
from fastfeed.adapters.epochs import Epochs, length_of
from fastfeed.errors import ConfigError

try:
    import tensorflow as tf
except ImportError as error:
    raise ImportError(
        "fastfeed.tensorflow and to_tf() need TensorFlow, which cannot be imported here: pip install tensorflow"
    ) from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastfeed.engine.feed import Feed

_REMEDY = "pass to_tf(output_signature=...), with None for each axis whose length varies"


def dataset(feed: Feed, output_signature: Any = None) -> Any:
    """Return a feed's epochs as a dataset, one for each iteration of it; what ``feed.to_tf()`` calls.

    Tuples, named tuples and dicts stay what they are; a dataclass becomes a dict, a list of arrays a tuple.  Arrays
    become tensors of the same dtype, text, or lists and arrays of it, tensors of tf.string, and other numbers what
    NumPy makes of them.

    Parameters
    ----------
    feed : Feed
        What to feed; stays usable, but not while the dataset is iterated.
    output_signature : nested structure of tf.TensorSpec, optional
        What batches look like.  None: of `images` and `arrays` it is known, and the first axis is None only where some
        batch may be shorter; of `map` and `parallel` it is read off the first two batches, for which workers are
        started now, and the first axis of batches is None.

    Returns
    -------
    tf.data.Dataset
        Of a known cardinality where that is ``len(feed)``; unknown where samples may be skipped, or where a state in
        the middle of an epoch has been loaded.

    Raises
    ------
    ConfigError
        If a batch holds what no tensor can.
    """
    return dataset_of(feed, _same, output_signature, claims_length=True)


def dataset_of(feed: Feed, form: Callable[[Any], Any], signature: Any, claims_length: bool) -> Any:
    """Return a dataset of ``form(batch)``; see `dataset`."""
    source = _Source(feed, form, signature, claims_length)
    # TensorFlow never forgets a function that it has been given, so that must not keep the feed; the dataset does.
    reference = weakref.ref(source)

    def batches() -> Iterator[Any]:
        source = reference()
        assert source is not None, "an iterator keeps its dataset"
        return iter(source)

    made = tf.data.Dataset.from_generator(batches, output_signature=source.signature)
    if source.length is not None:
        made = made.apply(tf.data.experimental.assert_cardinality(source.length))
    settings = tf.data.Options()
    # A thread of TensorFlow's would hold more slots, and take the feed's state ahead of the loop.
    settings.experimental_optimization.inject_prefetch = False
    made = made.with_options(settings)
    made._fastfeed_source = source
    return made


class _Source:
    """What a dataset is made of: ``form(batch)`` for each batch of each epoch, as arrays of a signature."""

    def __init__(self, feed: Feed, form: Callable[[Any], Any], signature: Any, claims_length: bool) -> None:
        outline = feed.outline()
        self._epochs = Epochs(feed)
        self._form = form
        self._guessed = signature is None and outline.batch is None
        if self._guessed:
            first = [tensors_of(form(batch)) for batch in self._epochs.first()]
            signature = _signature_of(first, fixed=outline.rows == 0)
        elif signature is None:
            full = outline.exact and outline.last_rows == outline.rows
            signature = tf.nest.map_structure(lambda array: _spec_of(array, full), tensors_of(form(outline.batch)))
        self.signature = signature
        self.length = length_of(feed) if claims_length and outline.exact else None

    def __iter__(self) -> Iterator[Any]:
        count = 0
        for batch in self._epochs:
            count += 1
            tensors = tensors_of(self._form(batch))
            del batch
            if self._guessed:
                _check(tensors, self.signature)
            yield tensors
            del tensors
        if self.length is not None and count < self.length:
            raise ConfigError(
                f"this epoch has had {count} of its {self.length} batches, since a state in the middle of it was "
                f"loaded, and the dataset says {self.length}: call load_state_dict before to_tf"
            )


def tensors_of(batch: Any) -> Any:
    """Return the batch with an array that TensorFlow takes in place of each leaf; see `dataset`.

    Raises
    ------
    ConfigError
        If a leaf is what no tensor can hold, naming it.
    """
    if isinstance(batch, list) and any(isinstance(member, np.ndarray) for member in batch):
        batch = tuple(batch)
    return _arrays(batch, "")


def _arrays(value: Any, where: str) -> Any:
    if tree.is_leaf(value):
        return _array(value, where)
    made = [_arrays(member, where + tree.step(value, key)) for key, member in tree.items(value)]
    if isinstance(value, tuple):
        return tree.like(value, made)
    return dict(zip(tree.keys(value), made, strict=True))


def _array(leaf: Any, where: str) -> NDArray[Any]:
    try:
        array = np.asarray(leaf)
    except ValueError:  # lists of different lengths
        array = None
    kind = "" if array is None else array.dtype.kind
    if array is not None and kind in "biufc" and array.dtype.char not in "gG":
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array is not None and kind in "SUO":
        texts = [text.encode() if isinstance(text, str) else text for text in np.asarray(leaf, object).flat]
        if all(isinstance(text, bytes) for text in texts):
            made = np.empty(len(texts), object)
            made[:] = texts
            return made.reshape(array.shape)
    raise ConfigError(
        f"the batch{where} is {_described(leaf, array)}, which no tensor holds: let the feed give numbers, text, or "
        f"arrays of them; lists of different lengths are padded by collate=ff.pad(...)"
    )


def _described(leaf: Any, array: NDArray[Any] | None) -> str:
    if isinstance(leaf, list):
        kinds = sorted({type(member).__name__ for member in leaf})
        return f"a list of {', '.join(kinds)}" + (" of different lengths" if array is None else "")
    return f"an array of {leaf.dtype}" if isinstance(leaf, np.ndarray) else f"of type {type(leaf).__name__}"


# ---- what batches look like ------------------------------------------------------------------------------------------


def _spec_of(array: NDArray[Any], full: bool) -> Any:
    shape = list(array.shape)
    if shape and not full:
        shape[0] = None
    return tf.TensorSpec(shape, tf.as_dtype(array.dtype))


def _signature_of(batches: list[Any], fixed: bool) -> Any:
    """What these batches have in common; `fixed`: the first axis is like any other."""
    if not batches:
        raise options.wrong("output_signature", None, "pass one: this feed yields nothing that it could be read off")

    def merged(*arrays: NDArray[Any]) -> Any:
        spec, *others = (_spec_of(array, fixed) for array in arrays)
        for other in others:
            if other.dtype != spec.dtype or other.shape.rank != spec.shape.rank:
                raise ConfigError(f"one batch has {_said(spec)} where the next has {_said(other)}: {_ALIKE}")
            spec = tf.TensorSpec(spec.shape.most_specific_compatible_shape(other.shape), spec.dtype)
        return spec

    try:
        return tf.nest.map_structure(merged, *batches)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"the first two batches have different members: {_ALIKE}") from error


_ALIKE = "let all batches have the same members, dtypes and numbers of axes"


def _check(tensors: Any, signature: Any) -> None:
    """Refuse a batch that is not what the first ones led to expect."""
    try:
        tf.nest.assert_same_structure(signature, tensors)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a batch has other members than the first ones: {_ALIKE}") from error
    for spec, array in zip(tf.nest.flatten(signature), tf.nest.flatten(tensors), strict=True):
        if not spec.shape.is_compatible_with(array.shape) or spec.dtype != tf.as_dtype(array.dtype):
            found = _said(_spec_of(array, True))
            raise ConfigError(f"a batch has {found} where the first ones have {_said(spec)}: {_REMEDY}")


def _said(spec: Any) -> str:
    return f"{spec.dtype.name} {tuple(spec.shape)}"


def _same(batch: Any) -> Any:
    return batch


__all__ = ["dataset"]
