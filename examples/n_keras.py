"""A small network of Keras' learns to tell discs from squares; the pictures are made first.

KERAS_BACKEND=torch python -m examples.n_keras
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras

import fastfeed as ff
from examples.shapes import draw


def network() -> keras.Model:
    """Return a model of small pictures, for two classes."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 5, activation="relu"),
            keras.layers.MaxPooling2D(5),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    return model


def train(folder: Path, epochs: int = 10) -> dict[str, list[float]]:
    """Return what `fit` has noted for each epoch: loss, val_loss, accuracy, val_accuracy."""
    normalize = ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    flips = [ff.RandomHorizontalFlip(), normalize]
    train, test = ff.files(folder).split(0.8)
    with (
        ff.images(train, 32, transforms=flips, batch_size=16, shuffle=True).to_keras() as data,
        ff.images(test, 32, transforms=[normalize], batch_size=16).to_keras() as validation,
    ):
        history = network().fit(data, validation_data=validation, epochs=epochs, verbose=0)
    return history.history


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), 100)
        history = train(Path(name))
        for epoch, (loss, accuracy) in enumerate(zip(history["loss"], history["val_accuracy"], strict=True)):
            print(f"epoch {epoch}: loss {loss:.3f}, accuracy on the other pictures {accuracy:.2f}")
