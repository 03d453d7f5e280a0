"""A PyTorch program, moved to fastfeed by one line: a small network learns to tell discs from squares.

python examples/t_dataloader.py
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

from fastfeed.torch import DataLoader  # it was: from torch.utils.data import DataLoader


class Shapes(Dataset):  # type: ignore[type-arg]
    """Pictures of discs and squares, each drawn when it is asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        random, label = np.random.default_rng(index), index % 2
        image = Image.new("RGB", (48, 48), tuple(random.integers(0, 80, 3)))
        left, top, side = *random.integers(2, 20, 2), random.integers(12, 26)
        pen = ImageDraw.Draw(image)
        draw = pen.ellipse if label else pen.rectangle
        draw((left, top, left + side, top + side), fill=tuple(random.integers(140, 256, 3)))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255, label


def train(epochs: int = 6, workers: int = 2) -> list[float]:
    """Return the mean loss of each epoch."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    with DataLoader(Shapes(200), batch_size=16, shuffle=True, num_workers=workers) as loader:
        for _ in range(epochs):
            total = 0.0
            for images, labels in loader:
                loss = torch.nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
            losses.append(total / len(loader))
    return losses


if __name__ == "__main__":
    for epoch, loss in enumerate(train()):
        print(f"epoch {epoch}: loss {loss:.3f}")
