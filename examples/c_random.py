"""Random numeric batches, made for ever, for a training loop with `steps_per_epoch`."""

from __future__ import annotations

import numpy as np

import fastfeed as ff


def random_batches(batch_size, features):
    """Yield (x, y) of shapes (batch_size, features) and (batch_size,), for ever."""
    while True:
        x = np.random.normal(size=(batch_size, features))
        y = (np.sin(x).sum(axis=1) > 0).astype(np.int64)
        yield x, y


# ---- with fastfeed ----


def fast(batch_size, features, **engine):
    """Give each worker a stream of its own; a step takes the next of them in turn."""
    return ff.parallel(random_batches, copies=True, **engine)(batch_size, features)
