"""The Trainer of Hugging Face Transformers over feeds: names, epochs, accumulated gradients, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranks import in_ranks

import fastfeed as ff

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")
transformers = pytest.importorskip(
    "transformers", reason="Transformers is not installed; `make test-frameworks` installs it"
)

from accelerate.state import AcceleratorState, GradientState  # noqa: E402

from examples import s_transformers  # noqa: E402
from examples.shapes import draw  # noqa: E402


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Accelerate keeps its state in the classes."""
    yield
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


class Trainer(ff.transformers.TrainerMixin, transformers.Trainer):
    pass


class Model(torch.nn.Module):
    """Notes what it is trained with, and what it is evaluated with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained: list[list[int]] = []
        self.evaluated: list[list[int]] = []

    def forward(self, values: Any, labels: Any = None) -> dict[str, Any]:
        (self.trained if self.training else self.evaluated).append(values.tolist())
        return {"loss": (self.weight * 2 + values.float()).mean(), "logits": values * 10}


def trainer(folder: Path, model: Any, **options: Any) -> Any:
    data = {name: options.pop(name) for name in ("train_dataset", "eval_dataset", "callbacks") if name in options}
    arguments = transformers.TrainingArguments(
        str(folder),
        **{
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
            "save_strategy": "no",
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 4,
            **options,
        },
    )
    return Trainer(model=model, args=arguments, **data)


def shuffled(count: int = 20, **options: Any) -> ff.Feed:
    return ff.arrays(np.arange(count), **{"batch_size": 4, "shuffle": True, "num_workers": 1, **options})


def expected(count: int = 20, epochs: int = 1) -> list[list[int]]:
    with shuffled(count) as feed:
        return [batch.tolist() for _ in range(epochs) for batch in feed]


# ---- loops -----------------------------------------------------------------------------------------------------------


def test_training_evaluation_and_prediction_get_every_batch_once(tmp_path: Path) -> None:
    model = Model()
    with shuffled() as feed, ff.arrays(np.arange(10), np.arange(10), batch_size=4, num_workers=1) as others:
        used = trainer(tmp_path, model, train_dataset=feed, eval_dataset=others, num_train_epochs=2)
        for _ in range(10):
            iter(used.get_train_dataloader())
        used.train()
        assert model.trained == expected(epochs=2)
        metrics = used.evaluate()
        assert model.evaluated == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        weight = model.weight.item() * 2
        assert metrics["eval_loss"] == pytest.approx(weight + 4.5)  # of samples, also of those in the short batch
        assert used.evaluate({"a": others, "b": others})["eval_b_loss"] == pytest.approx(weight + 4.5)
        assert used.predict(others).predictions.tolist() == [10 * value for value in range(10)]


def test_what_is_no_feed_goes_the_trainers_usual_way(tmp_path: Path) -> None:
    model = Model()
    data = [{"values": value, "labels": 0} for value in range(4)]
    used = trainer(tmp_path, model, train_dataset=data, eval_dataset={"all": data}, num_train_epochs=1)
    used.train()
    used.evaluate()
    used.predict(data)
    assert sorted(model.trained[0]) == [0, 1, 2, 3]
    assert model.evaluated == [[0, 1, 2, 3]] * 2


def test_a_feed_without_a_length_needs_max_steps(tmp_path: Path) -> None:
    def counted() -> Iterator[Any]:
        yield from ({"values": np.full(1, number)} for number in range(4))

    model = Model()
    with ff.parallel(counted, num_workers=1)() as feed:
        with pytest.raises(ValueError, match="max_steps"):
            trainer(tmp_path, model, train_dataset=feed)
        trainer(tmp_path, model, train_dataset=feed, max_steps=6).train()
    assert model.trained == [[0], [1], [2], [3], [0], [1]]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_ring_has_slots_for_the_batches_that_the_trainer_takes_together(steps: int, tmp_path: Path) -> None:
    model = Model()
    with shuffled(48, prefetch=2) as feed:
        trainer(tmp_path, model, train_dataset=feed, num_train_epochs=2, gradient_accumulation_steps=steps).train()
        assert model.trained == expected(48, epochs=2)
        assert feed.stats().copies == 0


# ---- checkpoints -----------------------------------------------------------------------------------------------------


# With ignore_data_skip the Trainer counts the steps of the epoch anew, and misses a last one that is shorter.
@pytest.mark.parametrize(("accumulated", "ignored"), [(1, False), (1, True), (2, False)])
def test_a_run_goes_on_behind_every_step_exactly_once_and_makes_no_batch_again(
    accumulated: int, ignored: bool, tmp_path: Path
) -> None:
    options = {"num_train_epochs": 2, "gradient_accumulation_steps": accumulated}
    model = Model()
    with shuffled() as feed:
        trainer(tmp_path, model, train_dataset=feed, save_strategy="steps", save_steps=1, **options).train()
    whole = model.trained
    assert whole == expected(epochs=2)
    steps = {1: range(1, 10), 2: [2, 4, 5, 7, 9]}[accumulated]  # batches behind each checkpoint but the last
    for number, behind in enumerate(steps, 1):
        model = Model()
        with shuffled(num_workers=0) as feed:
            used = trainer(tmp_path, model, train_dataset=feed, ignore_data_skip=ignored, **options)
            used.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{number}"))
            assert model.trained == whole[behind:]
            assert used.state.global_step == {1: 10, 2: 6}[accumulated]
            assert ignored or used.state.epoch == 2
            assert feed.stats().samples == 4 * len(model.trained)


def test_a_checkpoint_without_a_state_of_the_feed_is_gone_on_from_by_making_batches_again(tmp_path: Path) -> None:
    with shuffled() as feed:
        model = Model()
        trainer(tmp_path, model, train_dataset=feed, num_train_epochs=2, save_strategy="steps", save_steps=7).train()
    file = tmp_path / "checkpoint-7" / "trainer_state.json"
    state = json.loads(file.read_text())
    assert state["stateful_callbacks"].pop("PositionCallback")["attributes"]["position"]["epoch"] == 1
    file.write_text(json.dumps(state))
    model = Model()
    with shuffled() as feed:
        used = trainer(tmp_path, model, train_dataset=feed, num_train_epochs=2, save_strategy="epoch")
        used.train(resume_from_checkpoint=str(tmp_path / "checkpoint-7"))
        assert feed.stats().samples == 20
    assert model.trained == expected(epochs=2)[7:]
    with shuffled() as feed:
        used = trainer(tmp_path, model := Model(), train_dataset=feed, num_train_epochs=3)
        used.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))
    assert model.trained == expected(epochs=3)[10:]


def test_the_state_is_found_where_the_trainer_restores_callbacks_itself(tmp_path: Path) -> None:
    options = {"num_train_epochs": 1, "restore_callback_states_from_checkpoint": True}
    with shuffled() as feed:
        trainer(tmp_path, Model(), train_dataset=feed, save_strategy="steps", save_steps=2, **options).train()
    model = Model()
    with shuffled() as feed:
        used = trainer(tmp_path, model, train_dataset=feed, **options)
        used.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert model.trained == expected()[2:]


def test_ranks_take_as_many_steps_and_go_on_from_the_checkpoint_of_one(tmp_path: Path) -> None:
    done = in_ranks(2, "transformers_rank.py", samples=21, folder=str(tmp_path))
    whole, rest = ([[batch for run, batch in lines if run == which] for lines in done] for which in (0, 1))
    assert [len(batches) for batches in whole] == [6, 6]
    for epoch in (slice(0, 3), slice(3, 6)):
        seen = [index for batches in whole for batch in batches[epoch] for index in batch]
        assert sorted({*seen}) == list(range(21))
        assert len(seen) == 22
    assert rest == [batches[2:] for batches in whole]


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (None, {"values"}),
        (np.arange(4), {"values", "labels"}),
        ({"labels": np.arange(4)}, {"values", "labels"}),
    ],
)
def test_arrays_and_pairs_are_the_main_input_and_its_labels(labels: Any, named: set[str], tmp_path: Path) -> None:
    columns = (np.arange(4),) if labels is None else (np.arange(4), labels)
    with ff.map(lambda row: row, [columns], num_workers=0) as feed:
        used = trainer(tmp_path, Model(), train_dataset=feed)
        (batch,) = used.get_train_dataloader()
        assert set(batch) == named
        assert batch["values"].tolist() == [0, 1, 2, 3]


class Images(Model):
    main_input_name = "pixel_values"

    def forward(self, labels: Any = None, pixel_values: Any = None) -> dict[str, Any]:
        return super().forward(pixel_values, labels)


def test_a_models_main_input_is_the_one_that_it_says(tmp_path: Path) -> None:
    with ff.arrays(np.arange(4), np.arange(4) + 10, batch_size=4, num_workers=0) as feed:
        (batch,) = trainer(tmp_path, Images(), train_dataset=feed).get_train_dataloader()
    assert {name: each.tolist() for name, each in batch.items()} == {
        "pixel_values": [0, 1, 2, 3],
        "labels": [10, 11, 12, 13],
    }


def test_batches_that_the_model_would_not_take_are_refused_in_words(tmp_path: Path) -> None:
    def trained(batch: Any, **options: Any) -> None:
        with ff.map(lambda item: item, [batch], num_workers=0) as feed:
            trainer(tmp_path, Model(), train_dataset=feed, max_steps=1, **options).train()

    values = np.arange(4)
    with pytest.raises(
        ff.ConfigError,
        match=r"have 'label_smoothing', which Model.forward does not take; it takes v",
    ):
        trained({"values": values, "label_smoothing": values})
    with pytest.raises(TypeError, match="unexpected keyword argument 'label_smoothing'"):
        trained({"values": values, "label_smoothing": values}, remove_unused_columns=False)
    with pytest.raises(ff.ConfigError, match=r"is \(Tensor, Tensor, Tensor\), and the Trainer .* by name"):
        trained((values, values, values))
    with pytest.raises(ff.ConfigError, match=r"a batch of this feed is \(str\)"):
        trained("text")


# ---- the program of the page -----------------------------------------------------------------------------------------


def test_the_example_learns_though_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    draw(tmp_path / "pictures", 100)
    losses = s_transformers.train(tmp_path / "pictures", tmp_path / "checkpoints")
    assert losses[-1] < losses[0] / 2
