"""`zip` of an image generator and a text generator, where one corrupt image shifts all pairs behind it."""

from __future__ import annotations

import numpy as np
from PIL import Image

import fastfeed as ff


def image_stream(image_files, target_size):
    """Yield images one by one; a file that cannot be read is left out."""
    for path in image_files:
        try:
            with Image.open(path) as image:
                yield np.asarray(image.convert("RGB").resize(target_size, Image.BILINEAR), dtype=np.float32) / 255
        except OSError:
            continue


def text_stream(texts):
    """Yield texts one by one."""
    yield from texts


def pair_batches(image_files, texts, batch_size, target_size):
    """Yield (images, texts).  Behind a corrupt image every image has the text of the one before it."""
    images, lines = [], []
    for image, text in zip(image_stream(image_files, target_size), text_stream(texts), strict=False):
        images.append(image)
        lines.append(text)
        if len(images) == batch_size:
            yield np.stack(images), lines
            images, lines = [], []
    if images:
        yield np.stack(images), lines


# ---- with fastfeed ----


def fast(image_files, texts, batch_size, target_size, **engine):
    """Make a pair the item, so that it is left out as a whole; ``feed.errors`` says which and why."""

    def pair(files):
        path, text = files
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize(target_size, Image.BILINEAR), dtype=np.float32) / 255
        return pixels, text

    pairs = list(zip(image_files, texts, strict=True))
    return ff.map(pair, pairs, batch_size=batch_size, on_error="skip", **engine)


def native(image_files, texts, batch_size, target_size, **engine):
    """Make the texts the labels: a label goes where its image goes."""
    width, height = target_size
    return ff.images(image_files, (height, width), labels=texts, batch_size=batch_size, on_error="skip", **engine)
