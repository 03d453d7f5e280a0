"""A small network learns to tell discs from squares by a Trainer, and goes on from a checkpoint in mid-epoch.

python -m examples.s_transformers
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import transformers

import fastfeed as ff
from examples.shapes import draw


class Trainer(ff.transformers.TrainerMixin, transformers.Trainer):
    pass


def network() -> transformers.PreTrainedModel:
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=2
    )
    return transformers.ResNetForImageClassification(config)


def train(pictures: Path, checkpoints: Path, epochs: int = 8) -> list[float]:
    """Return the loss of validation after each epoch; interrupted, and resumed, in the middle of one."""
    training, validation = ff.files(pictures).split(0.8)
    scale = ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    options: dict[str, Any] = {"layout": "NCHW", "batch_size": 16}
    # Pairs of images and labels become the model's pixel_values and labels.
    with (
        ff.images(training, 32, transforms=[ff.RandomHorizontalFlip(), scale], shuffle=True, **options) as feed,
        ff.images(validation, 32, transforms=[scale], **options) as others,
    ):

        def trainer(**more: Any) -> Trainer:
            transformers.set_seed(0)
            arguments = transformers.TrainingArguments(
                str(checkpoints),
                num_train_epochs=epochs,
                learning_rate=5e-3,
                per_device_train_batch_size=16,  # for what the Trainer writes; batches have the feed's size
                per_device_eval_batch_size=16,
                eval_strategy="epoch",
                save_steps=25,
                report_to=[],
                **more,
            )
            return Trainer(model=network(), args=arguments, train_dataset=feed, eval_dataset=others)

        trainer(max_steps=25).train()
        resumed = trainer()
        resumed.train(resume_from_checkpoint=str(checkpoints / "checkpoint-25"))
    return [entry["eval_loss"] for entry in resumed.state.log_history if "eval_loss" in entry]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as pictures, tempfile.TemporaryDirectory() as checkpoints:
        draw(Path(pictures), 100)
        for epoch, loss in enumerate(train(Path(pictures), Path(checkpoints)), 1):
            print(f"after {epoch} epochs: loss {loss:.3f}")
