"""A folder of images: opened, resized, scaled, shuffled each epoch, corrupt files skipped, for ever."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

import fastfeed as ff


def image_batches(image_files, batch_size, target_size):
    """Yield (batch_size, height, width, 3) float32 arrays in 0..1, for ever."""
    while True:
        random.shuffle(image_files)
        images = []
        for path in image_files:
            try:
                with Image.open(path) as image:
                    resized = image.convert("RGB").resize(target_size, Image.BILINEAR)
            except OSError:
                continue
            images.append(np.asarray(resized, dtype=np.float32) / 255)
            if len(images) == batch_size:
                yield np.stack(images)
                images = []


# ---- with fastfeed ----


def fast(image_files, batch_size, target_size, **engine):
    """Give each worker its share of the files, which it shuffles and walks for ever; the streams are interleaved."""
    return ff.parallel(image_batches, split="image_files", **engine)(image_files, batch_size, target_size)


def native(image_files, batch_size, target_size, **engine):
    """Return a feed; ``feed.repeat()`` runs on for ever, and every epoch shuffles all files."""
    width, height = target_size
    return ff.images(
        image_files, (height, width), labels=None, batch_size=batch_size, shuffle=True, on_error="skip", **engine
    )
