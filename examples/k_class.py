"""A class with a training and a test generator over images and texts, split 80:20."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

import fastfeed as ff


class Captions:
    """Images with their captions, divided into 80 % for training and 20 % for testing."""

    def __init__(self, image_files, captions, batch_size, target_size):
        self.image_files = image_files
        self.captions = captions
        self.batch_size = batch_size
        self.target_size = target_size
        indices = list(range(len(image_files)))
        random.Random(1).shuffle(indices)
        cut = int(0.8 * len(indices))
        self.train_indices, self.test_indices = indices[:cut], indices[cut:]

    def batches(self, indices):
        """Yield {"image": array, "caption": list} over the given samples."""
        for start in range(0, len(indices), self.batch_size):
            chosen = indices[start : start + self.batch_size]
            yield {
                "image": np.stack([self.load(index) for index in chosen]),
                "caption": [self.captions[index] for index in chosen],
            }

    def load(self, index):
        """Return one image as float32 in 0..1."""
        with Image.open(self.image_files[index]) as image:
            return np.asarray(image.convert("RGB").resize(self.target_size, Image.BILINEAR), dtype=np.float32) / 255

    def train_generator(self):
        """Yield the batches for training, for ever."""
        while True:
            yield from self.batches(random.sample(self.train_indices, len(self.train_indices)))

    def test_generator(self):
        """Yield the batches for testing, once."""
        yield from self.batches(self.test_indices)


# ---- with fastfeed ----


def fast(data, **engine):
    """Return a training feed that never ends and a test feed, from the methods of an object.

    Training has one stream per worker, each over all samples in an order of its own.  The test batches are cut by
    their indices, so they are those of `test_generator`, in its order.
    """
    training = ff.parallel(data.train_generator, copies=True, **engine)()
    testing = ff.parallel(data.batches, split="indices", split_size=data.batch_size, **engine)(data.test_indices)
    return training, testing


def native(image_files, captions, batch_size, target_size, **engine):
    """Return a training and a test feed of (images, captions); training shuffles afresh each epoch."""
    width, height = target_size
    train, test = ff.files(image_files, labels=captions).split(0.8, seed=1)
    return (
        ff.images(train, (height, width), batch_size=batch_size, shuffle=True, **engine),
        ff.images(test, (height, width), batch_size=batch_size, **engine),
    )
