"""JAX: a feed's batches as JAX arrays, on their way to the devices one batch ahead of the loop.

``device_put`` returns at once, and JAX refers to the batch's memory until it has been copied.  A CPU device takes
memory that is aligned to 64 bytes as it is, writable or not: then the array is the slot itself, as long as it lives.
In both cases it is JAX's reference that keeps the slot leased.  So no other reference may outlive ``put``: an array
that the loop could write to would change one that JAX calls immutable.

What JAX's own threads let go of is given back when JAX is called next.  A slot is therefore free one batch later than
its array dies, and an iteration holds three batches: the loop's, the one ahead, and the one that is being let go of.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Generator, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastfeed import options, tree
from fastfeed.adapters.ahead import Adapter, Ahead
from fastfeed.errors import ConfigError

try:
    import jax
except ImportError as error:
    raise ImportError("fastfeed.jax and to_jax() need JAX, which cannot be imported here: pip install jax") from error

if TYPE_CHECKING:
    from fastfeed.engine.feed import Feed

_HELD = 3  # batches, by one iteration; see above


class Stateful:
    """A state under the names that Grain and Orbax have for it; `JaxFeed` and `JaxIterator` have them."""

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, as plain values."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Go on there."""
        raise NotImplementedError

    def get_state(self) -> bytes:
        """Return where the loop stands as bytes of JSON, as iterators of Grain do."""
        return json.dumps(self.state_dict()).encode()

    def set_state(self, state: bytes) -> None:
        """Go on where `get_state` was called.

        Raises
        ------
        ConfigError
            If the state is none, or was taken from another feed.
        """
        self.load_state_dict(_read(state))

    async def save(self, directory: Any) -> Awaitable[None]:
        """Write the state of now to a checkpoint of Orbax's, a file for each process."""
        state = self.get_state()

        async def write() -> None:
            made = await directory.await_creation()
            (made / f"process_{jax.process_index()}-of-{jax.process_count()}.json").write_bytes(state)

        return write()

    async def load(self, directory: Any) -> Awaitable[None]:
        """Go on where `save` was called, by as many processes or by others.

        Raises
        ------
        ConfigError
            If there is no state, or that of another feed.
        """
        # At once, not in what is returned: Orbax tells a failure of that as one of its own.
        own = directory / f"process_{jax.process_index()}-of-{jax.process_count()}.json"
        files = [own] if own.exists() else sorted(directory.glob("process_*.json"))
        if not files:
            raise ConfigError(f"{directory} holds no state of a feed: pass a checkpoint to which one was saved")
        first, *others = (_read(file.read_bytes()) for file in files)
        # They differ where each process has its own: see `Feed.load_state_dict`.
        self.load_state_dict(first if all(other == first for other in others) else [first, *others])

        async def done() -> None:
            pass

        return done()


def _read(state: Any) -> Any:
    try:
        return json.loads(state)
    except (TypeError, ValueError) as error:
        raise options.wrong("state", state, "pass what get_state() returned, unchanged") from error


class JaxFeed(Adapter, Stateful):
    """A feed that yields JAX arrays; made by ``feed.to_jax()``.

    ``iter`` is one epoch, and ``repeat`` runs on across epochs; either gives a `JaxIterator`.  The state, which both
    have, is where the loop stands, though the feed is a batch ahead of it; it can be saved with Orbax.

    Parameters
    ----------
    feed : Feed
        What to feed; stays usable, but not while this is iterated.
    sharding : jax.sharding.Sharding, jax.Device, a tree of them, or None
        Where arrays are to be.  With a sharding over devices of several processes, each feeds its own part
        (``shard="auto"`` of the feed), and the arrays are global ones.  A tree is one of the batch's structure, or of
        its upper part: ``(images, labels)``, ``{"image": ..., "label": ...}``.  None is the default device.

    Raises
    ------
    ConfigError
        If the sharding is none; at the first step, if it does not fit the batches, the short last one included.
    """

    def __init__(self, feed: Feed, sharding: Any = None) -> None:
        super().__init__(feed)
        self._placement = _Placement(sharding)
        feed.reserve(_HELD)

    def __iter__(self) -> JaxIterator:
        return JaxIterator(self, self._placement, 1)

    def repeat(self, n: int | None = None) -> JaxIterator:
        """Run on across epochs, without a pause between them.

        Parameters
        ----------
        n : int, optional
            How many epochs; endless where it is None.
        """
        return JaxIterator(self, self._placement, n)


