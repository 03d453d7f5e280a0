"""A small network learns to tell discs from squares, on all devices that JAX sees; the pictures are made first.

python -m examples.p_jax
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.example_libraries.optimizers import adam
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fastfeed as ff
from examples.shapes import draw

begin, updated, weights_of = adam(3e-3)


def initial() -> dict[str, jax.Array]:
    """Return the weights of two convolutions and a matrix."""
    sizes = {"first": (5, 5, 3, 16), "second": (5, 5, 16, 32), "last": (128, 2)}
    keys = jax.random.split(jax.random.key(0), len(sizes))
    return {
        name: jax.random.normal(key, size) * (2 / np.prod(size[:-1])) ** 0.5
        for key, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def loss_of(weights: dict[str, jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of a batch."""
    for name in ("first", "second"):
        images = jax.lax.conv_general_dilated(
            images, weights[name], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        images = jax.nn.relu(images)
    # The largest value of each quarter: 5 x 5 places, of which the one in the middle belongs to all of them.
    quarters = [images[:, top : top + 3, left : left + 3].max((1, 2)) for top in (0, 2) for left in (0, 2)]
    scores = jax.nn.log_softmax(jnp.concatenate(quarters, 1) @ weights["last"])
    return -jnp.take_along_axis(scores, labels[:, None], 1).mean()


@jax.jit
def step(number: int, state: Any, images: jax.Array, labels: jax.Array) -> tuple[Any, jax.Array]:
    """Return the optimizer's new state, and the loss."""
    loss, slopes = jax.value_and_grad(loss_of)(weights_of(state), images, labels)
    return updated(number, slopes, state), loss


def train(folder: Path, epochs: int = 6) -> list[float]:
    """Return the mean loss of each epoch."""
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    state = jax.device_put(begin(initial()), NamedSharding(mesh, PartitionSpec()))
    losses: list[float] = []
    transforms = [ff.RandomHorizontalFlip(), ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))]
    feed = ff.images(folder, 32, transforms=transforms, batch_size=16, shuffle=True, drop_last=True)
    with feed.to_jax(NamedSharding(mesh, PartitionSpec("batch"))) as loader:
        for epoch in range(epochs):
            total = 0.0
            for number, (images, labels) in enumerate(loader, epoch * len(loader)):
                state, loss = step(number, state, images, labels)
                total += float(loss)
            losses.append(total / len(loader))
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), 100)
        for epoch, loss in enumerate(train(Path(name))):
            print(f"epoch {epoch}: loss {loss:.3f}")
