"""Which samples make up batch k of an epoch: a pure function of the options, the epoch and k.

    epoch order      position 0 .. n-1  ->  sample index      keyed permutation of (seed, epoch), or the identity
    shard            takes positions rank, rank + world, rank + 2 world, ...
    batch k          the shard's positions k * batch_size .. (k + 1) * batch_size - 1

No position is stored and no order is kept in memory, so a schedule over a hundred million samples costs nothing, and
to resume is to go on asking from (epoch, batch).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastfeed import _native, options
from fastfeed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        Leave out the short batch at the end.  Every shard then has the same number of batches.
    shard : tuple of int, optional
        ``(rank, world)``: this shard is number ``rank`` of ``world``.  Shards are disjoint, together complete, and
        differ in length by at most one sample, so without ``drop_last`` one may have a batch more than another, and
        with more shards than samples some are empty.

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
        An option that cannot work, or ``drop_last`` where that leaves no batch at all.
    """

    n: int
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    drop_last: bool = False
    shard: tuple[int, int] | None = None
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
        if self.drop_last:
            batches = n // world // size
            samples = batches * size
            if batches == 0:
                there = f"a shard has only {n // world} samples" if world > 1 else f"there are only {n} samples"
                remedy = f"pass False or a smaller batch_size; {there}, not one full batch"
                raise options.wrong("drop_last", True, remedy, batch_size=size)
        else:
            samples = len(range(rank, n, world))
            batches = -(-samples // size)
        # Frozen for everybody else; here the options become plain ints, and what every batch needs is worked out once.
        settled = {"n": n, "batch_size": size, "seed": seed, "shard": (rank, world)}
        settled |= {"rank": rank, "world": world, "samples": samples, "batches": batches}
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def rows(self, k: int) -> int:
        """Return the number of samples in batch ``k``; ``IndexError`` where the epoch has no such batch."""
        if not 0 <= k < self.batches:
            raise IndexError(f"batch {k} of an epoch of {self.batches} batches")
        return min(self.batch_size, self.samples - k * self.batch_size)

    def fill(self, epoch: int, k: int, out: memoryview) -> int:
        """Write the sample indices of batch ``k`` of an epoch into ``out``.

        Parameters
        ----------
        epoch : int
            0 to 2**64 - 1.
        k : int
            Batch of the epoch.
        out : memoryview of int64, shape (batch_size or more,)
            Owned by the caller; the first ``rows(k)`` entries are written, the others left alone.

        Returns
        -------
        int
            ``rows(k)``.
        """
        rows = self.rows(k)
        start = self.rank + k * self.batch_size * self.world
        if self.shuffle:
            _native.permute_fill(out[:rows], self.n, self.seed, epoch, start, self.world)
        else:
            # As bytes: a memoryview takes no values from another whose format is spelt differently ("q" for "l").
            out.cast("B")[: 8 * rows] = array("q", range(start, start + rows * self.world, self.world)).tobytes()
        return rows

    def fingerprint(self) -> dict[str, Any]:
        """Return what a saved position depends on: plain values that JSON keeps."""
        return {
            "n": self.n,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "drop_last": self.drop_last,
            "shard": [self.rank, self.world],
        }

    def check_fingerprint(self, saved: Mapping[str, Any]) -> None:
        """Refuse a position that was saved under another schedule.

        Raises
        ------
        ConfigError
            Naming each option that differs, what it was and what it is.
        """
        differences = []
        for name, now in self.fingerprint().items():
            then = saved.get(name)
            if name == "shard" and isinstance(then, tuple):
                then = list(then)
            if then != now:
                differences.append(f"{_NAMES.get(name, name)} was {then!r} and is {now!r}")
        if differences:
            raise ConfigError(
                f"this state belongs to another feed: {'; '.join(differences)}; "
                f"make the feed with the options that the state was saved under, or start a new epoch with set_epoch"
            )


_NAMES = {"n": "the number of samples"}
