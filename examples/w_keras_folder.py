"""A program with Keras' ImageDataGenerator, moved: discs and squares are told apart; the pictures are made first.

It had ``generator = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True, validation_split=0.2)``, and called
``generator.flow_from_directory`` twice.

KERAS_BACKEND=torch python -m examples.w_keras_folder
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from examples.n_keras import network
from examples.shapes import draw
from fastfeed.keras import flow_from_directory


def train(folder: Path, epochs: int = 10) -> dict[str, list[float]]:
    """Return what `fit` has noted for each epoch: loss, val_loss, accuracy, val_accuracy."""
    flow = partial(flow_from_directory, folder, (32, 32), class_mode="sparse", batch_size=16, validation_split=0.2)
    with (
        flow(subset="training", rescale=1 / 255, horizontal_flip=True) as data,
        flow(subset="validation", rescale=1 / 255, shuffle=False) as validation,
    ):
        return network().fit(data, validation_data=validation, epochs=epochs, verbose=0).history


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), 100)
        history = train(Path(name))
        for epoch, (loss, accuracy) in enumerate(zip(history["loss"], history["val_accuracy"], strict=True)):
            print(f"epoch {epoch}: loss {loss:.3f}, accuracy on the other pictures {accuracy:.2f}")
