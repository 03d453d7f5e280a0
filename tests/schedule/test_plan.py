"""Plans: any batch of any epoch, made where it is asked for, with the bytes that the feed yields."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastfeed as ff


def same(batch: Any, other: Any) -> bool:
    if isinstance(batch, dict):
        return batch.keys() == other.keys() and all(same(batch[key], other[key]) for key in batch)
    if isinstance(batch, tuple):
        return len(batch) == len(other) and all(map(same, batch, other))
    return batch.dtype == other.dtype and np.array_equal(batch, other)


def brightened(pixels: np.ndarray) -> np.ndarray:
    return pixels // 2 + 100


@pytest.mark.parametrize("callables", [[], [brightened, lambda pixels: pixels ^ 1]], ids=["native", "callables"])
def test_a_batch_is_the_one_that_the_feed_yields(photos: Path, callables: list[Any]) -> None:
    transforms = [ff.RandomResizedCrop(16), ff.RandomHorizontalFlip(), *callables]
    with ff.images(
        photos,
        transforms=transforms,
        batch_size=8,
        shuffle=True,
        seed=None,
        shard=(1, 2),
        with_index=True,
        num_workers=1,
    ) as feed:
        plan = pickle.loads(pickle.dumps(feed.plan()))
        assert plan.batches() == len(feed) == 4
        for epoch in range(2):
            for k, batch in enumerate(feed):
                assert same(plan.make(epoch, k), batch)
        assert same(plan.make(7, 2), feed.plan().make(7, 2))


@pytest.mark.parametrize("given", [{"x": np.arange(100.0).reshape(50, 2), "y": list(range(50))}, np.arange(50) * 1j])
def test_a_plan_of_arrays_carries_them(given: Any) -> None:
    with ff.arrays(given, batch_size=8, shuffle=True, num_workers=1) as feed:
        plan = pickle.loads(pickle.dumps(feed.plan()))
        assert all(same(plan.make(0, k), batch) for k, batch in enumerate(feed))
        assert plan.digest == feed.plan().digest


def test_a_plan_is_printed_with_the_options_that_were_given(photos: Path) -> None:
    plan = ff.images(ff.files(photos), 16, shuffle=True, weights=None, shard=(1, 2)).plan()
    text = f"<Plan of images(source=Files(50 files in '{photos}/'), size=16, shuffle=True, shard=(1, 2))>"
    assert repr(plan) == repr(pickle.loads(pickle.dumps(plan))) == text
    weights = ff.Weights(np.ones(5), replacement=False)
    text = "<Plan of arrays(array([0, 1, 2, 3, 4]), weights=Weights(5 weights, num_samples=None, replacement=False), "
    assert repr(ff.arrays(np.arange(5), weights=weights).plan()) == f"{text}shard=(0, 1))>"
    assert repr(ff.Weights("balanced", 3)) == "Weights('balanced', num_samples=3, replacement=True)"


def test_a_plan_of_a_folder_is_small_and_lists_it_afresh(photos: Path) -> None:
    plan = ff.images(photos, 16, num_workers=0).plan()
    assert len(pickle.dumps(plan)) < 2000
    with plan.feed(num_workers=1, batch_size=50) as feed:
        assert [len(batch) for batch in feed] == [50]


def test_the_memory_of_a_batch_may_be_given(photos: Path) -> None:
    plan = ff.images(photos, 16, labels=None, dtype="uint8", batch_size=8, num_workers=0).plan()
    assert plan.batch_bytes == 8 * 16 * 16 * 3
    memory = mmap.mmap(-1, plan.batch_bytes)
    batch = plan.make(0, 1, memory)
    assert memory[:] == batch.tobytes() == plan.make(0, 1).tobytes()
    del batch
    memory.close()
    for wrong, text in (
        (bytes(plan.batch_bytes), "pass writable memory of at least 6144 bytes"),
        (bytearray(100), "'a buffer of 100 bytes': pass writable memory"),
        (np.empty((8, 8, 3))[:, ::2], "out='ndarray': pass a contiguous writable buffer"),
        (3, "out='int': pass a contiguous writable buffer"),
    ):
        with pytest.raises(ff.ConfigError, match=text):
            plan.make(0, 1, wrong)


def test_a_schema_says_what_a_batch_looks_like(photos: Path) -> None:
    named: dict[str, Any] = {"size": np.zeros((50, 2), np.float32), "name": [f"{number}" for number in range(50)]}
    plan = ff.images(photos, (8, 9), labels=named, batch_size=10, layout="NCHW", num_workers=0).plan()
    images, labels = plan.schema
    assert images == ((10, 3, 8, 9), np.float32)
    assert labels["size"] == ((10, 2), np.float32)
    assert labels["name"] is None
    assert ff.arrays(range(50), batch_size=8, num_workers=0).plan().schema == ((None,), np.int64)
    assert ff.images(photos, 8, batch_size=10, on_error="skip", num_workers=0).plan().schema.shape[0] is None


def test_a_digest_tells_plans_apart_and_not_machines(photos: Path, make_folder: Any) -> None:
    def digest(source: object, **options: Any) -> str:
        return ff.images(source, **{"size": 16, "num_workers": 0, **options}).plan().digest

    copy = make_folder({file.name: file.read_bytes() for file in photos.iterdir()})
    here = digest(photos)
    assert here == digest(str(copy)) == digest(sorted(map(str, photos.iterdir()))) == digest(photos, num_workers=1)
    changes: list[dict[str, Any]] = [
        {"size": 17},
        {"shuffle": True},
        {"seed": 1},
        {"batch_size": 2},
        {"shard": (0, 2)},
        {"labels": range(50)},
        {"on_error": "skip"},
        {"transforms": [brightened]},
    ]
    assert len({here, *(digest(photos, **change) for change in changes)}) == 1 + len(changes)
    (copy / "000.jpg").unlink()
    assert digest(str(copy)) != here


def test_a_batch_of_nothing_but_bad_samples_is_none(make_folder: Any) -> None:
    folder = make_folder({"a.jpg": b"not an image"})
    options: dict[str, Any] = {"labels": None, "num_workers": 0}
    with pytest.warns(RuntimeWarning, match="no sample of an epoch could be used"):
        assert ff.images(folder, 8, on_error="skip", **options).plan().make(0, 0) is None
    with pytest.raises(ff.SampleError, match=r"a\.jpg"):
        ff.images(folder, 8, **options).plan().make(0, 0)


def test_what_cannot_be_asked_for_is_refused_in_words() -> None:
    plan = ff.arrays(range(10), batch_size=4, num_workers=0).plan()
    with pytest.raises(ff.ConfigError, match="k=3: pass a batch of the epoch, from 0 to 2"):
        plan.make(0, 3)
    with pytest.raises(ff.ConfigError, match="epoch=-1"):
        plan.make(-1, 0)
    with pytest.raises(ff.ConfigError, match=r"plan\(\) is for images\(\) and arrays\(\)"):
        ff.map(abs, [1], num_workers=0).plan()
    with pytest.raises(ff.ConfigError, match="without a sampler="):
        ff.arrays(range(10), sampler=[1, 2], num_workers=0).plan()
