"""Which samples make up batch k of an epoch: a pure function of the options, the epoch and k.

    epoch order      position 0 .. n-1  ->  sample index      keyed permutation of (seed, epoch), or the identity
    what is left     number 0 .. r-1    ->  position          all of the epoch, or what a saved state has left of it
    shard            takes numbers rank, rank + world, rank + 2 world, ...
    batch k          the shard's numbers k * batch_size .. (k + 1) * batch_size - 1

No position is stored and no order is kept in memory, so a schedule over a hundred million samples costs nothing.  All
ranks together deliver the same run of numbers in each step, whatever their number: so a saved state is a position.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from fastfeed import _native, options
from fastfeed.schedule.rest import ALL, Rest
from fastfeed.schedule.sampler import SamplerOrder, Seen

if TYPE_CHECKING:
    from fastfeed.schedule.progress import Progress
    from fastfeed.schedule.weights import WeightedOrder

_MAX_SAMPLES = 2**63 - 1  # indices are int64


class DrawnPart(NamedTuple):
    """The indices of a batch that a sampler has drawn, and what has been seen of the sampler with it."""

    indices: array[int]
    seen: Seen


# What is left of an epoch, from which a batch's indices follow; or the indices, where a sampler has drawn them.
Part = Rest | DrawnPart


@dataclass(frozen=True)
class Schedule:
    """The batches of one shard.

    Parameters
    ----------
    n : int
        Samples in the source, at least 1.
    batch_size : int
        Samples in a batch; the last batch of an epoch may be shorter.
    shuffle : bool
        A fresh order for each epoch, otherwise the order of the source.
    seed : int
        0 to 2**64 - 1; with the epoch's number it decides the order.
    drop_last : bool
        Leave out the short batch at the end.
    shard : tuple of int or "auto", optional
        ``(rank, world)``: this shard is number ``rank`` of ``world``.
    uneven : {"pad", "drop", "keep"}
        What becomes of the last samples where the shards cannot have equally many: the first of the epoch once more
        for the shards that have one less; none of them; or shards of which some have a sample more, and so perhaps a
        batch.
    order : WeightedOrder or SamplerOrder, optional
        In place of `shuffle`: what an epoch's positions are.

    Attributes
    ----------
    rank, world : int
        The two halves of ``shard``; 0 and 1 where there is none.
    automatic : bool
        Whether they were not given but found.
    length : int
        Positions of an epoch, of all shards; more than there can be where a sampler does not know.
    samples, batches : int
        Positions of an epoch that this shard delivers, and its batches, likewise.

    Raises
    ------
    ConfigError
        An option that cannot work, or one that leaves no batch at all.
    """

    n: int
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    drop_last: bool = False
    shard: tuple[int, int] | str | None = None
    uneven: str = "pad"
    order: WeightedOrder | SamplerOrder | None = field(default=None, repr=False)
    rank: int = field(init=False, repr=False, compare=False)
    world: int = field(init=False, repr=False, compare=False)
    automatic: bool = field(init=False, repr=False, compare=False)
    length: int = field(init=False, repr=False, compare=False)
    samples: int = field(init=False, repr=False, compare=False)
    batches: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = options.whole("n", self.n, 1, _MAX_SAMPLES, "pass a source of 1 to 2**63 - 1 samples")
        remedy = "pass a whole number of samples, at least 1"
        size = options.whole("batch_size", self.batch_size, 1, _MAX_SAMPLES, remedy)
        seed = options.fixed_seed(self.seed)
        options.flag("shuffle", self.shuffle)
        options.flag("drop_last", self.drop_last)
        rank, world = options.shard(self.shard)
        options.one_of("uneven", self.uneven, ("pad", "drop", "keep"))
        order = self.order
        length = n if order is None else _MAX_SAMPLES if order.length is None else order.length
        # Frozen for everybody else; here the options become plain ints, and what every batch needs is worked out once.
        settled = {"n": n, "batch_size": size, "seed": seed, "shard": (rank, world), "rank": rank, "world": world}
        settled |= {"automatic": isinstance(self.shard, str), "length": length}
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "samples", self.samples_of(ALL))
        object.__setattr__(self, "batches", self.batches_of(ALL))
        self._refuse_nothing()

    def _refuse_nothing(self) -> None:
        size, each = self.step, self.length // self.world
        there = f"a shard has only {each} samples" if self.world > 1 else f"there are only {self.length} samples"
        if self.drop_last and isinstance(self.order, SamplerOrder) and self.order.listed:
            raise options.wrong("drop_last", True, "pass False: the sampler yields whole batches, as lists")
        if self.drop_last and each < size:
            remedy = f"pass False or a smaller batch_size; {there}, not one full batch"
            raise options.wrong("drop_last", True, remedy, batch_size=size)
        if self.uneven == "drop" and not each:
            raise options.wrong("uneven", "drop", f"pass 'pad', or fewer shards; {there}")

    @property
    def step(self) -> int:
        """Positions of a batch: its samples; or 1, where a sampler's list is a position."""
        return 1 if isinstance(self.order, SamplerOrder) and self.order.listed else self.batch_size

    @property
    def is_of_unknown_length(self) -> bool:
        """Whether only the sampler will say when an epoch is over."""
        return isinstance(self.order, SamplerOrder) and self.order.length is None

    @property
    def most_rows(self) -> int:
        """The most samples that a batch may have."""
        return self.batch_size if isinstance(self.order, SamplerOrder) else min(self.batch_size, max(1, self.samples))

    def samples_of(self, rest: Rest) -> int:
        """Return the number of positions that this shard delivers of what is left of an epoch."""
        left, world = rest.count(self.length), self.world
        if self.drop_last:
            return left // world // self.step * self.step
        if self.uneven == "keep":
            return len(range(self.rank, left, world))
        return left // world if self.uneven == "drop" else -(-left // world)

    def batches_of(self, rest: Rest) -> int:
        """Return the number of this shard's batches in what is left of an epoch."""
        return -(-self.samples_of(rest) // self.step)

    def steps_of(self, rest: Rest) -> int:
        """Return the number of batches of the shard that has most of what is left of an epoch."""
        if self.uneven != "keep" or self.drop_last:
            return self.batches_of(rest)
        return -(-rest.count(self.length) // (self.world * self.step))

    def deal(self, epoch: int, progress: Progress) -> Iterator[tuple[int, Part]]:
        """Yield the batches of an epoch that are not delivered, with what `fill` is told of each."""
        if isinstance(self.order, SamplerOrder):
            yield from self._dealt_from(self.order, epoch, progress)
            return
        for batch in range(progress.first, self.batches_of(progress.rest)):
            if batch not in progress.ahead:
                yield batch, progress.rest

    def _dealt_from(self, order: SamplerOrder, epoch: int, progress: Progress) -> Iterator[tuple[int, Part]]:
        """Draw what all ranks take together in a step, one step ahead: the last batch must be known to be the last."""
        walk = order.walk(epoch, progress.rest, progress.seen)
        drawn = walk.take(1)  # whether it is a list shows only now
        drawn += walk.take(self.step * self.world - 1)
        batch = 0
        dealt: list[tuple[int, Part]] = []
        failure: Exception | None = None
        while mine := self._mine(drawn, walk.first):
            part = DrawnPart(array("q", chain.from_iterable(mine)), walk.seen)
            try:
                drawn = walk.take(self.step * self.world)
            except Exception as error:  # what came before it is dealt first
                drawn, failure = [], error
            if failure is None and not self._mine(drawn, walk.first):
                progress.total = batch + 1
            if batch >= progress.first and batch not in progress.ahead:
                dealt.append((batch, part))
            if walk.is_confirmed:
                yield from dealt
                dealt.clear()
            if failure is not None:
                raise failure
            batch += 1
        progress.total = batch

    def _mine(self, drawn: list[list[int]], first: list[list[int]]) -> list[list[int]]:
        """Return the part of a step that is this rank's."""
        missing = -len(drawn) % self.world
        if not drawn or (self.drop_last and len(drawn) < self.step * self.world):
            return []
        if missing and self.uneven == "pad":
            drawn = [*drawn, *islice(cycle(first), missing)]
        mine = drawn[self.rank :: self.world]
        return mine[: len(drawn) // self.world] if self.uneven == "drop" else mine

    def rows(self, k: int, part: Part = ALL) -> int:
        """Return the number of samples in batch ``k``; ``IndexError`` where there is no such batch."""
        if isinstance(part, DrawnPart):
            return len(part.indices)
        samples = self.samples if part is ALL else self.samples_of(part)
        rows = min(self.batch_size, samples - k * self.batch_size)
        if k < 0 or rows <= 0:
            raise IndexError(f"batch {k} of an epoch of {-(-samples // self.batch_size)} batches")
        return rows

    def fill(self, epoch: int, k: int, out: memoryview, part: Part = ALL) -> int:
        """Write the sample indices of batch ``k`` of an epoch into ``out``.

        Parameters
        ----------
        epoch : int
            0 to 2**64 - 1.
        k : int
            Batch of the epoch, or of what is left of it.
        out : memoryview of int64, shape (batch_size or more,)
            Owned by the caller; the first ``rows(k)`` entries are written, the others left alone.
        part : Rest or DrawnPart
            What is left of the epoch; or the indices, where `deal` has drawn them.

        Returns
        -------
        int
            ``rows(k)``.
        """
        rows = self.rows(k, part)
        if isinstance(part, DrawnPart):
            out.cast("B")[: 8 * rows] = part.indices.tobytes()
            return rows
        first = self.rank + k * self.batch_size * self.world
        if part is ALL and first + (rows - 1) * self.world < self.length:  # what nearly every batch is
            self._fill(epoch, first, out[:rows])
            return rows
        at = 0
        for position, count in part.runs(first, self.world, rows, self.length):
            self._fill(epoch, position, out[at : at + count])
            at += count
        return rows

    def _fill(self, epoch: int, position: int, out: memoryview) -> None:
        """Write the indices of positions that are `world` apart."""
        if self.order is not None and not isinstance(self.order, SamplerOrder):
            self.order.fill(epoch, position, self.world, out)
        elif self.shuffle:
            _native.permute_fill(out, self.n, self.seed, epoch, position, self.world)
        else:
            # As bytes: a memoryview takes no values from another whose format is spelt differently ("q" for "l").
            apart = range(position, position + len(out) * self.world, self.world)
            out.cast("B")[:] = array("q", apart).tobytes()

    def fingerprint(self) -> dict[str, Any]:
        """Return what the order depends on: plain values that JSON keeps."""
        if self.order is None:
            return {"samples": self.n, "shuffle": self.shuffle, "seed": self.seed}
        return {"samples": self.n, "seed": self.seed, **self.order.fingerprint()}
