"""`fastfeed.torch.DataLoader` beside PyTorch's: the same arguments, the same batches, and words where it differs."""

from __future__ import annotations

import collections
import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastfeed as ff

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")

from torch.utils import data  # noqa: E402

from fastfeed.adapters.torch import DataLoader  # noqa: E402

Pair = collections.namedtuple("Pair", "left right")

KINDS: dict[str, Callable[[int], Any]] = {
    "tensor": lambda i: torch.full((2, 3), float(i)),
    "scalar tensor": torch.tensor,
    "bfloat16": lambda i: torch.full((2,), i, dtype=torch.bfloat16),
    "channels last": lambda i: torch.full((3, 4, 5), i).permute(2, 0, 1),
    "array": lambda i: np.full((2,), i, np.int16),
    "numpy number": np.float32,
    "int": int,
    "float": float,
    "bool": lambda i: i % 2 == 0,
    "string": str,
    "bytes": lambda i: b"%d" % i,
    "dict": lambda i: {"x": torch.tensor(i), "y": {"z": i / 2}},
    "named tuple": lambda i: Pair(i, np.arange(i, i + 3)),
    "tuple": lambda i: (i, [torch.ones(2) * i, "a"]),
    "list": lambda i: [i, (i, i / 2)],
}


class Made(data.Dataset):
    """Sample i is whatever `make` makes of i."""

    def __init__(self, make: Callable[[int], Any] = int, count: int = 23) -> None:
        self.make = make
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


class Whole(Made):
    """Fetches lists of samples."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [("whole", self.make(index)) for index in indices]


class Stream(data.IterableDataset):
    """Numbers, each by one of the workers, with what a worker knows of itself."""

    def __init__(self, count: int = 20, start: int = 0) -> None:
        self.start, self.count = start, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        info = data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        assert info is None or info.dataset is self
        yield from range(self.start + first, self.start + self.count, step)


def everything(index: int) -> dict[str, Any]:
    return {name: make(index) for name, make in KINDS.items()}


def same(ours: Any, theirs: Any) -> bool:
    """Whether types, shapes, dtypes, strides and values are the same, all the way down."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, torch.Tensor):
        alike = ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.stride() == theirs.stride()
        return alike and torch.equal(ours, theirs)
    if isinstance(ours, np.ndarray):
        return ours.dtype == theirs.dtype and np.array_equal(ours, theirs)
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def epochs(kind: Any, dataset: Any, count: int = 2, **options: Any) -> list[list[Any]]:
    """Batches of a few epochs, of a loader that is made and begun at one seed of PyTorch's generator."""
    torch.manual_seed(7)
    loader = kind(dataset, **options)
    try:
        return [list(loader) for _ in range(count)]
    finally:
        if kind is DataLoader:
            loader.close()


# ---- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [4, None])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_those_of_pytorch(kind: str, batch_size: int | None) -> None:
    options = {"batch_size": batch_size, "shuffle": True}
    ours, theirs = (epochs(each, Made(KINDS[kind]), **options) for each in (DataLoader, data.DataLoader))
    assert same(ours, theirs)


def test_batches_of_workers_are_those_of_pytorch() -> None:
    options = {"batch_size": 4, "shuffle": True}
    ours = epochs(DataLoader, Made(everything), **options, num_workers=2)
    assert same(ours, epochs(data.DataLoader, Made(everything), **options))


class Keeping(Made):
    """Keeps what it has had collated, which must not be memory that is used again."""

    def __init__(self, count: int) -> None:
        super().__init__(count=count)
        self.kept: list[torch.Tensor] = []

    def __getitem__(self, index: int) -> torch.Tensor:
        self.kept.append(data.default_collate([torch.full((64, 64), float(index))]))
        assert [int(tensor[0, 0, 0]) for tensor in self.kept] == list(range(index + 1))
        return self.kept[-1][0]


def test_tensors_of_workers_lie_in_the_ring_and_are_never_overwritten() -> None:
    with DataLoader(Keeping(count=40), 4, num_workers=1) as loader:
        kept = []
        for k, batch in enumerate(loader):
            if k < 2:  # of many that are kept the later ones are copies
                assert in_a_ring(batch)
            kept.append(batch)
    assert [[int(image[0, 0]) for image in batch] for batch in kept] == np.arange(40).reshape(10, 4).tolist()


def in_a_ring(tensor: torch.Tensor) -> bool:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "memfd:fastfeed" in line:
            low, high = (int(each, 16) for each in line.split()[0].split("-"))
            if low <= tensor.data_ptr() < high:
                return True
    return False


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


