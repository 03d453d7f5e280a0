"""Lightning's loops over a feed: epochs, checkpoints, several loaders, several ranks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranks import in_ranks

import fastfeed as ff

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")
pl = pytest.importorskip(
    "lightning.pytorch", reason="Lightning is not installed; `make test-frameworks` installs it", exc_type=ImportError
)

from devices import make_late  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402
from lightning.pytorch.utilities import CombinedLoader  # noqa: E402

from examples import q_lightning  # noqa: E402
from examples.shapes import draw  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning's own
    "ignore:The number of training batches",  # fewer than it logs
    "ignore:Checkpoint directory",  # is not empty
    "ignore:Be aware that when using `ckpt_path`",  # those that resume save nothing
)


class Model(pl.LightningModule):
    """Notes what it is trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained: list[Any] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.trained.append(plain(batch))
        return self.weight * 2

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Examined(Model):
    """Notes what the other loops give it, too."""

    def __init__(self) -> None:
        super().__init__()
        self.validated: list[Any] = []
        self.tested: list[Any] = []

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.validated.append(plain(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.tested.append(plain(batch))

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return batch * 2


def plain(batch: Any) -> Any:
    if isinstance(batch, dict):
        return {name: plain(each) for name, each in batch.items()}
    return [plain(each) for each in batch] if isinstance(batch, list) else batch.tolist()


def trainer(folder: Path | None = None, **options: Any) -> Any:
    """A trainer that saves a checkpoint after every step, if there is a folder for them."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    saving: dict[str, Any] = {"enable_checkpointing": False}
    if folder is not None:
        saving = {"callbacks": [ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)]}
    return pl.Trainer(**{"accelerator": "cpu", "devices": 1, **quiet, **saving, **options})


def shuffled(count: int = 20, **options: Any) -> ff.Feed:
    return ff.arrays(np.arange(count), **{"batch_size": 4, "shuffle": True, "num_workers": 1, **options})


def epochs_of(feed: ff.Feed, count: int) -> list[list[list[int]]]:
    return [[batch.tolist() for batch in feed] for _ in range(count)]


# ---- loops -----------------------------------------------------------------------------------------------------------


def test_every_loop_gets_every_batch_once_and_training_an_epoch_each(tmp_path: Path) -> None:
    with shuffled() as feed:
        epochs = epochs_of(feed, 3)
    model = Examined()
    with shuffled() as feed, ff.arrays(np.arange(12), batch_size=4, num_workers=1) as others:
        trainer(max_epochs=3).fit(model, feed.to_torch(), others.to_torch())
        trainer().validate(model, others.to_torch(), verbose=False)
        trainer().test(model, others.to_torch(), verbose=False)
        predicted = trainer().predict(model, others.to_torch())
    parts = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert model.trained == [batch for epoch in epochs for batch in epoch]
    assert model.validated == parts[:2] + parts * 4  # two batches before training, to see whether validation works
    assert model.tested == parts
    assert [batch.tolist() for batch in predicted] == [[2 * value for value in part] for part in parts]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_the_wait_for_batches_is_logged() -> None:
    def slow(number: int) -> int:
        time.sleep(0.01)
        return number

    seen = []

    class Seen(pl.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            seen.append(float(trainer.callback_metrics["data_wait_ms"]))

    with ff.map(slow, range(16), batch_size=4, num_workers=0) as feed:
        callbacks = [ff.lightning.DataWait(feed.to_torch()), Seen()]
        trainer(max_epochs=1, log_every_n_steps=1, limit_val_batches=0, callbacks=callbacks).fit(
            Examined(), feed.to_torch()
        )
    assert len(seen) == 4
    assert all(20 < wait < 60_000 for wait in seen)


def test_sanity_checking_takes_no_epoch_of_training() -> None:
    with shuffled() as feed:
        epochs = epochs_of(feed, 1)
    model = Examined()
    with shuffled() as feed, feed.to_torch() as loader:
        trainer(max_epochs=1, num_sanity_val_steps=2).fit(model, loader, loader)
    assert model.trained == epochs[0]
    assert model.validated == epochs[0][:2] + epochs[0]


def test_iterators_that_are_never_stepped_change_nothing() -> None:
    with shuffled() as feed:
        epochs = epochs_of(feed, 1)
    model = Model()
    with shuffled() as feed, feed.to_torch() as loader:
        for _ in range(10):
            iter(loader)
        trainer(max_epochs=1).fit(model, loader)
    assert model.trained == epochs[0]


def test_an_epoch_that_is_cut_short_is_followed_by_the_next_and_validation_may_be_rare() -> None:
    with shuffled() as feed:
        epochs = epochs_of(feed, 4)
    model = Examined()
    with shuffled() as feed, ff.arrays(np.arange(4), batch_size=4, num_workers=1) as others:
        options = {"limit_train_batches": 3, "check_val_every_n_epoch": 2, "num_sanity_val_steps": 0}
        trainer(max_epochs=4, **options).fit(model, feed.to_torch(), others.to_torch())
    assert model.trained == [batch for epoch in epochs for batch in epoch[:3]]
    assert model.validated == [[0, 1, 2, 3]] * 2


def test_several_loaders_are_fed_together_the_shorter_one_again_from_its_next_epoch() -> None:
    with shuffled(20) as long, shuffled(8) as short:
        expected = zip(epochs_of(long, 1)[0], chain(*epochs_of(short, 3)), strict=False)
    model = Model()
    with shuffled(20) as long, shuffled(8) as short:
        both = CombinedLoader({"long": long.to_torch(), "short": short.to_torch()}, "max_size_cycle")
        trainer(max_epochs=1).fit(model, both)
    assert model.trained == [{"long": one, "short": other} for one, other in expected]


def test_overfitting_takes_the_same_batches_in_each_epoch_of_a_feed_that_is_not_shuffled() -> None:
    model = Model()
    with shuffled(shuffle=False) as feed, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You requested to overfit")
        trainer(max_epochs=3, overfit_batches=2).fit(model, feed.to_torch())
    assert model.trained == [[0, 1, 2, 3], [4, 5, 6, 7]] * 3


# ---- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["in the ring", "on a device"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    if request.param == "in the ring":
        return None
    make_late(monkeypatch)
    return "cpu"


def checkpoints(folder: Path) -> list[Path]:
    """In the order of their steps."""
    return sorted(folder.glob("*.ckpt"), key=lambda file: int(file.stem.partition("=")[2]))


def resumed(saved: Path, make: Callable[[], tuple[list[ff.Feed], Any]], **options: Any) -> list[Any]:
    model = Model()
    feeds, loader = make()
    try:
        trainer(**options).fit(model, loader, ckpt_path=saved)
    finally:
        for feed in feeds:
            feed.close()
    return model.trained


def one_loader(place: object = None) -> tuple[list[ff.Feed], Any]:
    feed = shuffled()
    return [feed], feed.to_torch(place)


def two_loaders() -> tuple[list[ff.Feed], Any]:
    feeds = [shuffled(20), shuffled(8)]
    return feeds, CombinedLoader([feed.to_torch() for feed in feeds], "max_size_cycle")


def uninterrupted(folder: Path, make: Callable[[], tuple[list[ff.Feed], Any]], **options: Any) -> list[Any]:
    model = Model()
    feeds, loader = make()
    trainer(folder, **options).fit(model, loader)
    for feed in feeds:
        feed.close()
    return model.trained


def test_a_run_goes_on_behind_every_batch_exactly_once(tmp_path: Path, place: object) -> None:
    whole = uninterrupted(tmp_path, lambda: one_loader(place), max_epochs=2)
    saved = checkpoints(tmp_path)
    assert len(whole) == len(saved) == 10
    for step, file in enumerate(saved, 1):
        assert resumed(file, lambda: one_loader(place), max_epochs=2) == whole[step:]


def test_a_run_that_cuts_its_epochs_short_goes_on_as_it_would_have(tmp_path: Path) -> None:
    options = {"max_epochs": 3, "limit_train_batches": 3}
    whole = uninterrupted(tmp_path, one_loader, **options)
    for step, file in enumerate(checkpoints(tmp_path), 1):
        assert resumed(file, one_loader, **options) == whole[step:]


@pytest.mark.filterwarnings("ignore:`weights_only` was not set")
def test_what_is_saved_at_the_last_step_goes_on_there_and_what_is_saved_after_fit_with_the_next_epoch(
    tmp_path: Path,
) -> None:
    with shuffled() as feed:
        epochs = epochs_of(feed, 2)
    feeds, loader = one_loader()
    cut = trainer(tmp_path, max_steps=3)
    cut.fit(Model(), loader)
    by_hand = tmp_path / "by hand"
    cut.save_checkpoint(by_hand)
    feeds[0].close()
    assert resumed(checkpoints(tmp_path)[-1], one_loader, max_epochs=2) == epochs[0][3:] + epochs[1]
    assert resumed(by_hand, one_loader, max_epochs=2) == epochs[1]


def test_several_loaders_go_on_each_where_it_was(tmp_path: Path) -> None:
    whole = uninterrupted(tmp_path, two_loaders, max_epochs=2)
    for step, file in enumerate(checkpoints(tmp_path), 1):
        rest = resumed(file, two_loaders, max_epochs=2)
        assert [long for long, _ in rest] == [long for long, _ in whole[step:]]
        if step != 5:  # between two epochs the shorter one, which has been begun again, goes on where it was
            assert rest == whole[step:]


def test_a_feed_that_cannot_say_where_it_stands_is_trained_with_and_saved_as_such(tmp_path: Path) -> None:
    def counted(count: int) -> Iterator[Any]:
        yield from (np.full(1, number) for number in range(count))

    model = Model()
    with ff.parallel(counted, num_workers=1)(4) as feed, feed.to_torch() as loader:
        trainer(tmp_path, max_epochs=1).fit(model, loader)
        assert model.trained == [[0], [1], [2], [3]]
        with pytest.warns(UserWarning, match="begins with the whole epoch"):
            trainer(max_epochs=1).fit(again := Model(), loader, ckpt_path=checkpoints(tmp_path)[1])
    assert again.trained == [[0], [1], [2], [3]]


# ---- ranks -----------------------------------------------------------------------------------------------------------


def test_ranks_take_as_many_steps_and_go_on_from_the_checkpoint_of_one(tmp_path: Path) -> None:
    done = in_ranks(2, "lightning_rank.py", samples=21, folder=str(tmp_path))
    whole, rest = ([[batch for run, batch in lines if run == which] for lines in done] for which in (0, 1))
    assert [len(batches) for batches in whole] == [6, 6]
    for epoch in (slice(0, 3), slice(3, 6)):
        seen = [index for batches in whole for batch in batches[epoch] for index in batch]
        assert sorted({*seen}) == list(range(21))
        assert len(seen) == 22
    assert rest == [batches[2:] for batches in whole]


# ---- the program of the page -----------------------------------------------------------------------------------------


def test_the_example_learns_though_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    draw(tmp_path / "pictures", 100)
    losses = q_lightning.train(tmp_path / "pictures", tmp_path / "checkpoints", epochs=8)
    assert losses[-1] < losses[0] / 2
