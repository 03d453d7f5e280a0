"""Print what a feed's batches cost as tensors on a GPU, beside the bare feed, torch's own pinning and its DataLoader.

    python bench/table_torch.py [PHOTOS]

Needs PyTorch with a GPU.  Every side of a part runs in turn, several rounds in one process; a row is the median of its
rate over the first side's of the same round.  The batches are summed on the GPU, and the sums compared with the host's.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sides import BATCH, SIZE, Loop, entered, measure, photographs, ready_made

import fastfeed as ff
from fastfeed.machine import available_cpus


class Ready(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Whole batches of an array, for DataLoader with batch_size=None."""

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data) // BATCH

    def __getitem__(self, k: int) -> torch.Tensor:
        return torch.from_numpy(self.data[k * BATCH : (k + 1) * BATCH].copy())


def moving(stack: ExitStack, workers: int) -> dict[str, Loop]:
    """Batches that need no work."""
    data = ready_made()
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


def decoding(stack: ExitStack, workers: int, folder: str) -> dict[str, Loop]:
    """Photographs."""
    bare = photographs(stack, folder, num_workers=workers)
    loader = photographs(stack, folder, num_workers=workers).to_torch("cuda")
    return {"feed alone, on the host": lambda: iter(bare), "feed.to_torch('cuda')": lambda: iter(loader)}


def total(batch: Any) -> torch.Tensor:
    """Add up a batch where it is."""
    tensor = torch.as_tensor(batch)
    # Work of its own between the copies, so that memory that is given away too early is written to.
    if tensor.is_cuda:
        torch.empty_like(tensor).fill_(float("nan"))
    return tensor.double().sum()


def finish(batch: Any) -> None:
    torch.cuda.synchronize()


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
        measure(moving(stack, options.workers), total, finish)
    if options.photos:
        with ExitStack() as stack:
            print(f"photographs, {options.workers} workers")
            measure(decoding(stack, options.workers, options.photos), total, finish)


if __name__ == "__main__":
    main()
