"""Hugging Face Transformers: a ``Trainer`` that takes feeds as its data sets.

    train_dataset=feed --get_train_dataloader--> TrainerFeed --dicts--> the model's arguments
                                                      |
    trainer_state.json <--PositionCallback-- where the loop stands

The Trainer makes a ``DataLoader`` of whatever it is given, and goes on from a checkpoint by making all earlier batches
of the epoch again.  Here a feed is the loader itself, and goes on by its own state, which the Trainer keeps in its
checkpoints.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from fastfeed.adapters.accelerate import AcceleratedFeed
from fastfeed.engine.feed import Feed
from fastfeed.errors import ConfigError

try:
    from transformers import TrainerCallback
    from transformers.trainer_callback import ExportableState
except ImportError as error:
    raise ImportError(
        "fastfeed.transformers needs Transformers, which cannot be imported here: pip install transformers accelerate"
    ) from error


class TrainerMixin:
    """What lets a ``Trainer`` take feeds; put it before the class that you use.

    >>> class Trainer(fastfeed.transformers.TrainerMixin, transformers.Trainer): ...

    A feed is then passed as `train_dataset` or `eval_dataset`, alone or in a dict of several, or to ``evaluate`` and
    ``predict``.  Whatever is no feed goes the Trainer's usual way.

    Batches have the feed's size.  Dicts are passed to the model as they are; an array or a pair, as `fastfeed.images`
    yields them, is the model's main input and its labels.

    Training goes on from a checkpoint where that was saved, also in the middle of an epoch, and makes no batch again.
    """

    args: Any
    accelerator: Any
    train_dataset: Any
    eval_dataset: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_callback(PositionCallback())  # type: ignore[attr-defined]

    def get_train_dataloader(self) -> Any:
        """The feed that is the `train_dataset`, as a loader; else the Trainer's."""
        if not isinstance(self.train_dataset, Feed):
            return super().get_train_dataloader()  # type: ignore[misc]
        return TrainerFeed(self.train_dataset, self)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """A feed as a loader: what is passed, or named, or the `eval_dataset`; else the Trainer's."""
        named = self.eval_dataset[eval_dataset] if isinstance(eval_dataset, str) else eval_dataset
        feed = self.eval_dataset if named is None else named
        return TrainerFeed(feed, self) if isinstance(feed, Feed) else super().get_eval_dataloader(eval_dataset)  # type: ignore[misc]

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        """A feed as a loader; else the Trainer's."""
        if not isinstance(test_dataset, Feed):
            return super().get_test_dataloader(test_dataset)  # type: ignore[misc]
        return TrainerFeed(test_dataset, self)


class TrainerFeed(AcceleratedFeed):
    """A feed as the Trainer's loops know their loaders, its batches the model's arguments by name.

    Parameters
    ----------
    feed : Feed
        What to feed.
    trainer : transformers.Trainer
        Says how many batches it takes at once, and what its model's arguments are.

    Attributes
    ----------
    passed : int
        Batches of the epoch that a loaded state lies behind.
    """

    # What accelerate.skip_first_batches reads, which the Trainer calls to go on from a checkpoint.
    batch_size = prefetch_factor = None
    drop_last = False

    def __init__(self, feed: Feed, trainer: Any) -> None:
        super().__init__(feed, trainer.accelerator)
        # The Trainer takes the batches of a step together, while it still has those of the step before.
        feed.reserve(2 * trainer.args.gradient_accumulation_steps)
        self._trainer = trainer
        self.passed = 0

    @staticmethod
    def collate_fn(batch: Any) -> Any:
        """Batches stay what they are."""
        return batch

    @property
    def dataset(self) -> ResumedEpoch:
        """What the Trainer skips batches of."""
        return ResumedEpoch(self)

    def __iter__(self) -> Iterator[Any]:
        self.passed = 0
        checked = False
        for batch in super().__iter__():
            inputs = self._inputs(batch)
            if not checked:
                self._check(inputs)
                checked = True
            yield inputs
            del batch, inputs

    def _inputs(self, batch: Any) -> Mapping[str, Any]:
        if isinstance(batch, Mapping):
            return batch
        both = batch if isinstance(batch, tuple | list) else (batch,)
        if 1 <= len(both) <= 2 and isinstance(both[0], torch.Tensor):
            labels = both[1] if len(both) == 2 else {}
            main = getattr(self._trainer.model, "main_input_name", None) or self._arguments()[0]
            if isinstance(labels, torch.Tensor):
                labels = {(self._trainer.label_names or ["labels"])[0]: labels}
            if isinstance(labels, Mapping):
                return {main: both[0], **labels}
        kinds = ", ".join(type(each).__name__ for each in both)
        raise ConfigError(
            f"a batch of this feed is ({kinds}), and the Trainer passes batches to the model by name: yield dicts "
            f"whose keys are arguments of {self._forward()}, or pairs of its main input and its labels"
        )

    def _check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what the model would not take."""
        arguments = self._arguments()
        unknown = [name for name in inputs if name not in arguments]
        if unknown and self._trainer.args.remove_unused_columns:
            raise ConfigError(
                f"batches of this feed have {', '.join(map(repr, unknown))}, which {self._forward()} does not take; it "
                f"takes {', '.join(arguments)}: name them so, leave them out, or pass "
                f"TrainingArguments(remove_unused_columns=False) if the model can do with them all the same"
            )

    def _arguments(self) -> list[str]:
        model = self._trainer.model
        if hasattr(model, "get_base_model"):  # of PEFT, whose own takes anything
            model = model.get_base_model()
        parameters = inspect.signature(model.forward).parameters.values()
        return [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]

    def _forward(self) -> str:
        return f"{type(self._trainer.model).__name__}.forward"


class ResumedEpoch(torch.utils.data.IterableDataset[Any]):  # type: ignore[misc]
    """An epoch of which the Trainer drops as many batches as it has had: those behind a loaded state are not made."""

    def __init__(self, loader: TrainerFeed) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain(itertools.repeat(None, self._loader.passed), self._loader)


class PositionCallback(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Has the Trainer save where its training feed stands, and lets that go on there."""

    def __init__(self) -> None:
        self._loader: TrainerFeed | None = None

    def state(self) -> dict[str, Any]:
        """What the Trainer keeps in a checkpoint."""
        return _kept({} if self._loader is None else self._loader.state_dict())

    def on_train_begin(self, args: Any, state: Any, control: Any, **beside: Any) -> None:
        """Go on behind the batch that was the last one before the checkpoint."""
        loader = beside.get("train_dataloader")
        self._loader = loader if isinstance(loader, TrainerFeed) else None
        # The Trainer fails to save a callback that a checkpoint does not know, one of a time before this mix-in.
        saved = state.stateful_callbacks.setdefault(type(self).__name__, _kept({}))["attributes"]["position"]
        if self._loader is None or not state.global_step:
            return
        if saved:
            self._loader.load_state_dict(saved)
            steps = max(1, math.ceil(len(self._loader) / args.gradient_accumulation_steps))
            self._loader.passed = state.global_step % steps * args.gradient_accumulation_steps
        else:  # the Trainer has earlier batches of the epoch made again
            self._loader.set_epoch(int(state.epoch))


def _kept(position: dict[str, Any]) -> dict[str, Any]:
    """A position in the form in which the Trainer keeps what its callbacks say."""
    return {"args": {}, "attributes": {"position": position}}


__all__ = ["TrainerFeed", "TrainerMixin"]
