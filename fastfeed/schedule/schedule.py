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
from dataclasses import dataclass, field
from typing import Any

from fastfeed import _native, options
from fastfeed.schedule.rest import Rest

ALL = Rest()
_MAX_SAMPLES = 2**63 - 1  # indices are int64


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
    shard : tuple of int, optional
        ``(rank, world)``: this shard is number ``rank`` of ``world``.
    uneven : {"pad", "drop", "keep"}
        What becomes of the last samples where the shards cannot have equally many: the first of the epoch once more
        for the shards that have one less; none of them; or shards of which some have a sample more, and so perhaps a
        batch.

    Attributes
    ----------
    rank, world : int
        The two halves of ``shard``; 0 and 1 where there is none.
    samples : int
        Samples of this shard that an epoch delivers.
    batches : int
        Batches in an epoch of this shard.

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
    shard: tuple[int, int] | None = None
    uneven: str = "pad"
    rank: int = field(init=False, repr=False, compare=False)
    world: int = field(init=False, repr=False, compare=False)
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
        there = f"a shard has only {n // world} samples" if world > 1 else f"there are only {n} samples"
        if self.drop_last and n // world < size:
            remedy = f"pass False or a smaller batch_size; {there}, not one full batch"
            raise options.wrong("drop_last", True, remedy, batch_size=size)
        if self.uneven == "drop" and n < world:
            raise options.wrong("uneven", "drop", f"pass 'pad', or fewer shards; {there}")
        # Frozen for everybody else; here the options become plain ints, and what every batch needs is worked out once.
        settled = {"n": n, "batch_size": size, "seed": seed, "shard": (rank, world), "rank": rank, "world": world}
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "samples", self.samples_of(ALL))
        object.__setattr__(self, "batches", self.batches_of(ALL))

    def samples_of(self, rest: Rest) -> int:
        """Return the number of samples of this shard that what is left of an epoch has."""
        left, world = rest.count(self.n), self.world
        if self.drop_last:
            return left // world // self.batch_size * self.batch_size
        if self.uneven == "keep":
            return len(range(self.rank, left, world))
        return left // world if self.uneven == "drop" else -(-left // world)

    def batches_of(self, rest: Rest) -> int:
        """Return the number of this shard's batches in what is left of an epoch."""
        return -(-self.samples_of(rest) // self.batch_size)

    def rows(self, k: int, rest: Rest = ALL) -> int:
        """Return the number of samples in batch ``k``; ``IndexError`` where there is no such batch."""
        samples = self.samples if rest is ALL else self.samples_of(rest)
        rows = min(self.batch_size, samples - k * self.batch_size)
        if k < 0 or rows <= 0:
            raise IndexError(f"batch {k} of an epoch of {-(-samples // self.batch_size)} batches")
        return rows

    def fill(self, epoch: int, k: int, out: memoryview, rest: Rest = ALL) -> int:
        """Write the sample indices of batch ``k`` of an epoch into ``out``.

        Parameters
        ----------
        epoch : int
            0 to 2**64 - 1.
        k : int
            Batch of the epoch, or of what is left of it.
        out : memoryview of int64, shape (batch_size or more,)
            Owned by the caller; the first ``rows(k)`` entries are written, the others left alone.
        rest : Rest
            What is left of the epoch.

        Returns
        -------
        int
            ``rows(k)``.
        """
        rows = self.rows(k, rest)
        at = 0
        first = self.rank + k * self.batch_size * self.world
        for position, count in rest.runs(first, self.world, rows, self.n):
            self._fill(epoch, position, out[at : at + count])
            at += count
        return rows

    def _fill(self, epoch: int, position: int, out: memoryview) -> None:
        """Write the indices of positions that are `world` apart."""
        if self.shuffle:
            _native.permute_fill(out, self.n, self.seed, epoch, position, self.world)
        else:
            # As bytes: a memoryview takes no values from another whose format is spelt differently ("q" for "l").
            apart = range(position, position + len(out) * self.world, self.world)
            out.cast("B")[:] = array("q", apart).tobytes()

    def fingerprint(self) -> dict[str, Any]:
        """Return what the order depends on: plain values that JSON keeps."""
        return {"samples": self.n, "shuffle": self.shuffle, "seed": self.seed}
