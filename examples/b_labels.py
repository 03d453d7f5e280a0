"""The same with labels from a mapping: files without one are warned about and skipped, images flipped at random."""

from __future__ import annotations

import os
import random
import warnings

import numpy as np
from PIL import Image

import fastfeed as ff


def labelled_batches(image_files, labels, batch_size, target_size):
    """Yield (images, labels) for ever; `labels` maps file names to integers."""
    while True:
        random.shuffle(image_files)
        images, targets = [], []
        for path in image_files:
            name = os.path.basename(path)
            if name not in labels:
                warnings.warn(f"no label for {name}, skipping", stacklevel=2)
                continue
            try:
                with Image.open(path) as image:
                    resized = image.convert("RGB").resize(target_size, Image.BILINEAR)
            except OSError as error:
                warnings.warn(f"cannot read {name}: {error}", stacklevel=2)
                continue
            pixels = np.asarray(resized, dtype=np.float32) / 255
            if random.random() < 0.5:
                pixels = pixels[:, ::-1]
            images.append(pixels)
            targets.append(labels[name])
            if len(images) == batch_size:
                yield np.stack(images), np.array(targets)
                images, targets = [], []


# ---- with fastfeed ----


def fast(image_files, labels, batch_size, target_size, **engine):
    """Give each worker its share of the files; the mapping goes to all of them."""
    return ff.parallel(labelled_batches, split="image_files", **engine)(image_files, labels, batch_size, target_size)


def native(image_files, labels, batch_size, target_size, **engine):
    """Return a feed; what was skipped, and why, is in ``feed.errors``."""
    width, height = target_size
    return ff.images(
        image_files,
        transforms=[ff.Resize((height, width)), ff.RandomHorizontalFlip()],
        labels=labels,
        batch_size=batch_size,
        shuffle=True,
        on_error="skip",
        **engine,
    )
