"""PyTorch's tensors from a feed: whose memory they are, what moves, and what training loops look for."""

from __future__ import annotations

import collections
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode, picture

import fastfeed as ff
from fastfeed import _native

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")

from examples import m_pytorch, shapes  # noqa: E402
from fastfeed.adapters import torch as adapter  # noqa: E402

FEEDS: dict[str, Callable[..., ff.Feed]] = {
    "rows": lambda **options: ff.arrays(np.arange(80.0).reshape(40, 2), np.arange(40), batch_size=8, **options),
    "payloads": lambda **options: ff.map(float, range(40), batch_size=8, **options),
}


def flat(batches: Any) -> list[list[float]]:
    return [[leaf.cpu().flatten().tolist() for leaf in ff_leaves(batch)] for batch in batches]


def ff_leaves(batch: Any) -> list[Any]:
    return list(batch) if isinstance(batch, tuple) else [batch]


def expected(made: Callable[..., ff.Feed]) -> list[list[float]]:
    with made(num_workers=0) as feed:
        return [[np.asarray(leaf).flatten().tolist() for leaf in ff_leaves(batch)] for batch in feed]


# ---- tensors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_tensor_is_the_very_memory_of_the_batch(workers: int) -> None:
    data = np.arange(80.0).reshape(40, 2)
    with ff.arrays(data, batch_size=8, num_workers=workers) as feed, feed.to_torch() as loader:
        for k, tensor in enumerate(loader):
            assert tensor.dtype == torch.float64
            assert tensor.tolist() == data[8 * k : 8 * k + 8].tolist()
            if workers:
                memory = np.frombuffer(feed.shared_memory(), np.uint8)
                assert 0 <= tensor.data_ptr() - memory.ctypes.data < memory.nbytes
                del memory
            del tensor


def test_a_tensor_that_is_kept_is_never_overwritten() -> None:
    data = np.arange(400.0).reshape(200, 2)
    with ff.arrays(data, batch_size=8, num_workers=2) as feed:
        kept = list(feed.to_torch())
    assert torch.cat(kept).tolist() == data.tolist()


Pair = collections.namedtuple("Pair", "image label")


@dataclasses.dataclass
class Views:
    first: Any
    second: Any


def test_structures_stay_and_only_what_a_tensor_can_hold_becomes_one() -> None:
    batch = {
        "pair": Pair(np.ones((2, 3), np.uint8), np.int64(7)),
        "views": Views([np.zeros(2), "a"], np.array(["cat", "dog"])),
        "numbers": (1, 2.5, None, b"x"),
        "objects": np.array([None, {}], object),
        "when": np.array(["2026-01-01"], "datetime64[D]"),
    }
    made = adapter.tensors_of(batch)
    assert type(made["pair"]) is Pair
    assert made["pair"].image.dtype == torch.uint8
    assert made["pair"].label.shape == ()
    assert made["pair"].label.item() == 7
    assert isinstance(made["views"], Views)
    assert made["views"].first[1] == "a"
    assert made["views"].first[0].tolist() == [0, 0]
    for kept in (made["views"].second, made["objects"], made["when"]):
        assert isinstance(kept, np.ndarray)
    assert made["numbers"] == (1, 2.5, None, b"x")


