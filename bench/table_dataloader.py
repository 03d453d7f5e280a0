"""Print what PyTorch's DataLoader and fastfeed.torch.DataLoader deliver with the same arguments.

    python bench/table_dataloader.py [PHOTOS]

Needs PyTorch and torchvision.  Photographs (PHOTOS, or those that `fastfeed bench` makes) are an ImageFolder, cropped
at random, resized to 224 x 224, mirrored and normalised; tensors that are there need no work, so that moving them is
all.  Every side of a part runs an epoch in turn, several rounds in one process; its ratio is the median over the rounds
of its rate over PyTorch's.  Workers persist, and the first epoch, which starts them, is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torchvision import transforms as T  # noqa: N812

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.machine import available_cpus
from fastfeed.tools.bench import photos

BATCH, SIZE, ROUNDS = 64, 224, 5
Make = Callable[..., Iterable[Any]]
TRANSFORM = T.Compose(
    [
        T.RandomResizedCrop(SIZE),
        T.RandomHorizontalFlip(),
        T.ToTensor(),
        T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


class Ready(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Tensors that are there."""

    def __init__(self, count: int) -> None:
        self.images = torch.rand(BATCH, 3, SIZE, SIZE)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index % BATCH], index


def measure(sides: dict[str, Make], dataset: Any, workers: int) -> None:
    """Print the rates of the sides, and their ratios to the first."""
    options = {"batch_size": BATCH, "shuffle": True, "num_workers": workers, "persistent_workers": True}
    loaders = {name: make(dataset, **options) for name, make in sides.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for round_number in range(1 + ROUNDS):
        for name, loader in loaders.items():
            started, samples = time.perf_counter(), 0
            for images, _ in loader:
                samples += len(images)
            if round_number:
                rates[name].append(samples / (time.perf_counter() - started))
    first = next(iter(rates.values()))
    for name, found in rates.items():
        ratios = sorted(a / b for a, b in zip(found, first, strict=True))
        spread = f"x{statistics.median(ratios):5.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"  {name:42} {statistics.median(found):8.0f} images/s  {spread}", flush=True)


def as_classes(folder: Path, count: int) -> str:
    """Return a folder with one class, of links to photographs, each as often as it takes."""
    files = sorted(folder.rglob("*.jp*g"))
    (root := Path(tempfile.mkdtemp()) / "all").mkdir()
    for number in range(count):
        (root / f"{number:05}.jpg").symlink_to(files[number % len(files)].resolve())
    return str(root.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", help="folder of JPEG files")
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--images", type=int, default=1280)
    options = parser.parse_args()
    print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}, {available_cpus()} processors")
    folder = Path(options.photos) if options.photos else Path(photos.photographs()[0]).parent
    theirs, ours = torch.utils.data.DataLoader, ff.torch.DataLoader
    print(f"an ImageFolder of photographs, {options.workers} workers")
    sides: dict[str, Make] = {
        "torch.utils.data.DataLoader": theirs,
        "fastfeed.torch.DataLoader, native": lambda *args, **more: ours(*args, **more, native=True),
        "fastfeed.torch.DataLoader, native=False": lambda *args, **more: ours(*args, **more, native=False),
    }
    measure(sides, torchvision.datasets.ImageFolder(as_classes(folder, options.images), TRANSFORM), options.workers)
    print(f"tensors that are there, {options.workers} workers")
    del sides["fastfeed.torch.DataLoader, native"]
    measure(sides, Ready(options.images), options.workers)


if __name__ == "__main__":
    main()
