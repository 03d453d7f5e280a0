"""Images chosen at random with replacement, and augmented by rotation, shift, shear, zoom and flip."""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image

import fastfeed as ff


def augment(image):
    """Turn, shift, shear, zoom and flip at random, about the centre."""
    width, height = image.size
    angle = math.radians(random.uniform(-20, 20))
    shear = math.radians(random.uniform(-10, 10))
    zoom = random.uniform(0.8, 1.2)
    a, b = math.cos(angle) / zoom, -math.sin(angle + shear) / zoom
    d, e = math.sin(angle) / zoom, math.cos(angle + shear) / zoom
    x = width / 2 + random.uniform(-0.1, 0.1) * width
    y = height / 2 + random.uniform(-0.1, 0.1) * height
    matrix = (a, b, width / 2 - a * x - b * y, d, e, height / 2 - d * x - e * y)
    image = image.transform(image.size, Image.AFFINE, matrix, Image.BILINEAR)
    return image.transpose(Image.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def augmented_batches(image_files, labels, batch_size, target_size):
    """Yield (images, labels) drawn with replacement, for ever."""
    while True:
        chosen = np.random.randint(0, len(image_files), batch_size)
        images = []
        for index in chosen:
            with Image.open(image_files[index]) as image:
                augmented = augment(image.convert("RGB").resize(target_size, Image.BILINEAR))
            images.append(np.asarray(augmented, dtype=np.float32) / 255)
        yield np.stack(images), labels[chosen]


# ---- with fastfeed ----


def fast(image_files, labels, batch_size, target_size, **engine):
    """Give each worker a stream of its own, with a seed of its own, over all files."""
    return ff.parallel(augmented_batches, copies=True, **engine)(image_files, labels, batch_size, target_size)


def native(image_files, labels, batch_size, target_size, **engine):
    """Return a feed that draws without replacement, so that an epoch has every image once; ``repeat()`` runs on."""
    width, height = target_size
    return ff.images(
        image_files,
        transforms=[
            ff.Resize((height, width)),
            ff.RandomAffine(degrees=20, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=10),
            ff.RandomHorizontalFlip(),
        ],
        labels=labels,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        **engine,
    )