@pytest.mark.parametrize(
    "array", [np.arange(6)[::-1], np.arange(6, dtype=">i4"), np.broadcast_to(np.int16(3), (4,)), np.array(5.0)]
)
def test_arrays_that_torch_refuses_are_copied_and_have_the_same_values(array: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert adapter.tensors_of(array).tolist() == array.tolist()


# ---- loops -----------------------------------------------------------------------------------------------------------


def test_loops_find_a_length_and_a_sampler_and_no_dataset() -> None:
    with FEEDS["rows"]() as feed, feed.to_torch() as loader:
        assert len(loader) == len(loader.sampler) == 5
        assert not hasattr(loader, "dataset")


@pytest.mark.parametrize("workers", [0, 2])
def test_iterators_that_are_never_stepped_change_nothing_and_an_epoch_set_after_them_counts(workers: int) -> None:
    options = {"batch_size": 8, "shuffle": True, "num_workers": workers}
    with ff.arrays(np.arange(40), **options) as feed:
        epochs = [[batch.tolist() for batch in feed] for _ in range(4)]
    with ff.arrays(np.arange(40), **options) as feed, feed.to_torch() as loader:
        for _ in range(10):
            iter(loader)
        assert [batch.tolist() for batch in loader] == epochs[0]
        batches = iter(loader)
        loader.sampler.set_epoch(3)
        assert [batch.tolist() for batch in batches] == epochs[3]


def test_an_epoch_that_a_loaded_state_has_reached_goes_on_there_whoever_counts_epochs() -> None:
    options = {"batch_size": 8, "shuffle": True, "num_workers": 1}
    with ff.arrays(np.arange(40), **options) as feed, feed.to_torch() as loader:
        epochs = [[batch.tolist() for batch in loader] for _ in range(4)]
        loader.set_epoch(2)
        for _ in zip(range(3), loader, strict=False):
            pass
        state = loader.state_dict()
        for said in (0, 2):
            loader.load_state_dict(state)
            loader.sampler.set_epoch(said)
            assert [batch.tolist() for batch in loader] == epochs[2][3:]
            loader.sampler.set_epoch(2)  # this time it is taken at its word
            assert [batch.tolist() for batch in loader] == epochs[2]
        loader.load_state_dict(state)
        loader.set_epoch(3)
        loader.set_epoch(1)
        assert [batch.tolist() for batch in loader] == epochs[1]


def test_a_feed_that_cannot_say_where_it_stands_has_an_empty_state_and_says_so_when_that_is_loaded() -> None:
    with ff.map(float, iter(range(40)), batch_size=8, num_workers=0) as feed, feed.to_torch() as loader:
        assert loader.state_dict() == {}
        with pytest.warns(UserWarning, match="it begins with the whole epoch. fastfeed.images, fastfeed.arrays, and"):
            loader.load_state_dict({})


class Device:
    """A device whose copies happen only when they are waited for, or `late` batches afterwards."""

    def __init__(self, late: int) -> None:
        self.late = late
        self.under_way: list[list[Any]] = []
        self.most = 0

    def start(self, source: Any) -> tuple[Any, Any]:
        moved = adapter.tree.mapped(source, torch.empty_like)
        event = [source, moved, False]
        self.under_way.append(event)
        self.most = max(self.most, len(self.under_way))
        while len(self.under_way) > self.late:
            self.finish(self.under_way[0])
        return moved, event

    def finish(self, event: list[Any]) -> None:
        if event in self.under_way:
            self.under_way.remove(event)
            for source, moved in zip(ff_leaves(event[0]), ff_leaves(event[1]), strict=True):
                moved.copy_(source)
            event[0], event[2] = None, True

    def arrived(self, moved: Any, event: list[Any]) -> Any:
        self.finish(event)
        return moved

    def has_passed(self, event: list[Any]) -> bool:
        return bool(event[2])

    def wait(self, event: list[Any]) -> None:
        self.finish(event)


class CudaRuntime:
    """cudaHostRegister and its opposite, as far as they can be told without a GPU."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.locked: dict[int, int] = {}
        self.asked: list[tuple[int, int]] = []

    def cudaHostRegister(self, start: int, size: int, flags: int) -> int:  # noqa: N802
        assert flags == 0
        self.asked.append((start, size))
        if self.code == 0:
            assert start not in self.locked
            self.locked[start] = size
        return self.code

    def cudaHostUnregister(self, start: int) -> int:  # noqa: N802
        del self.locked[start]
        return 0


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaRuntime]:
    made = CudaRuntime()
    monkeypatch.setattr(torch.cuda, "cudart", lambda: made)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    yield made
    assert made.locked == {}


@pytest.fixture(params=[0, 1, 2])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, runtime: CudaRuntime) -> Device:
    made = Device(request.param)
    monkeypatch.setattr(adapter, "mover_to", lambda device: made)
    return made


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_what_arrives_on_a_device_is_what_was_fed_however_late_the_copies_are(
    kind: str, workers: int, device: Device
) -> None:
    with FEEDS[kind](num_workers=workers) as feed, feed.to_torch("cpu") as loader:
        assert flat(loader) == expected(FEEDS[kind])
        assert flat(loader) == expected(FEEDS[kind])
    assert device.under_way == []


@pytest.mark.parametrize("stop", range(1, 5))
def test_the_state_is_where_the_loop_stands_and_not_the_batch_that_is_ahead_of_it(stop: int, device: Device) -> None:
    whole = expected(FEEDS["rows"])
    with FEEDS["rows"](num_workers=1) as feed, feed.to_torch("cpu") as loader:
        batches = iter(loader)
        seen = flat(next(batches) for _ in range(stop))
        state = loader.state_dict()
        batches.close()
    with FEEDS["rows"](num_workers=2) as feed, feed.to_torch("cpu") as loader:
        loader.load_state_dict(state)
        loader.load_state_dict({})
        assert seen + flat(loader) == whole


def test_the_state_after_an_epoch_begins_the_next_one(device: Device) -> None:
    with FEEDS["rows"](num_workers=1) as feed, feed.to_torch("cpu") as loader:
        list(loader)
        state = loader.state_dict()
    with FEEDS["rows"](num_workers=1) as feed, feed.to_torch("cpu") as loader:
        loader.load_state_dict(state)
        assert flat(loader) == expected(FEEDS["rows"])


class Shade:
    """A transform that can be changed: every value becomes this one."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return image * np.uint8(0) + np.uint8(self.value)


# ---- page-locked memory ----------------------------------------------------------------------------------------------


def test_the_whole_ring_is_page_locked_once_and_unlocked_at_the_end(runtime: CudaRuntime) -> None:
    with FEEDS["rows"](num_workers=2) as feed, feed.to_torch(pin_memory=True) as loader:
        for _ in range(3):
            for values, labels in loader:
                (start,) = runtime.locked
                assert start <= values.data_ptr() < labels.data_ptr() < start + runtime.locked[start]
                del values, labels
        memory = feed.shared_memory()
        assert runtime.asked == [(_native.address(memory), memory.nbytes)]
        del memory
    assert runtime.locked == {}


def test_a_loader_that_is_dropped_unlocks_the_ring(runtime: CudaRuntime) -> None:
    with FEEDS["rows"](num_workers=1) as feed:
        loader = feed.to_torch(pin_memory=True)
        next(iter(loader))
        assert runtime.locked
        del loader
        assert runtime.locked == {}


def test_a_ring_that_replaces_another_is_page_locked_in_its_turn(runtime: CudaRuntime) -> None:
    shade = Shade(10)
    encoded = [encode(picture(0))] * 4
    options = {"dtype": "uint8", "labels": None, "batch_size": 2, "transforms": [shade], "num_workers": 1}
    with ff.images(encoded, 8, **options) as feed, feed.to_torch(pin_memory=True) as loader:
        for value in (10, 20):
            shade.value = value
            for images in loader:
                (start,) = runtime.locked
                assert start <= images.data_ptr() < start + runtime.locked[start]
                assert images.unique().tolist() == [value]
                del images
    assert len(runtime.asked) == 2


def test_where_the_driver_refuses_batches_are_copied_and_the_user_is_told_once(runtime: CudaRuntime) -> None:
    runtime.code = 801
    with FEEDS["rows"](num_workers=1) as feed, feed.to_torch(pin_memory=True) as loader:
        with pytest.warns(UserWarning, match=r"was not page-locked \(cudaHostRegister: error 801\)"):
            assert flat(loader) == expected(FEEDS["rows"])
        assert len(runtime.asked) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert flat(loader) == expected(FEEDS["rows"])


@pytest.mark.parametrize("kind", FEEDS)
def test_without_a_ring_of_rows_nothing_is_locked_and_tensors_are_copies_in_locked_memory(
    kind: str, runtime: CudaRuntime
) -> None:
    workers = 0 if kind == "rows" else 2
    with FEEDS[kind](num_workers=workers) as feed, feed.to_torch(pin_memory=True) as loader:
        assert flat(loader) == expected(FEEDS[kind])
    assert runtime.asked == []


# ---- replayed ----


def test_replayed_tensors_are_copies_that_stay_page_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: tensor.dtype == torch.int64)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    with FEEDS["rows"](num_workers=1) as feed, feed.to_torch() as loader:
        replay = ff.replay(loader, 2)
        assert len(replay) == 5
        assert [tensors[1].tolist()[0] for tensors in replay] == [0, 8, 0, 8, 0]
    assert len(pinned) == 2


