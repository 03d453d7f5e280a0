"""Accelerate's loops over a feed: devices, accumulated gradients, checkpoints, ranks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ranks import in_ranks

import fastfeed as ff

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")
accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed; `make test-frameworks` installs it")

from accelerate.state import AcceleratorState, GradientState  # noqa: E402
from devices import make_late  # noqa: E402

from examples import r_accelerate  # noqa: E402
from examples.shapes import draw  # noqa: E402


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """Accelerate keeps its state in the classes."""
    yield
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def shuffled(count: int = 20, **options: Any) -> ff.Feed:
    return ff.arrays(np.arange(count), **{"batch_size": 4, "shuffle": True, "num_workers": 1, **options})


def expected(count: int = 20, epochs: int = 1, **options: Any) -> list[list[int]]:
    with shuffled(count, **options) as feed:
        return [batch.tolist() for _ in range(epochs) for batch in feed]


def test_every_batch_comes_once_and_prepare_leaves_the_loader_as_it_is() -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    with shuffled() as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        assert accelerator.prepare(loader) is loader
        for _ in range(10):
            iter(loader)
        assert len(loader) == 5
        assert [batch.tolist() for _ in range(2) for batch in loader] == expected(epochs=2)


@pytest.mark.parametrize("placed", [True, False])
def test_tensors_are_on_the_accelerators_device(placed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = accelerate.Accelerator(device_placement=placed, cpu=True)
    monkeypatch.setattr(type(accelerator), "device", torch.device("meta"))
    with shuffled() as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        assert {batch.device.type for batch in loader} == {"meta" if placed else "cpu"}


@pytest.mark.parametrize(("count", "steps"), [(20, [3, 5]), (24, [3, 6])])
def test_gradients_that_are_accumulated_are_applied_at_the_end_of_an_epoch(count: int, steps: list[int]) -> None:
    accelerator = accelerate.Accelerator(gradient_accumulation_steps=3, cpu=True)
    model = torch.nn.Linear(1, 1)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1))
    with shuffled(count) as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        for _ in range(2):
            applied = []
            for number, batch in enumerate(loader, 1):
                with accelerator.accumulate(model):
                    accelerator.backward(model(batch[:, None].float()).mean())
                    if accelerator.sync_gradients:
                        applied.append(number)
                    optimizer.step()
                    optimizer.zero_grad()
            assert applied == steps
        assert feed.stats().copies == 0


def test_a_loop_that_is_left_is_not_the_one_that_accelerate_asks_about_the_end() -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    with shuffled() as feed, shuffled(4) as other:
        loader, validation = ff.accelerate.prepare(feed, accelerator), ff.accelerate.prepare(other, accelerator)
        for _ in loader:
            assert [accelerator.gradient_state.end_of_dataloader for _ in validation] == [True]
            assert not accelerator.gradient_state.end_of_dataloader
            break
        assert not accelerator.gradient_state.in_dataloader


def test_metrics_are_gathered_of_every_sample_also_of_a_last_batch_that_is_short() -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    with shuffled(18) as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        gathered = [accelerator.gather_for_metrics(batch).tolist() for batch in loader]
    assert gathered == expected(18)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", range(1, 6))
def test_a_run_goes_on_behind_every_batch_exactly_once(
    step: int, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if late:  # then the feed is two batches ahead of the loop
        make_late(monkeypatch)
    accelerator = accelerate.Accelerator(cpu=True)
    seen = []
    with shuffled() as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        for number, batch in enumerate(loader, 1):
            seen.append(batch.tolist())
            if number == step:
                accelerator.save_state(str(tmp_path))
                break
    AcceleratorState._reset_state(True)
    accelerator = accelerate.Accelerator(cpu=True)
    with shuffled(num_workers=2) as feed:
        loader = ff.accelerate.prepare(feed, accelerator)
        accelerator.load_state(str(tmp_path))
        loader.set_epoch(0)  # as those who count epochs do
        seen += [batch.tolist() for batch in loader]
        if step == 5:  # the end of an epoch is the beginning of the next
            assert seen == expected(epochs=2)
        else:
            assert seen == expected()
            assert [batch.tolist() for batch in loader] == expected(epochs=2)[5:]


def test_a_bad_sample_is_told_behind_the_batches_before_it() -> None:
    def checked(item: int) -> int:
        if item == 9:
            raise ValueError("nine")
        return item

    accelerator = accelerate.Accelerator(cpu=True)
    with ff.map(checked, range(12), batch_size=2, num_workers=1) as feed:
        batches = iter(ff.accelerate.prepare(feed, accelerator))
        for number in range(4):
            assert next(batches).tolist() == [2 * number, 2 * number + 1]
            assert not accelerator.gradient_state.end_of_dataloader
        with pytest.raises(ff.WorkerError, match="nine"):
            next(batches)


def test_ranks_take_as_many_steps_and_gather_every_sample(tmp_path: Path) -> None:
    done = in_ranks(2, "accelerate_rank.py", samples=21)
    assert [len(batches) for batches in done] == [3, 3]
    for rank, batches in enumerate(done):
        assert [own for own, _ in batches] == expected(21, shard=(rank, 2))
        assert [gathered for _, gathered in batches] == [
            one + other for one, other in zip(expected(21, shard=(0, 2)), expected(21, shard=(1, 2)), strict=True)
        ]


def test_what_cannot_be_done_is_said_in_words() -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    with shuffled() as feed:
        with pytest.raises(ff.ConfigError, match=r"^feed=.*: pass what fastfeed.images and its siblings return"):
            ff.accelerate.prepare(feed.to_torch(), accelerator)
        loader = ff.accelerate.prepare(feed, accelerator)
        with pytest.raises(AttributeError, match="skip_first_batches is not needed"):
            accelerate.skip_first_batches(loader, 2)


def test_the_example_learns_though_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    draw(tmp_path / "pictures", 100)
    losses = r_accelerate.train(tmp_path / "pictures", tmp_path / "checkpoint", until=30)
    AcceleratorState._reset_state(True)
    losses += r_accelerate.train(tmp_path / "pictures", tmp_path / "checkpoint", done=30)
    assert len(losses) == 8 * 25
    assert sum(losses[-25:]) < sum(losses[:25]) / 2
