"""Images, texts and numbers from three files, batched together by a collate function."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

import fastfeed as ff


def read(folder):
    """Return the lines of images.txt and texts.txt, and the numbers of numbers.csv, one entry a sample."""
    with open(os.path.join(folder, "images.txt"), encoding="utf-8") as file:
        image_files = [os.path.join(folder, line) for line in file.read().splitlines()]
    with open(os.path.join(folder, "texts.txt"), encoding="utf-8") as file:
        texts = file.read().splitlines()
    numbers = np.loadtxt(os.path.join(folder, "numbers.csv"), delimiter=",", ndmin=2)
    return image_files, texts, numbers


def load_sample(image_file, text, numbers, target_size):
    """Return one sample as a dict."""
    with Image.open(image_file) as image:
        pixels = np.asarray(image.convert("RGB").resize(target_size, Image.BILINEAR), dtype=np.float32) / 255
    return {"image": pixels, "words": text.split(), "numbers": numbers}


def collate(samples):
    """Make a batch of samples; the words are padded with "" to the longest text."""
    longest = max(len(sample["words"]) for sample in samples)
    return {
        "image": np.stack([sample["image"] for sample in samples]),
        "words": np.array([sample["words"] + [""] * (longest - len(sample["words"])) for sample in samples]),
        "numbers": np.stack([sample["numbers"] for sample in samples]),
    }


def collated_batches(image_files, texts, numbers, batch_size, target_size):
    """Yield what `collate` makes of every `batch_size` samples."""
    samples = []
    for entry in zip(image_files, texts, numbers, strict=True):
        samples.append(load_sample(*entry, target_size))
        if len(samples) == batch_size:
            yield collate(samples)
            samples = []
    if samples:
        yield collate(samples)


# ---- with fastfeed ----


def fast(image_files, texts, numbers, batch_size, target_size, **engine):
    """Cut the three alike, one batch a run: the very same stream."""
    run = ff.parallel(collated_batches, split=("image_files", "texts", "numbers"), split_size=batch_size, **engine)
    return run(image_files, texts, numbers, batch_size, target_size)


def mapped(image_files, texts, numbers, batch_size, target_size, **engine):
    """Keep the two functions and drop the loop; `collate` runs in the workers, too."""

    def sample(entry):
        return load_sample(*entry, target_size)

    entries = list(zip(image_files, texts, numbers, strict=True))
    return ff.map(sample, entries, batch_size=batch_size, collate=collate, **engine)


def native(image_files, texts, numbers, batch_size, target_size, **engine):
    """Return a feed of (images, {"words": list, "numbers": array})."""
    width, height = target_size
    labels = {"words": [text.split() for text in texts], "numbers": numbers}
    return ff.images(image_files, (height, width), labels=labels, batch_size=batch_size, **engine)