# ---- the program of the page -----------------------------------------------------------------------------------------


def test_the_example_learns(tmp_path: Path) -> None:
    shapes.draw(tmp_path, 100)
    losses = m_pytorch.train(tmp_path)
    assert losses[-1] < losses[0] / 2


# ---- a real GPU ------------------------------------------------------------------------------------------------------

if torch.cuda.is_available():  # what it opens then stays open, and is nothing that a test has left behind
    torch.zeros(1).pin_memory().to("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")


@needs_gpu
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_what_arrives_on_a_gpu_is_what_was_fed(kind: str, workers: int) -> None:
    with FEEDS[kind](num_workers=workers) as feed, feed.to_torch("cuda") as loader:
        for _ in range(3):
            assert all(leaf.is_cuda for batch in loader for leaf in ff_leaves(batch))
            assert flat(loader) == expected(FEEDS[kind])


@needs_gpu
def test_large_batches_arrive_whole_while_the_gpu_works_on_and_reuses_memory() -> None:
    data = np.arange(60 * 4_000_000, dtype=np.int32).reshape(60, 4_000_000)
    with ff.arrays(data, batch_size=1, num_workers=2) as feed, feed.to_torch("cuda") as loader:
        heavy = torch.ones(4096, 4096, device="cuda")
        for row, batch in enumerate(loader):
            heavy = heavy @ heavy * 1e-4
            total = batch.sum(dtype=torch.int64)
            del batch
            torch.empty(4_000_000, dtype=torch.int32, device="cuda").fill_(-1)
            assert total.item() == data[row].sum(dtype=np.int64)


