"""A small network learns to tell discs from squares under Lightning, and goes on from a checkpoint in mid-epoch.

python -m examples.q_lightning
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import fastfeed as ff
from examples.shapes import draw


class Shapes(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, stride=2),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 5, stride=2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveMaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(128, 2),
        )
        self.losses: list[float] = []  # after each epoch, of validation

    def loss(self, batch: Any) -> torch.Tensor:
        images, labels = batch
        return torch.nn.functional.cross_entropy(self.network(images), labels)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("loss", self.loss(batch), batch_size=len(batch[1]))

    def on_validation_epoch_end(self) -> None:
        self.losses.append(self.trainer.callback_metrics["loss"].item())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 3e-3)


def train(pictures: Path, checkpoints: Path, epochs: int = 6) -> list[float]:
    """Return the loss of validation before and after each epoch; interrupted, and resumed, in the middle of one."""
    pl.seed_everything(0)
    training, validation = ff.files(pictures).split(0.8)
    options = {"layout": "NCHW", "batch_size": 16}
    scale = ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    losses = []
    # Lightning moves batches to its device by itself; to_torch("cuda") has them there one batch ahead.
    with (
        ff.images(training, 32, transforms=[ff.RandomHorizontalFlip(), scale], shuffle=True, **options) as feed,
        ff.images(validation, 32, transforms=[scale], **options) as others,
    ):
        for steps, resumed in ((25, None), (-1, checkpoints / "step=25.ckpt")):
            trainer = pl.Trainer(
                max_epochs=epochs,
                max_steps=steps,
                callbacks=[ModelCheckpoint(checkpoints, "{step}", every_n_train_steps=5, save_top_k=-1)],
                logger=False,
                log_every_n_steps=1,
                num_sanity_val_steps=0 if resumed else -1,  # -1: all of them, for the loss before
            )
            model = Shapes()
            trainer.fit(model, feed.to_torch(), others.to_torch(), ckpt_path=resumed)
            losses += model.losses
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as pictures, tempfile.TemporaryDirectory() as checkpoints:
        draw(Path(pictures), 100)
        for epoch, loss in enumerate(train(Path(pictures), Path(checkpoints))):
            print(f"after {epoch} epochs: loss {loss:.3f}")
