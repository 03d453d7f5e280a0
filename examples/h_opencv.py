"""OpenCV: read, resize, scale."""

from __future__ import annotations

import cv2
import numpy as np

import fastfeed as ff


def opencv_batches(image_files, batch_size, target_size):
    """Yield (batch, height, width, 3) float32 arrays in 0..1, blue first, as OpenCV has it."""
    for start in range(0, len(image_files), batch_size):
        images = []
        for path in image_files[start : start + batch_size]:
            image = cv2.imread(path)
            image = cv2.resize(image, target_size, interpolation=cv2.INTER_AREA)
            images.append(image.astype(np.float32) / 255.0)
        yield np.stack(images)


# ---- with fastfeed ----


def fast(image_files, batch_size, target_size, **engine):
    """Run each batch of files in a worker: the very same stream."""
    run = ff.parallel(opencv_batches, split="image_files", split_size=batch_size, **engine)
    return run(image_files, batch_size, target_size)


def native(image_files, batch_size, target_size, **engine):
    """Return a feed whose images are red first; ``batch[..., ::-1]`` is a view that is blue first."""
    width, height = target_size
    return ff.images(image_files, (height, width), labels=None, batch_size=batch_size, **engine)
