"""Index-shuffled paths and labels: a training and a validation generator side by side."""

from __future__ import annotations

import numpy as np
from PIL import Image

import fastfeed as ff


def indexed_batches(paths, labels, batch_size, target_size, shuffle=True):
    """Yield (images, labels) over one epoch."""
    indices = np.arange(len(paths))
    if shuffle:
        np.random.shuffle(indices)
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        images = [
            np.asarray(Image.open(paths[index]).convert("RGB").resize(target_size, Image.BILINEAR), dtype=np.float32)
            for index in chosen
        ]
        yield np.stack(images) / 255, labels[chosen]


# ---- with fastfeed ----


def fast(train, valid, batch_size, target_size, num_workers=None):
    """Return two feeds that may run at once; `train` and `valid` are (paths, labels).

    The part of a worker is shuffled in itself.  Validation walks its files in order, and so runs of whole batches give
    the serial stream.
    """
    training = ff.parallel(indexed_batches, split=("paths", "labels"), num_workers=num_workers)
    validation = ff.parallel(indexed_batches, split=("paths", "labels"), split_size=batch_size, num_workers=num_workers)
    return (
        training(*train, batch_size, target_size),
        validation(*valid, batch_size, target_size, shuffle=False),
    )


def native(train, valid, batch_size, target_size, **engine):
    """Return two feeds; training is shuffled as a whole."""
    width, height = target_size
    return tuple(
        ff.images(paths, (height, width), labels=labels, batch_size=batch_size, shuffle=shuffle, **engine)
        for (paths, labels), shuffle in ((train, True), (valid, False))
    )
