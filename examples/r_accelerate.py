"""A small network learns to tell discs from squares under Accelerate, and goes on from a checkpoint in mid-epoch.

accelerate launch --cpu --num_processes 2 -m examples.r_accelerate
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from accelerate import Accelerator

import fastfeed as ff
from examples.shapes import draw

EPOCHS = 8


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 2),
    )


def train(pictures: Path, checkpoint: Path, done: int = 0, until: int | None = None) -> list[float]:
    """Return the loss of each batch, from behind those that are done, and up to where a checkpoint is to be saved."""
    accelerator = Accelerator(gradient_accumulation_steps=2)
    model = network()
    model, optimizer = accelerator.prepare(model, torch.optim.Adam(model.parameters(), 5e-3))
    transforms = [ff.RandomHorizontalFlip(), ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))]
    shard = (accelerator.process_index, accelerator.num_processes)
    options = {"layout": "NCHW", "batch_size": 8, "shuffle": True, "shard": shard}
    losses: list[float] = []
    with ff.images(pictures, 32, transforms=transforms, **options) as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        if done:
            accelerator.load_state(str(checkpoint))
        for _ in range(done // len(loader), EPOCHS):
            for images, labels in loader:
                with accelerator.accumulate(model):
                    loss = torch.nn.functional.cross_entropy(model(images), labels)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                losses.append(accelerator.reduce(loss.detach(), "mean").item())
                if done + len(losses) == until:
                    accelerator.save_state(str(checkpoint))
                    return losses
    accelerator.end_training()
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as pictures, tempfile.TemporaryDirectory() as checkpoint:
        draw(Path(pictures), 100)
        losses = train(Path(pictures), Path(checkpoint), until=30)
        losses += train(Path(pictures), Path(checkpoint), done=30)
        for step in range(0, len(losses), 20):
            print(f"step {step}: loss {sum(losses[step : step + 20]) / len(losses[step : step + 20]):.3f}")
