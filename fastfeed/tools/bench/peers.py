"""What people feed a model with today, written as they write it: a generator, Pool.map, PyTorch's DataLoader.

All do the same work as the feed, with PIL and NumPy: the whole frame (or a random crop of it) to the size wanted,
antialiased bilinear; flipped at random; normalised; float32; batches in a new random order every epoch.  Each iterator
here runs on for ever.  Nothing of fastfeed's own is used, so any interpreter that has PIL and NumPy can run a peer.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_SCALE = np.array([1 / (255 * std) for std in STD], dtype=np.float32)
_BIAS = np.array([-mean / std for mean, std in zip(MEAN, STD, strict=True)], dtype=np.float32)


@dataclass(frozen=True)
class Workload:
    """What every side does with the files."""

    paths: list[str] = field(repr=False)
    size: int = 224
    batch_size: int = 64
    workers: int = 1
    crop: bool = False
    """A random resized crop in place of the whole frame."""


def prepare(path: str, work: Workload, *, chance: bool = True) -> NDArray[np.float32]:
    """Read one file into a normalised image, float32, size x size x 3; without chance, neither cropped nor flipped."""
    image_module = importlib.import_module("PIL.Image")
    with image_module.open(path) as image:
        rgb = image.convert("RGB")
    box = random_box(rgb.size) if work.crop and chance else None
    small = np.asarray(rgb.resize((work.size, work.size), image_module.BILINEAR, box), dtype=np.float32)
    if chance and random.random() < 0.5:
        small = small[:, ::-1]
    result: NDArray[np.float32] = small * _SCALE + _BIAS
    return result


def random_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Draw a crop of 8% to 100% of the area with sides from 3:4 to 4:3, as torchvision's RandomResizedCrop does."""
    width, height = size
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        over, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < over <= width and 0 < down <= height:
            left, top = random.randint(0, width - over), random.randint(0, height - down)
            return left, top, left + over, top + down
    return 0, 0, width, height


def generator(work: Workload) -> Iterator[Any]:
    """Yield batches made one image after the other in this process."""
    for names in _batches(work):
        yield np.stack([prepare(path, work) for path in names])


def pool(work: Workload) -> Iterator[Any]:
    """Yield batches whose images come from multiprocessing.Pool.map."""
    with multiprocessing.Pool(work.workers) as workers:
        for names in _batches(work):
            yield np.stack(workers.map(partial(prepare, work=work), names))


def dataloader(work: Workload) -> Iterator[Any]:
    """Yield batches of PyTorch's DataLoader, with its workers kept between epochs."""
    torch_data = importlib.import_module("torch.utils.data")
    loader = torch_data.DataLoader(
        _Dataset(work),
        batch_size=work.batch_size,
        shuffle=True,
        num_workers=work.workers,
        drop_last=True,
        persistent_workers=True,
    )
    while True:
        yield from loader


def parked(name: str, work: Workload) -> int:
    """Count the batches that a side may have ready when nobody has asked for a while."""
    return {"generator": 0, "pool": 0, "dataloader": 2 * work.workers}[name]


class _Dataset:
    """A map-style dataset; PyTorch asks no more of one than these two methods."""

    def __init__(self, work: Workload) -> None:
        self.work = work

    def __len__(self) -> int:
        return len(self.work.paths)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        return prepare(self.work.paths[index], self.work)


def _batches(work: Workload) -> Iterator[list[str]]:
    names = list(work.paths)
    while True:
        random.shuffle(names)
        for start in range(0, len(names) - work.batch_size + 1, work.batch_size):
            yield names[start : start + work.batch_size]
