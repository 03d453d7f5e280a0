"""A generator that hands every batch to `multiprocessing.Pool.map`."""

from __future__ import annotations

import functools
from multiprocessing import Pool

import numpy as np
from PIL import Image

import fastfeed as ff


def load(path, target_size):
    """Return one image as (height, width, 3) float32 in 0..1."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(target_size, Image.BILINEAR), dtype=np.float32) / 255


def pool_batches(image_files, batch_size, target_size, processes=2):
    """Yield batches, each of them made by a pool."""
    with Pool(processes) as pool:
        for start in range(0, len(image_files), batch_size):
            batch = image_files[start : start + batch_size]
            yield np.stack(pool.map(functools.partial(load, target_size=target_size), batch))


# ---- with fastfeed ----


def wrapped(image_files, batch_size, target_size, processes=2, **engine):
    """Run it as it is, pool and all, on a worker: the consumer no longer waits while the pool works."""
    return ff.parallel(pool_batches, **engine)(image_files, batch_size, target_size, processes)


def fast(image_files, batch_size, target_size, **engine):
    """Do without the pool: the same function, the same batches, and no barrier at the end of each."""
    return ff.map(functools.partial(load, target_size=target_size), image_files, batch_size=batch_size, **engine)


def native(image_files, batch_size, target_size, **engine):
    """Return a feed of the same batches."""
    width, height = target_size
    return ff.images(image_files, (height, width), labels=None, batch_size=batch_size, **engine)