class JaxIterator(Stateful):
    """One iteration over a `JaxFeed`: an epoch, or several.

    An iterator that is never stepped costs nothing and changes nothing.
    """

    def __init__(self, loader: JaxFeed, placement: _Placement, epochs: int | None) -> None:
        self._loader = loader
        self._placement = placement
        self._epochs = epochs
        self._ahead = self._begun()

    def _begun(self) -> Ahead[Any]:
        feed = self._loader.feed
        return Ahead(self._loader, _started(self._placement, feed, feed.repeat(self._epochs)))

    def __iter__(self) -> JaxIterator:
        return self

    def __next__(self) -> Any:
        return next(self._ahead)

    def start_prefetch(self) -> None:
        """Start the workers and have the first batch on its way, for which this waits; may be called again."""
        self._ahead.start()

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands: behind the batch that it was given last."""
        return self._loader.state_dict()

    def load_state_dict(self, state: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Let the next step go on where a state was taken, or those of all ranks; an empty one changes nothing.

        Raises
        ------
        ConfigError
            If the state was taken from another feed.
        """
        if state != {}:
            self._loader.load_state_dict(state)
            self._ahead.close()
            self._ahead = self._begun()

    def close(self) -> None:
        """End the iteration; the feed stays usable."""
        self._ahead.close()


def _started(placement: _Placement, feed: Feed, batches: Iterator[Any]) -> Generator[Any, None, None]:
    """Put each batch on its way.  No method: one would keep the iterator, and with it the slots, in a circle."""
    placement.expect(feed.job.sizes())
    for batch in batches:
        arrays = placement.put(batch)
        del batch
        yield arrays
        del arrays


class _Leaf(NamedTuple):
    """An array of a batch, the key of its place there as one would write it, and where it is to be."""

    path: str
    array: np.ndarray[Any, Any]
    where: Any

    @property
    def is_part(self) -> bool:
        """Whether it is this process's part of an array over several processes."""
        return isinstance(self.where, jax.sharding.Sharding) and not self.where.is_fully_addressable

    @property
    def rows(self) -> int | None:
        """Samples in it."""
        return int(self.array.shape[0]) if self.array.ndim else None


class _Placement:
    """Which devices the arrays of a batch go to.

    Parameters
    ----------
    sharding : object
        What the user passed.
    """

    def __init__(self, sharding: Any) -> None:
        self._sharding = sharding
        self._sizes: tuple[int, ...] = ()
        self._sound = True  # whether batches of all sizes are known to fit
        for where in tree.leaves(sharding, lists=True):
            if not _is_place(where):
                raise options.wrong("sharding", sharding, _remedy(where))

    def expect(self, sizes: tuple[int, ...]) -> None:
        """Prepare for batches of these sizes, the largest first; of any, where there are none."""
        if sizes != self._sizes:
            self._sizes, self._sound = sizes, False

    def put(self, batch: Any) -> Any:
        """Return the batch with an array that is on its way in place of each that JAX can hold.

        Tuples, lists, dicts and dataclasses stay what they are; so do numbers, text, and arrays of what JAX cannot
        hold, which are copied, as nothing else is to refer to the slot.  A NumPy number becomes an array without a
        dimension.
        """
        values: list[Any] = []
        leaves: dict[int, _Leaf] = {}  # by number
        for (path, value), where in zip(tree.paths(batch, lists=True), self._spread(batch), strict=True):
            if isinstance(value, np.ndarray | np.generic) and _can_hold(value.dtype):
                leaves[len(values)] = _Leaf(path, _plain(path, value), where)
                values.append(None)
            else:
                values.append(value.copy() if isinstance(value, np.ndarray) else value)
        for number, array in zip(leaves, self._moved(list(leaves.values())), strict=True):
            values[number] = array
        following = iter(values)
        return tree.mapped(batch, lambda _: next(following), lists=True)

    def _spread(self, batch: Any) -> Iterator[Any]:
        """Yield for each leaf of a batch where it is to be."""
        try:
            yield from _spread(self._sharding, batch)
        except LookupError:
            remedy = f"pass a tree of the structure that batches have: {_structure(batch)}"
            raise options.wrong("sharding", self._sharding, remedy) from None

    def _moved(self, leaves: list[_Leaf]) -> list[jax.Array]:
        for leaf in leaves:
            if leaf.is_part and self._sizes and leaf.rows not in self._sizes:
                raise self._error(leaf, leaf.rows, self._remedy_for(leaf.rows), "other processes have other numbers")
        try:
            made = _put(leaves)
        except ValueError:
            for leaf in leaves:
                try:
                    _put([leaf])
                except ValueError as error:
                    raise self._unfit(leaf, leaf.rows, error) from error
            raise
        if not self._sound:
            self._check_sizes(leaves, made)
        return made

    def _check_sizes(self, leaves: list[_Leaf], made: list[jax.Array]) -> None:
        """Refuse at the first step what the short batch at the end would be refused for."""
        for leaf, array in zip(leaves, made, strict=True):
            if leaf.rows in self._sizes and isinstance(leaf.where, jax.sharding.Sharding):
                parts = array.shape[0] // leaf.rows  # one of each process
                for rows in self._sizes:
                    try:
                        leaf.where.shard_shape((parts * rows, *array.shape[1:]))
                    except ValueError as error:
                        raise self._unfit(leaf, rows, error) from error
        self._sound = True

    def _unfit(self, leaf: _Leaf, rows: int | None, why: object) -> ConfigError:
        """Return the error for a leaf that cannot be where it is to be; `rows` is how many samples it has."""
        remedy = "pass one that fits each array of the batch, or a tree of them"
        if rows is not None and isinstance(leaf.where, jax.sharding.Sharding):
            rest = leaf.array.shape[1:]
            if not _fits(leaf.where, (rows, *rest)) and _fits(leaf.where, (rows * leaf.where.num_devices, *rest)):
                remedy = self._remedy_for(rows)
        return self._error(leaf, rows, remedy, str(why).replace(f"Sharding {leaf.where}", "it"))

    def _error(self, leaf: _Leaf, rows: int | None, remedy: str, why: str) -> ConfigError:
        shape = () if rows is None else (rows, *leaf.array.shape[1:])
        return options.wrong("sharding", self._sharding, f"{remedy}; batch{leaf.path} has shape {shape}: {why}")

    def _remedy_for(self, rows: int | None) -> str:
        """Say what helps where so many samples cannot be divided."""
        if not self._sizes:
            return "pass batches that it divides, the last one included"
        if rows == self._sizes[0]:
            return "pass a batch_size to the feed that it divides"
        if rows in self._sizes:
            return "pass drop_last=True to the feed, which leaves out the short last batch"
        return "pass on_error='replace' to the feed, as a batch without its bad samples is too short"


