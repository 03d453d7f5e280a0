"""A small network learns to tell discs from squares; the pictures are made first.

python examples/m_pytorch.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

import fastfeed as ff


def draw(folder: Path, count: int) -> None:
    """Draw `count` pictures each of discs and squares, in a folder for each class."""
    random = np.random.default_rng(0)
    for shape in ("disc", "square"):
        (folder / shape).mkdir()
        for number in range(count):
            image = Image.new("RGB", (48, 48), tuple(random.integers(0, 80, 3)))
            left, top, side = *random.integers(2, 20, 2), random.integers(12, 26)
            outline = (left, top, left + side, top + side)
            colour = tuple(random.integers(140, 256, 3))
            pen = ImageDraw.Draw(image)
            pen.ellipse(outline, fill=colour) if shape == "disc" else pen.rectangle(outline, fill=colour)
            image.save(folder / shape / f"{number}.jpg")


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
