"""A small network learns to tell discs from squares; the pictures are made first.

python -m examples.m_pytorch
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import fastfeed as ff
from examples.shapes import draw


def train(folder: Path, epochs: int = 6) -> list[float]:
    """Return the mean loss of each epoch."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 2),
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    transforms = [ff.RandomHorizontalFlip(), ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))]
    feed = ff.images(folder, 32, transforms=transforms, layout="NCHW", batch_size=16, shuffle=True)
    with feed.to_torch(device) as loader:
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
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), 100)
        for epoch, loss in enumerate(train(Path(name))):
            print(f"epoch {epoch}: loss {loss:.3f}")