@needs_gpu
def test_tensors_over_the_ring_are_pinned() -> None:
    with FEEDS["rows"](num_workers=2) as feed, feed.to_torch(pin_memory=True) as loader:
        assert all(leaf.is_pinned() for batch in loader for leaf in batch)


# ---- what cannot work ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["gpu", 1.5, "cuda:x", object()])
def test_a_device_that_is_none_is_refused(device: object) -> None:
    with FEEDS["rows"]() as feed, pytest.raises(ff.ConfigError, match=r"^device=.*: pass what torch.device takes"):
        feed.to_torch(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch sees a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_pinning_without_one_is_told() -> None:
    with FEEDS["rows"]() as feed:
        with pytest.raises(ff.ConfigError, match=r"^device='cuda': pass None or 'cpu': this PyTorch sees no GPU"):
            feed.to_torch("cuda")
        with pytest.warns(UserWarning, match=r"pin_memory=True: this PyTorch sees no GPU"):
            loader = feed.to_torch(pin_memory=True)
        assert flat(loader) == expected(FEEDS["rows"])


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"batch_size": None}])
def test_a_loader_of_a_feed_is_refused_with_what_to_use_instead(options: dict[str, Any]) -> None:
    with FEEDS["rows"]() as feed:
        batches = iter(torch.utils.data.DataLoader(feed, **options))
        with pytest.raises(TypeError, match=r"use feed.to_torch\(\) in place of DataLoader\(feed\)"):
            next(batches)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_pin_memory_is_yes_or_no(value: object) -> None:
    with FEEDS["rows"]() as feed, pytest.raises(ff.ConfigError, match=r"pin_memory=.*: pass True or False"):
        feed.to_torch(pin_memory=value)