def test_collate_functions_and_what_is_registered_with_pytorchs_own_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = data._utils.collate.default_collate_fn_map
    monkeypatch.setitem(registered, Point, lambda batch, **_: [point.x for point in batch])
    assert next(iter(DataLoader(Made(Point), 3))) == [0, 1, 2]

    def collate(batch: list[Any]) -> tuple[Any, Any]:
        return data.default_collate(batch), np.array([point.x for point in batch])

    with DataLoader(Made(Point), 3, num_workers=1, collate_fn=collate) as loader:
        assert same(next(iter(loader)), ([0, 1, 2], np.arange(3)))


def test_a_dataset_that_fetches_lists_is_given_lists() -> None:
    assert same(*(epochs(each, Whole(), batch_size=4) for each in (DataLoader, data.DataLoader)))


# ---- order -----------------------------------------------------------------------------------------------------------

ORDERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "in order": lambda _: {"batch_size": 5},
    "drop_last": lambda _: {"batch_size": 5, "drop_last": True},
    "shuffle": lambda _: {"batch_size": 5, "shuffle": True},
    "shuffle, generator": lambda _: {"shuffle": True, "generator": torch.Generator().manual_seed(3)},
    "RandomSampler": lambda d: {"sampler": data.RandomSampler(d, True, 40), "batch_size": 3},
    "WeightedRandomSampler": lambda _: {"sampler": data.WeightedRandomSampler([1.0, 2.0, 3.0], 20), "batch_size": 4},
    "SubsetRandomSampler": lambda _: {"sampler": data.SubsetRandomSampler([5, 3, 9, 1], torch.Generator())},
    "a list": lambda _: {"sampler": [4, 4, 2], "batch_size": 2},
    "batch_sampler": lambda d: {"batch_sampler": data.BatchSampler(data.RandomSampler(d), 6, False)},
    "lists": lambda _: {"batch_sampler": [[1], [2, 3, 4], [0, 0]]},
    "DistributedSampler": lambda d: {"sampler": data.DistributedSampler(d, 3, 1, seed=2), "batch_size": 2},
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_is_that_of_pytorch(order: str) -> None:
    dataset = Made()
    ours, theirs = (epochs(each, dataset, **ORDERS[order](dataset)) for each in (DataLoader, data.DataLoader))
    assert same(ours, theirs)


def test_the_length_is_that_of_pytorch() -> None:
    for make in ORDERS.values():
        assert len(DataLoader(Made(), **make(Made()))) == len(data.DataLoader(Made(), **make(Made())))
    assert len(DataLoader(Stream(20), batch_size=3)) == 7


def test_the_epoch_of_a_distributed_sampler_counts() -> None:
    seen = []
    for kind in (DataLoader, data.DataLoader):
        loader = kind(Made(), 4, sampler=data.DistributedSampler(Made(), 2, 0))
        seen.append([])
        for epoch in (0, 5):
            loader.sampler.set_epoch(epoch)
            seen[-1].append(list(loader))
    assert same(*seen)
    assert not same(*seen[0])


def test_out_of_order_nothing_is_lost() -> None:
    with DataLoader(Made(), 1, num_workers=2, in_order=False) as loader:
        assert sorted(batch.item() for batch in loader) == list(range(23))


def test_an_iterator_that_is_never_stepped_draws_nothing() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    loader = DataLoader(Made(), shuffle=True)
    for _ in range(10):
        iter(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_persistent_workers_draw_one_base_seed_as_in_pytorch() -> None:
    options = {"batch_size": 4, "shuffle": True, "num_workers": 1, "persistent_workers": True}
    assert same(*(epochs(each, Made(), 3, **options) for each in (DataLoader, data.DataLoader)))


def test_two_iterators_run_at_once() -> None:
    with DataLoader(Made(count=6), 2, num_workers=1) as loader:
        pairs = [(outer.tolist(), [inner.tolist() for inner in loader]) for outer in loader]
    batches = [[0, 1], [2, 3], [4, 5]]
    assert pairs == [(outer, batches) for outer in batches]


# ---- workers ---------------------------------------------------------------------------------------------------------


def shard(worker: int) -> None:
    info = data.get_worker_info()
    assert info.id == worker
    info.dataset.start += 100 * worker


def test_streams_are_those_of_pytorch_one_copy_for_each_worker() -> None:
    for options in ({"batch_size": 3}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}):
        assert same(*(epochs(each, Stream(), **options) for each in (DataLoader, data.DataLoader)))
    options = {"batch_size": 3, "num_workers": 2, "worker_init_fn": shard}
    assert same(*(epochs(each, Stream(), **options) for each in (DataLoader, data.DataLoader)))


def who(index: int) -> tuple[int, int, int, int, int]:
    info = data.get_worker_info()
    return index, info.id, info.num_workers, info.seed, info.dataset.start


