"""Print what a feed's batches cost as tensors on a GPU, beside the bare feed, torch's own pinning and its DataLoader.

    python bench/table_torch.py [PHOTOS]

Needs PyTorch with a GPU.  Every side of a part runs in turn, several rounds in one process; a row is the median of its
rate over the first side's of the same round.  The batches are summed on the GPU, and the sums compared with the host's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fastfeed as ff
from fastfeed.machine import available_cpus

BATCH, SIZE, BATCHES, ROUNDS = 64, 224, 40, 5
Loop = Callable[[], Iterator[Any]]


class Ready(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Whole batches of an array, for DataLoader with batch_size=None."""

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data) // BATCH

    def __getitem__(self, k: int) -> torch.Tensor:
        return torch.from_numpy(self.data[k * BATCH : (k + 1) * BATCH].copy())


def ready_made(stack: ExitStack, workers: int) -> dict[str, Loop]:
    """Batches that need no work: what is left is moving bytes."""
    data = np.random.default_rng(0).random((BATCH * BATCHES, 3, SIZE, SIZE), np.float32)
    bare = entered(stack, ff.arrays(data, batch_size=BATCH, num_workers=workers))
    moved = entered(stack, ff.arrays(data, batch_size=BATCH, num_workers=workers)).to_torch("cuda")
    copied = entered(stack, ff.arrays(data, batch_size=BATCH, num_workers=workers)).to_torch()
    plain = entered(stack, ff.arrays(data, batch_size=BATCH, num_workers=workers)).to_torch()
    loader = torch.utils.data.DataLoader(
        Ready(data), batch_size=None, num_workers=workers, pin_memory=True, persistent_workers=True
    )
    return {
        "feed alone, on the host": lambda: iter(bare),
        "feed.to_torch('cuda')": lambda: iter(moved),
        "tensor.pin_memory().to('cuda')": lambda: (b.pin_memory().to("cuda", non_blocking=True) for b in copied),
        "tensor.to('cuda')": lambda: (b.to("cuda") for b in plain),
        "DataLoader(pin_memory=True)": lambda: (b.to("cuda", non_blocking=True) for b in loader),
    }


def photographs(stack: ExitStack, workers: int, folder: str) -> dict[str, Loop]:
    """W1: JPEG files to 224 x 224, normalised."""
    files = sorted(str(path) for path in Path(folder).rglob("*.jp*g"))
    files = (files * (-(-BATCH * BATCHES // len(files))))[: BATCH * BATCHES]
    options = {"size": SIZE, "batch_size": BATCH, "layout": "NCHW", "num_workers": workers}
    bare = entered(stack, ff.images(files, **options))
    moved = entered(stack, ff.images(files, **options)).to_torch("cuda")
    return {"feed alone, on the host": lambda: iter(bare), "feed.to_torch('cuda')": lambda: iter(moved)}


def entered(stack: ExitStack, feed: AbstractContextManager[ff.Feed]) -> ff.Feed:
    return stack.enter_context(feed)


def sums(loop: Loop) -> list[float]:
    """What the batches hold: a few numbers each, added up where they are."""
    made = []
    for batch in loop():
        tensor = torch.as_tensor(batch)
        # Work of its own between the copies, so that memory that is given away too early is written to.
        if tensor.is_cuda:
            torch.empty_like(tensor).fill_(float("nan"))
        made.append(tensor.double().sum())
    return [round(float(value), 3) for value in made]


def rate(loop: Loop) -> float:
    """Samples a second, until everything is on the device."""
    started, samples = time.perf_counter(), 0
    for batch in loop():
        samples += len(batch)
    torch.cuda.synchronize()
    return samples / (time.perf_counter() - started)


def measure(sides: dict[str, Loop]) -> None:
    """Print the rates of a part, over those of its first side."""
    wanted, *others = (sums(loop) for loop in sides.values())
    right = [all(abs(a - b) <= 1e-6 * abs(a) for a, b in zip(wanted, other, strict=True)) for other in others]
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, loop in sides.items():
            rates[name].append(rate(loop))
    first = next(iter(rates.values()))
    for name, same in zip(rates, [True, *right], strict=True):
        ratio = statistics.median(a / b for a, b in zip(rates[name], first, strict=True))
        gigabytes = statistics.median(rates[name]) * 3 * SIZE * SIZE * 4 / 1e9
        print(f"  {name:34} {statistics.median(rates[name]):9.0f}/s {gigabytes:6.2f} GB/s  x{ratio:5.3f}  same: {same}")


def locked() -> None:
    """How long it takes to lock a ring's pages, and whether PyTorch sees that they are."""
    data = np.zeros((BATCH * 8, 3, SIZE, SIZE), np.float32)
    with ff.arrays(data, batch_size=BATCH, num_workers=2) as feed, feed.to_torch(pin_memory=True) as loader:
        next(iter(feed))
        memory = feed.shared_memory()
        assert memory is not None
        started = time.perf_counter()
        tensor = next(iter(loader))
        took = time.perf_counter() - started
        print(f"  ring of {memory.nbytes / 1e6:.0f} MB: is_pinned {tensor.is_pinned()}, first batch in {took:.3f} s")
        del memory, tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", help="folder of JPEG files")
    parser.add_argument("--workers", type=int, default=available_cpus() // 2)
    options = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {available_cpus()} processors")
    torch.zeros(1, device="cuda")
    locked()
    with ExitStack() as stack:
        print(f"ready-made float32 batches, {options.workers} workers")
        measure(ready_made(stack, options.workers))
    if options.photos:
        with ExitStack() as stack:
            print(f"photographs, {options.workers} workers")
            measure(photographs(stack, options.workers, options.photos))


if __name__ == "__main__":
    main()
