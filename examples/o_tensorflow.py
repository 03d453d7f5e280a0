"""A small network learns to tell discs from squares in a loop of TensorFlow's; the pictures are made first.

python -m examples.o_tensorflow
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import tensorflow as tf

import fastfeed as ff
from examples.shapes import draw


class Network(tf.Module):
    """Two convolutions and a layer that is connected to all."""

    def __init__(self) -> None:
        random = tf.random.Generator.from_seed(0)

        def weights(*shape: int) -> tf.Variable:
            return tf.Variable(random.normal(shape, stddev=0.05))

        self.first, self.second, self.last = weights(5, 5, 3, 16), weights(5, 5, 16, 32), weights(32 * 4, 2)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        for kernel in (self.first, self.second):
            images = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "VALID"))
        return tf.reshape(tf.nn.max_pool2d(images, 2, 2, "VALID"), (-1, 32 * 4)) @ self.last


def train(folder: Path, epochs: int = 10) -> list[float]:
    """Return the mean loss of each epoch."""
    network = Network()
    speeds = [tf.Variable(tf.zeros_like(variable)) for variable in network.trainable_variables]

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(images))
            loss = tf.reduce_mean(each)
        variables = network.trainable_variables
        for variable, speed, slope in zip(variables, speeds, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.02 * speed.assign(0.9 * speed + slope))
        return loss

    transforms = [ff.RandomHorizontalFlip(), ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))]
    losses = []
    with ff.images(folder, 32, transforms=transforms, batch_size=16, shuffle=True) as feed:
        dataset = feed.to_tf()
        for _ in range(epochs):
            total = sum(float(step(images, labels)) for images, labels in dataset)
            losses.append(total / len(dataset))
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), 100)
        for epoch, loss in enumerate(train(Path(name))):
            print(f"epoch {epoch}: loss {loss:.3f}")
