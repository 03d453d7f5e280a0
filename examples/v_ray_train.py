"""Ray Train: each worker feeds its own shard, and goes on from a checkpoint, with as many workers as there are then.

python -m examples.v_ray_train

Needs ray[train] and torch.  Discs and squares once more; the run is cut in mid-epoch and goes on with one worker.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
from ray import train
from ray.train.torch import TorchTrainer, prepare_model

import fastfeed as ff
from examples.shapes import draw

SAVE_EVERY = 4  # steps


def loop(options: dict[str, Any]) -> None:
    """What each of Ray Train's workers runs."""
    context = train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    transforms = [ff.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))]
    plan = ff.images(
        options["folder"],
        24,
        transforms=transforms,
        layout="NCHW",
        batch_size=options["global_batch"] // world,
        shuffle=True,
        shard=(rank, world),
        num_workers=0,
    ).plan()
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(1600, 2)
    )
    with ff.ray.feed(plan, actors=1) as feed:
        checkpoint = train.get_checkpoint() or options["checkpoint"]  # after a failure Ray Train has a newer one
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                saved = torch.load(Path(folder, "saved.pt"))
            model.load_state_dict(saved["model"])
            feed.load_state_dict(saved["feed"])  # that of rank 0, which is right for all
        model = prepare_model(model)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        batches = itertools.chain.from_iterable(feed.to_torch() for _ in range(options["epochs"]))
        for step, (images, labels) in enumerate(batches, 1):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % SAVE_EVERY == 0:
                report(rank, model, feed, float(loss))
            if step == options["stop"]:
                return


def report(rank: int, model: Any, feed: Any, loss: float) -> None:
    """Save the model and where the feed stands, beside each other."""
    figures = {"loss": loss, "epoch": feed.state_dict()["epoch"]}
    if rank:
        train.report(figures)
        return
    with tempfile.TemporaryDirectory() as folder:
        bare = model.module if hasattr(model, "module") else model
        torch.save({"model": bare.state_dict(), "feed": feed.state_dict()}, Path(folder, "saved.pt"))
        train.report(figures, checkpoint=train.Checkpoint.from_directory(folder))


def run(folder: Path, workers: int, epochs: int, stop: int = 0, checkpoint: Any = None) -> Any:
    """Return what Ray Train says of a run; `stop` cuts it after so many steps."""
    options = {"folder": str(folder), "global_batch": 16, "epochs": epochs, "stop": stop, "checkpoint": checkpoint}
    return TorchTrainer(
        loop,
        train_loop_config=options,
        scaling_config=train.ScalingConfig(num_workers=workers),
        run_config=train.RunConfig(storage_path=str(folder.parent / "runs")),
    ).fit()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "shapes")
        folder.mkdir()
        draw(folder, 100)
        ray.init(num_cpus=4)  # two for the workers of Ray Train, two for the actors that feed them
        first = run(folder, 2, 6, stop=32)
        print("two workers:", first.metrics)
        print("one worker, from there:", run(folder, 1, 4, checkpoint=first.checkpoint).metrics)
        ray.shutdown()
