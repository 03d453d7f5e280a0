"""One rank of a Lightning program: trains on its shard, twice, the second time from a checkpoint of the first.

Prints the indices of each batch as a line of JSON, with the number of the run.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import fastfeed as ff

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])  # before Lightning's first run, which forgets them


class Model(pl.LightningModule):
    def __init__(self, run: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.run = run

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        print(json.dumps([self.run, batch.flatten().int().tolist()]), flush=True)
        return self.layer(batch).mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def train(samples: int, run: int, folder: str, checkpoint: str | None = None) -> None:
    data = np.arange(samples, dtype=np.float32)[:, None]
    with ff.arrays(data, batch_size=4, shuffle=True, shard=(RANK, WORLD), num_workers=1) as feed:
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=WORLD,
            strategy="ddp",
            max_epochs=2,
            callbacks=[ModelCheckpoint(f"{folder}/{run}", "{step}", every_n_train_steps=1, save_top_k=-1)],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Model(run), feed.to_torch(), ckpt_path=checkpoint)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    train(**options, run=0)
    train(**options, run=1, checkpoint=f"{options['folder']}/0/step=2.ckpt")