def _fits(where: jax.sharding.Sharding, shape: tuple[int, ...]) -> bool:
    try:
        where.shard_shape(shape)
    except ValueError:
        return False
    return True


def _is_place(where: Any) -> bool:
    if isinstance(where, jax.Device):
        return bool(where.process_index == jax.process_index())
    return where is None or isinstance(where, jax.sharding.Sharding)


def _remedy(where: Any) -> str:
    if isinstance(where, jax.Device):
        return "pass one of jax.local_devices(), or a jax.sharding.Sharding over devices of all processes"
    if isinstance(where, jax.sharding.PartitionSpec):
        return "pass it with its mesh, jax.sharding.NamedSharding(mesh, spec)"
    return "pass a jax.sharding.Sharding, a jax.Device, None, or a tree of them such as (images, labels)"


def _spread(where: Any, value: Any) -> Iterator[Any]:
    """Yield for each leaf of `value` what the tree `where` has there or above; LookupError where it has nothing."""
    if tree.is_leaf(where, lists=True):
        for _ in tree.leaves(value, lists=True):
            yield where
        return
    places = dict(tree.items(where))
    if tree.is_leaf(value, lists=True) or places.keys() != set(tree.keys(value)):
        raise LookupError
    for key, member in tree.items(value):
        yield from _spread(places[key], member)


def _structure(batch: Any) -> str:
    """Return the leaves of a batch as messages list them."""
    leaves = [f"batch{path}" for path, _ in tree.paths(batch, lists=True)]
    return ", ".join(leaves[:8]) + (", ..." if len(leaves) > 8 else "")


@lru_cache(maxsize=64)
def _can_hold(dtype: np.dtype[Any]) -> bool:
    """Whether JAX has arrays of it; of ml_dtypes' numbers, such as bfloat16, as well."""
    number = jax.numpy.issubdtype(dtype, jax.numpy.number) and dtype.kind != "m" and dtype.char not in "gG"
    return bool(number or dtype == np.bool_)


def _plain(path: str, value: Any) -> np.ndarray[Any, Any]:
    """Return an array in native byte order whose integers JAX keeps: without x64 it cuts 64 bits to 32."""
    array = np.asarray(value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" and array.itemsize == 8 and array.size and not jax.config.jax_enable_x64:
        limits = np.iinfo(jax.dtypes.canonicalize_dtype(array.dtype))
        for extreme in (array.min(), array.max()):
            if not limits.min <= extreme <= limits.max:
                remedy = (
                    f"pass True, by jax.config.update('jax_enable_x64', True), or smaller numbers; batch{path} has "
                    f"{extreme}, which 32 bits do not hold"
                )
                raise options.wrong("jax_enable_x64", False, remedy)
    return array


def _put(leaves: list[_Leaf]) -> list[jax.Array]:
    here = [leaf for leaf in leaves if not leaf.is_part]
    made = iter(jax.device_put([leaf.array for leaf in here], [leaf.where for leaf in here]))
    return [
        jax.make_array_from_process_local_data(leaf.where, leaf.array) if leaf.is_part else next(made)
        for leaf in leaves
    ]


__all__ = ["JaxFeed", "JaxIterator"]
