"""A small network learns to tell discs from squares, with pictures that Ray's actors prepare; they are drawn first.

python -m examples.u_ray

On a cluster, with the pictures under a path that all nodes see: ray.init(address="auto") before the feed is made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fastfeed as ff
from examples.shapes import draw

Array = NDArray[np.float32]


class Network:
    """Two layers, trained by plain gradient descent with momentum."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        random = np.random.default_rng(0)
        sizes = [(inputs, hidden), (hidden, classes)]
        self.weights = [random.normal(0, (2 / size[0]) ** 0.5, size).astype(np.float32) for size in sizes]
        self.speeds = [np.zeros(size, np.float32) for size in sizes]

    def step(self, x: Array, labels: NDArray[np.int64], rate: float = 0.005) -> float:
        """Return the loss of a batch, and learn from it."""
        hidden = np.maximum(x @ self.weights[0], 0)
        scores = hidden @ self.weights[1]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        rows = np.arange(len(x))
        loss = -np.log(shares[rows, labels] + 1e-9).mean()
        shares[rows, labels] -= 1
        slope = shares / len(x)
        slopes = [x.T @ ((slope @ self.weights[1].T) * (hidden > 0)), hidden.T @ slope]
        for layer, change in enumerate(slopes):
            self.speeds[layer] = 0.9 * self.speeds[layer] - rate * change
            self.weights[layer] += self.speeds[layer]
        return float(loss)


def train(folder: Path, epochs: int = 12) -> list[float]:
    """Return the mean loss of each epoch."""
    transforms = [ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))]
    plan = ff.images(folder, 12, transforms=transforms, batch_size=16, shuffle=True, num_workers=0).plan()
    network = Network(12 * 12 * 3, 128, 2)
    losses: list[float] = []
    with ff.ray.feed(plan, actors=2) as feed:
        for _ in range(epochs):
            total = 0.0
            for images, labels in feed:
                total += network.step(images.reshape(len(images), -1), labels)
            losses.append(total / len(feed))
        print(feed.stats().sentence)
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), 100)
        for epoch, loss in enumerate(train(Path(name))):
            print(f"epoch {epoch}: loss {loss:.3f}")
