"""NumPy arrays, shuffled and cut into batches."""

from __future__ import annotations

import numpy as np

import fastfeed as ff


def array_batches(x, y, batch_size):
    """Yield (x, y) batches over one shuffled epoch."""
    order = np.random.permutation(len(x))
    for start in range(0, len(x), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]


# ---- with fastfeed ----


def fast(x, y, batch_size, **engine):
    """Give each worker its part of the arrays, to shuffle in itself."""
    return ff.parallel(array_batches, split=("x", "y"), **engine)(x, y, batch_size)


def native(x, y, batch_size, **engine):
    """Shuffle all rows; workers gather them from the arrays or memory maps, which they share."""
    return ff.arrays(x, y, batch_size=batch_size, shuffle=True, **engine)