def test_workers_know_who_they_are() -> None:
    dataset = Made(who)
    dataset.start = 1
    seen = epochs(DataLoader, dataset, batch_size=1, num_workers=2, worker_init_fn=shard)
    torch.manual_seed(7)
    base = int(torch.empty((), dtype=torch.int64).random_())
    for index, worker, workers, seed, start in itertools.chain(*seen):
        assert 0 <= index < 23
        assert (int(workers), int(seed), int(start)) == (2, base + int(worker), 1 + 100 * int(worker))
    assert data.get_worker_info() is None


def noise(index: int) -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.random(), index


def test_random_numbers_do_not_depend_on_workers_and_begin_at_pytorchs_seed() -> None:
    alone, workers = (epochs(DataLoader, Made(noise), batch_size=4, num_workers=n) for n in (0, 2))
    assert same(alone, workers)
    assert same(alone, epochs(DataLoader, Made(noise), batch_size=4))
    numbers = [batch[0][0].item() for batch in itertools.chain(*alone)]
    assert len(set(numbers)) == len(numbers)


class Faulty(Made):
    """Costs a worker at sample 3, the first time."""

    def __init__(self, folder: Path, fault: Callable[[], object]) -> None:
        super().__init__()
        self.mark = folder / "mark"
        self.fault = fault

    def __getitem__(self, index: int) -> int:
        if index == 3 and not self.mark.exists():
            self.mark.touch()
            self.fault()
        return index


