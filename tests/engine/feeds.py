"""Feeds of a folder of pictures, and what they gave."""

from __future__ import annotations

import hashlib
from pathlib import Path

import fastfeed as ff


def feed_of(folder: Path, **options: object) -> ff.Feed:
    defaults: dict[str, object] = {"size": (24, 32), "batch_size": 8, "with_index": True, "num_workers": 2}
    return ff.images(folder, **{**defaults, "labels": None, **options})


def digests(feed: ff.Feed) -> list[tuple[tuple[int, ...], str]]:
    with feed:
        return [(tuple(index.tolist()), hashlib.sha256(images).hexdigest()) for images, index in feed]


RANDOM = (ff.RandomResizedCrop((24, 32)), ff.RandomHorizontalFlip())
