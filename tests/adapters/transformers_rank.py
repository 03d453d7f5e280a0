"""One rank of a program with a Trainer: trains on its shard, twice, the second time from a checkpoint of the first.

Prints the indices of each batch as a line of JSON, with the number of the run.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
import transformers

import fastfeed as ff


class Trainer(ff.transformers.TrainerMixin, transformers.Trainer):
    pass


class Model(torch.nn.Module):
    def __init__(self, run: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.run = run

    def forward(self, values: Any) -> dict[str, Any]:
        print(json.dumps([self.run, values.flatten().int().tolist()]), flush=True)
        return {"loss": self.layer(values).mean()}


def train(samples: int, run: int, folder: str, checkpoint: str | None = None) -> None:
    arguments = transformers.TrainingArguments(
        folder, num_train_epochs=2, save_steps=1, use_cpu=True, report_to=[], disable_tqdm=True
    )
    data = np.arange(samples, dtype=np.float32)[:, None]
    with ff.arrays(data, batch_size=4, shuffle=True, shard="auto", num_workers=1) as feed:
        Trainer(model=Model(run), args=arguments, train_dataset=feed).train(resume_from_checkpoint=checkpoint)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    train(**options, run=0)
    train(**options, run=1, checkpoint=f"{options['folder']}/checkpoint-2")