def test_a_worker_that_dies_costs_nothing(tmp_path: Path) -> None:
    dataset = Faulty(tmp_path, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with DataLoader(dataset, 2, num_workers=1) as loader:
        assert torch.cat(list(loader)).tolist() == list(range(23))


@pytest.mark.stress  # it waits for the timeout, which has to be long enough for a busy machine
def test_a_worker_that_takes_longer_than_timeout_is_replaced(tmp_path: Path) -> None:
    with DataLoader(Faulty(tmp_path, lambda: threading.Event().wait()), 2, num_workers=1, timeout=20) as loader:
        assert torch.cat(list(loader)).tolist() == list(range(23))


def fail(index: int) -> int:
    if index == 5:
        raise KeyError("no such sample")
    return index


@pytest.mark.parametrize("workers", [0, 1])
def test_an_exception_of_the_dataset_is_the_cause_of_a_worker_error(workers: int) -> None:
    with DataLoader(Made(fail), 2, num_workers=workers) as loader:
        batches = iter(loader)
        assert [next(batches).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
        with pytest.raises(ff.WorkerError, match=r"Made\.__getitem__ raised KeyError.* \(item 2: \[4, 5\]\)") as caught:
            next(batches)
        assert isinstance(caught.value.__cause__, KeyError)


# ---- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [each for each in ORDERS if each != "lists"])
def test_a_state_of_any_batch_goes_on_with_the_next(order: str) -> None:
    dataset = Made(noise)
    loader = DataLoader(dataset, **ORDERS[order](dataset))
    torch.manual_seed(1)
    states, first = [], []
    for batch in loader:
        first.append(batch)
        states.append(json.loads(json.dumps(loader.state_dict())))
    for k, state in enumerate(states[:-1], 1):
        torch.manual_seed(k)
        other = DataLoader(dataset, **ORDERS[order](dataset))
        other.load_state_dict(state)
        assert other.state_dict() == state
        before = torch.get_rng_state()
        assert same(list(other), first[k:])
        assert torch.equal(torch.get_rng_state(), before)


def test_a_state_after_the_last_batch_begins_the_next_epoch() -> None:
    options = {"batch_size": 4, "shuffle": True}
    loader = DataLoader(Made(), **options, generator=torch.Generator().manual_seed(4))
    states = [*[loader.state_dict() for _ in loader][-1:], loader.state_dict()]
    second = list(loader)
    for state in states:
        other = DataLoader(Made(), **options, generator=torch.Generator())
        other.load_state_dict(state)
        assert same(list(other), second)


def test_a_stream_is_gone_through_again_up_to_its_state() -> None:
    with DataLoader(Stream(), 3, num_workers=2) as loader:
        whole = list(loader)
        loader.load_state_dict({})
        batches = iter(loader)
        assert same([next(batches) for _ in range(3)], whole[:3])
        state = loader.state_dict()
        del batches
        loader.load_state_dict(state)
        assert same(list(loader), whole[3:])
        assert same(list(loader), whole)
    with pytest.raises(ff.ConfigError, match="num_workers=2, and here it is 0"):
        DataLoader(Stream(), 3).load_state_dict(state)


def test_states_of_other_loaders_are_refused() -> None:
    state = DataLoader(Made(), 4).state_dict()
    with pytest.raises(ff.ConfigError, match="batch_size=4, and here it is 5"):
        DataLoader(Made(), 5).load_state_dict(state)
    for foreign in ({"epoch": 3}, 7, {**state, "version": 99}, {**state, "batches": "x"}):
        with pytest.raises(ff.ConfigError, match="not what state_dict"):
            DataLoader(Made(), 4).load_state_dict(foreign)
    with pytest.raises(ff.ConfigError, match="in_order=False: pass True where states are saved"):
        DataLoader(Made(), 4, num_workers=1, in_order=False).state_dict()


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_attributes_are_those_of_pytorch_and_settled() -> None:
    options = {"batch_size": 4, "shuffle": True, "drop_last": True, "generator": torch.Generator(), "num_workers": 2}
    options |= {"timeout": 5, "worker_init_fn": print, "persistent_workers": True}
    ours, theirs = (kind(Made(), **options) for kind in (DataLoader, data.DataLoader))
    for name in [
        "batch_size",
        "num_workers",
        "drop_last",
        "generator",
        "timeout",
        "worker_init_fn",
        "pin_memory",
        "pin_memory_device",
        "prefetch_factor",
        "persistent_workers",
        "in_order",
        "collate_fn",
        "multiprocessing_context",
    ]:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert type(ours.sampler) is type(theirs.sampler)
    assert type(ours.batch_sampler) is type(theirs.batch_sampler)
    assert isinstance(ours.dataset, Made)
    ours.tag = "anything else"
    with pytest.raises(ff.ConfigError, match="batch_size=8: pass it to another DataLoader"):
        ours.batch_size = 8
    assert DataLoader[int].__origin__ is DataLoader


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a feed": (ff.arrays(np.arange(3)), {}, r"dataset=.*: pass what the feed is made of, or take feed.to_torch\(\)"),
    "a number": (3, {}, "dataset=3: pass a dataset with __getitem__"),
    "fork": (Made(), {"num_workers": 1, "multiprocessing_context": "fork"}, "multiprocessing_context='fork': leave it"),
    "a device": (Made(), {"pin_memory_device": "cuda"}, "pin_memory_device='cuda': leave it out"),
    "prefetch": (Made(), {"prefetch_factor": 2}, "prefetch_factor=2, num_workers=0: leave it out, or pass num_workers"),
    "no prefetch": (Made(), {"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor=0: pass a whole number, from 1"),
    "persistent": (Made(), {"persistent_workers": True}, "persistent_workers=True, num_workers=0: leave it out"),
    "timeout": (Made(), {"timeout": -1}, "timeout=-1: pass seconds above 0 for one batch"),
    "workers": (Made(), {"num_workers": -1}, "num_workers=-1: pass a whole number, from 0"),
    "both": (Made(), {"shuffle": True, "sampler": [1]}, "PyTorch's DataLoader refuses .* mutually exclusive"),
    "stream": (Stream(), {"shuffle": True}, "PyTorch's DataLoader refuses .* IterableDataset"),
    "native": (Made(), {"native": True}, "native=True: pass 'auto' or False: the dataset is no ImageFolder"),
    "unknown": (Made(), {"native": "yes"}, "native='yes': pass one of 'auto'"),
    "crowd": (Made(), {"num_workers": 10**6}, "num_workers=1000000: pass a whole number, from 0 to"),
    "slots": (
        Made(),
        {"num_workers": 1, "prefetch_factor": 10**7},
        "prefetch_factor=10000000: pass a whole number, fr",
    ),
    "collate": (Made(), {"collate_fn": 3}, "collate_fn=3: pass a function of a list of samples"),
    "generator": (Made(), {"generator": 3}, "generator=3: pass a torch.Generator"),
    "init": (Made(), {"worker_init_fn": 3}, "worker_init_fn=3: pass a function of a worker's number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_in_words(case: str) -> None:
    dataset, options, message = REFUSED[case]
    with pytest.raises(ff.ConfigError, match=message):
        DataLoader(dataset, **options)


def test_memory_is_pinned_where_there_is_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="pin_memory=True: this PyTorch sees no accelerator"):
        loader = DataLoader(Made(), pin_memory=True)
    assert next(iter(loader)).tolist() == [0]
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(data._utils.pin_memory, "pin_memory", lambda batch: ("pinned", batch))
    assert [batch[0] for batch in DataLoader(Made(), 12, pin_memory=True)] == ["pinned", "pinned"]


def test_a_start_like_ours_is_taken_and_changes_nothing() -> None:
    context = torch.multiprocessing.get_context("spawn")
    for each in ("spawn", "forkserver", context):
        assert DataLoader(Made(), num_workers=1, multiprocessing_context=each).multiprocessing_context is each
