"""JAX's arrays from a feed: whose memory they are, what JAX holds, epochs, states and checkpoints."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import probe
import pytest
from jax_devices import jax

import fastfeed as ff
from examples import p_jax, shapes

FEEDS: dict[str, Callable[..., ff.Feed]] = {
    "rows": lambda **options: ff.arrays(
        np.arange(80, dtype=np.float32).reshape(40, 2), np.arange(40, dtype=np.int32), batch_size=8, **options
    ),
    "payloads": lambda **options: ff.map(np.float32, range(40), batch_size=8, **options),
}


def leaves(batch: Any) -> list[Any]:
    return list(batch) if isinstance(batch, tuple) else [batch]


def flat(batches: Any) -> list[list[float]]:
    return [[np.asarray(leaf).flatten().tolist() for leaf in leaves(batch)] for batch in batches]


def expected(made: Callable[..., ff.Feed]) -> list[list[float]]:
    with made(num_workers=0) as feed:
        return flat(feed)


def batch_of(value: Any, **options: Any) -> Any:
    """What a loop gets for a batch that a function returns."""
    with ff.map(lambda _: value, [0], num_workers=0) as feed:
        return next(iter(feed.to_jax(**options)))


# ---- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_the_loop_gets_what_was_fed_as_arrays_of_jax(kind: str, workers: int) -> None:
    with FEEDS[kind](num_workers=workers) as feed, feed.to_jax() as loader:
        for _ in range(2):
            batches = list(loader)
            assert all(isinstance(leaf, jax.Array) for batch in batches for leaf in leaves(batch))
            assert flat(batches) == expected(FEEDS[kind])


@pytest.mark.parametrize("device", [None, 2])
def test_on_the_processor_an_array_is_the_very_memory_of_the_batch_and_nothing_is_copied(device: int | None) -> None:
    place = None if device is None else jax.devices()[device]
    with FEEDS["rows"](num_workers=2) as feed, feed.to_jax(place) as loader:
        for _ in range(4):
            for batch in loader:
                memory = np.frombuffer(feed.shared_memory(), np.uint8)
                for leaf in batch:
                    assert 0 <= leaf.unsafe_buffer_pointer() - memory.ctypes.data < memory.nbytes
                    assert leaf.devices() == {place or jax.devices()[0]}
                del memory, batch, leaf
        assert feed.stats().copies == 0


def test_nothing_that_the_loop_gets_can_be_written_to_or_leads_to_what_can() -> None:
    data = np.arange(16, dtype=np.float32)
    names = np.array([f"{k:02}" for k in range(16)])
    with ff.arrays(data, names, batch_size=8, num_workers=1) as feed:
        for values, texts in feed.to_jax():
            assert not np.asarray(values).flags.writeable
            assert texts.base is None
            before = np.asarray(values).tolist()
            texts[:] = "x"
            assert np.asarray(values).tolist() == before


def until_released(feed: ff.Feed, slot: Any) -> None:
    """Return when a slot is free: JAX lets go of what its threads have done with when it is called after that."""
    while probe.is_leased(feed, slot):
        jax.device_put(0)


def test_a_slot_stays_leased_as_long_as_an_array_lives_and_is_used_again_afterwards() -> None:
    with FEEDS["rows"](num_workers=1) as feed:
        batches = iter(feed.to_jax())
        values, labels = next(batches)
        slot = probe.slot_of(feed, values.unsafe_buffer_pointer())
        for array in (values, labels):
            assert probe.slot_of(feed, array.unsafe_buffer_pointer()) == slot
        del values, array
        list(batches)
        assert labels.tolist() == list(range(8))
        assert probe.is_leased(feed, slot)
        del labels
        until_released(feed, slot)


def test_arrays_that_are_kept_are_never_overwritten_and_outlive_the_feed() -> None:
    data = np.arange(400, dtype=np.float32).reshape(200, 2)
    with ff.arrays(data, batch_size=8, num_workers=2) as feed:
        kept = list(feed.to_jax())
    assert np.concatenate(kept).tolist() == data.tolist()


def test_a_computation_that_is_given_an_array_for_its_own_result_does_not_write_to_the_slot() -> None:
    add = jax.jit(lambda values: values + 1, donate_argnums=0)
    with FEEDS["rows"](num_workers=1) as feed:
        values, labels = next(iter(feed.to_jax()))
        memory = np.frombuffer(feed.shared_memory(), np.uint8)
        at = values.unsafe_buffer_pointer() - memory.ctypes.data
        made = add(values)
        assert made.tolist() == (np.arange(16.0).reshape(8, 2) + 1).tolist()
        assert memory[at : at + 64].view(np.float32).tolist() == list(range(16))
        del labels, memory


def test_a_function_may_fill_one_array_again_and_again() -> None:
    buffer = np.zeros((64, 64), np.float32)

    def fill(number: int) -> np.ndarray:
        buffer[:] = number
        return buffer

    with ff.map(fill, range(10), num_workers=0) as feed:
        kept = list(feed.to_jax())
    assert [float(array[0, 0]) for array in kept] == list(range(10))


Pair = collections.namedtuple("Pair", "image label")


@dataclasses.dataclass
class Views:
    first: Any
    second: Any


def test_structures_stay_and_only_what_jax_can_hold_becomes_an_array() -> None:
    batch = {
        "pair": Pair(np.ones((2, 3), np.uint8), np.int32(7)),
        "views": Views([np.zeros(2, np.float32), "a"], np.array(["cat", "dog"])),
        "numbers": (1, 2.5, None, b"x"),
        "objects": np.array([None, {}], object),
        "when": np.array(["2026-01-01"], "datetime64[D]"),
        "took": np.array([5], "timedelta64[s]"),
        "long": np.array([1.5], np.longdouble),
        "record": np.zeros(2, [("a", "i4")]),
    }
    made = batch_of(batch)
    assert type(made["pair"]) is Pair
    assert made["pair"].image.dtype == np.uint8
    assert isinstance(made["pair"].label, jax.Array)
    assert made["pair"].label.shape == ()
    assert made["pair"].label.item() == 7
    assert isinstance(made["views"], Views)
    assert made["views"].first[1] == "a"
    assert isinstance(made["views"].first[0], jax.Array)
    for kept in (made["views"].second, *(made[key] for key in ("objects", "when", "took", "long", "record"))):
        assert isinstance(kept, np.ndarray)
    assert made["numbers"] == (1, 2.5, None, b"x")


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.arange(6, dtype=np.int32)[::-1], "int32"),
        (np.arange(6, dtype=">i4"), "int32"),
        (np.broadcast_to(np.int16(3), (4,)), "int16"),
        (np.arange(12, dtype=np.float32).reshape(3, 4).T, "float32"),
        (np.array([True, False]), "bool"),
        (np.arange(3, dtype=np.complex64), "complex64"),
        (np.arange(3, dtype=jax.numpy.bfloat16), "bfloat16"),
        (np.zeros((0, 3), np.int64), "int32"),
    ],
)
def test_any_layout_and_byte_order_and_every_number_of_jax_will_do(array: np.ndarray, dtype: str) -> None:
    made = batch_of(array)
    assert made.dtype == dtype
    assert made.tolist() == array.tolist()


def test_64_bits_become_32_as_everywhere_in_jax_but_no_integer_another_one() -> None:
    assert batch_of(np.array([2**31 - 1, -(2**31)])).tolist() == [2**31 - 1, -(2**31)]
    assert batch_of(np.array([2**32 - 1], np.uint64)).tolist() == [2**32 - 1]
    assert batch_of(np.array([0.1])).dtype == np.float32
    remedy = r"^jax_enable_x64=False: pass True, by .*; batch\['ids'\]\[1\] has 2147483648, which 32 bits do not hold$"
    with pytest.raises(ff.ConfigError, match=remedy):
        batch_of({"ids": (np.arange(3), np.array([0, 2**31]))})
    with pytest.raises(ff.ConfigError, match=r"; batch has -1\d+, which 32 bits"):
        batch_of(np.int64(-(10**12)))
    with jax.enable_x64(True):
        made = batch_of({"ids": np.array([2**40]), "part": np.array([0.1])})
    assert made["ids"].dtype == np.int64
    assert made["ids"].tolist() == [2**40]
    assert made["part"].dtype == np.float64


# ---- loops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_iterators_that_are_never_stepped_change_nothing_and_an_epoch_set_after_them_counts(workers: int) -> None:
    options = {"batch_size": 8, "shuffle": True, "num_workers": workers}
    with ff.arrays(np.arange(40, dtype=np.int32), **options) as feed:
        epochs = [[batch.tolist() for batch in feed] for _ in range(4)]
    with ff.arrays(np.arange(40, dtype=np.int32), **options) as feed, feed.to_jax() as loader:
        for _ in range(10):
            iter(loader)
            loader.repeat()
        assert [batch.tolist() for batch in loader] == epochs[0]
        batches = iter(loader)
        loader.set_epoch(3)
        assert [batch.tolist() for batch in batches] == epochs[3]
        assert len(loader) == 5


def test_an_iteration_may_run_across_epochs() -> None:
    with ff.arrays(np.arange(40, dtype=np.int32), batch_size=8, shuffle=True, num_workers=1) as feed:
        two = [batch.tolist() for _ in range(2) for batch in feed]
    with ff.arrays(np.arange(40, dtype=np.int32), batch_size=8, shuffle=True, num_workers=1) as feed:
        loader = feed.to_jax()
        assert [batch.tolist() for batch in loader.repeat(2)] == two
        loader.set_epoch(0)
        steps = loader.repeat()
        assert [next(steps).tolist() for _ in range(10)] == two
        with pytest.raises(ff.ConfigError, match="n=-1"):
            loader.repeat(-1)


def test_a_loop_that_was_left_has_had_its_epoch_and_its_batches_ahead_are_given_back() -> None:
    with ff.arrays(np.arange(40, dtype=np.int32), batch_size=8, shuffle=True, num_workers=1) as feed:
        epochs = [[batch.tolist() for batch in feed] for _ in range(2)]
        feed.set_epoch(0)
        loader = feed.to_jax()
        for batch in loader:
            assert batch.tolist() == epochs[0][0]
            break
        del batch
        for slot in range(len(probe.ring(feed).slots)):
            until_released(feed, slot)
        assert [batch.tolist() for batch in loader] == epochs[1]


def test_an_iterator_that_is_closed_is_over_and_the_feed_goes_on() -> None:
    with FEEDS["rows"](num_workers=1) as feed, feed.to_jax() as loader:
        batches = iter(loader)
        next(batches)
        batches.close()
        assert list(batches) == []
        assert flat(loader) == expected(FEEDS["rows"])


def test_prefetching_starts_the_workers_and_the_loop_still_gets_every_batch() -> None:
    with FEEDS["rows"](num_workers=1) as feed, feed.to_jax() as loader:
        state = loader.state_dict()
        batches = iter(loader)
        batches.start_prefetch()
        batches.start_prefetch()
        assert len(probe.workers(feed)) == 1
        assert batches.state_dict() == state
        assert flat(batches) == expected(FEEDS["rows"])


# ---- states and checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", range(6))
def test_the_state_is_where_the_loop_stands_and_not_the_batch_that_is_ahead_of_it(stop: int) -> None:
    whole = expected(FEEDS["rows"])
    with FEEDS["rows"](num_workers=1) as feed:
        batches = feed.to_jax().repeat()
        seen = flat(next(batches) for _ in range(stop))
        state = batches.get_state()
        assert json.loads(state) == batches.state_dict()
    with FEEDS["rows"](num_workers=2) as feed:
        batches = iter(feed.to_jax())
        batches.set_state(state)
        batches.load_state_dict({})
        assert seen[: 5 if stop < 5 else 0] + flat(batches) == whole


def test_an_iterator_may_be_set_back_and_forth_while_it_runs() -> None:
    whole = expected(FEEDS["rows"])
    with FEEDS["rows"](num_workers=1) as feed:
        batches = iter(feed.to_jax())
        states = [batches.get_state()]
        for _ in range(3):
            next(batches)
            states.append(batches.get_state())
        for k in (2, 0, 3, 1):
            batches.set_state(states[k])
            assert batches.get_state() == states[k]
            assert flat([next(batches)]) == whole[k : k + 1]


@pytest.mark.parametrize("state", [b"", b"\xff", None, b"nonsense", b"[]", b'{"epoch": 1}'])
def test_a_state_that_is_none_is_refused_and_the_iterator_goes_on(state: Any) -> None:
    with FEEDS["rows"](num_workers=0) as feed:
        batches = iter(feed.to_jax())
        next(batches)
        with pytest.raises(ff.ConfigError, match=r"pass (that|what get_state\(\) returned), unchanged"):
            batches.set_state(state)
        assert flat(batches) == expected(FEEDS["rows"])[1:]


def test_a_feed_without_a_schedule_says_that_it_has_no_state() -> None:
    with ff.map(np.float32, iter(range(5)), num_workers=0) as feed:
        batches = iter(feed.to_jax())
        next(batches)
        with pytest.raises(ff.ConfigError):
            batches.get_state()
        assert len(list(batches)) == 4


MODEL = {"weights": jax.numpy.arange(3.0)}


@pytest.fixture(scope="module")
def ocp(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Orbax, which has opened what it keeps open."""
    module = pytest.importorskip("orbax.checkpoint.experimental.v1", reason="Orbax is not installed")
    folder = tmp_path_factory.mktemp("first") / "step"
    module.save(folder, MODEL)
    module.load(folder, MODEL)
    return module


@pytest.mark.parametrize("which", ["iterator", "loader"])
def test_orbax_saves_and_loads_it_beside_a_model(which: str, ocp: Any, tmp_path: Path) -> None:
    whole = expected(FEEDS["rows"])
    with FEEDS["rows"](num_workers=1) as feed, feed.to_jax() as loader:
        batches = iter(loader)
        seen = flat(next(batches) for _ in range(2))
        dataset = batches if which == "iterator" else loader
        ocp.save_checkpointables(tmp_path / "step", {"pytree": MODEL, "dataset": dataset})
    with FEEDS["rows"](num_workers=2) as feed, feed.to_jax() as loader:
        batches = iter(loader)
        dataset = batches if which == "iterator" else loader
        loaded = ocp.load_checkpointables(tmp_path / "step", {"pytree": MODEL, "dataset": dataset})
        assert loaded["pytree"]["weights"].tolist() == [0, 1, 2]
        assert loaded["dataset"] is dataset
        batches.start_prefetch()
        assert seen + flat(batches) == whole


def test_a_checkpoint_of_other_processes_begins_where_the_first_of_them_stood(ocp: Any, tmp_path: Path) -> None:
    with FEEDS["rows"](num_workers=0) as feed:
        batches = iter(feed.to_jax())
        next(batches)
        ocp.save_checkpointables(tmp_path / "step", {"dataset": batches})
        assert [file.name for file in (tmp_path / "step" / "dataset").iterdir()] == ["process_0-of-1.json"]
        (tmp_path / "step" / "dataset" / "process_0-of-1.json").rename(tmp_path / "step/dataset/process_0-of-3.json")
        list(batches)
        ocp.load_checkpointables(tmp_path / "step", {"dataset": batches})
        assert flat(batches) == expected(FEEDS["rows"])[1:]
        (tmp_path / "step" / "dataset" / "process_0-of-3.json").unlink()
        with pytest.raises(ff.ConfigError, match=r"dataset holds no state of a feed: pass a checkpoint to which one"):
            ocp.load_checkpointables(tmp_path / "step", {"dataset": batches})


def test_one_process_goes_on_where_several_that_deliver_in_any_order_stood(tmp_path: Path) -> None:
    seen: list[int] = []
    for rank in range(2):
        options = {"batch_size": 4, "shard": (rank, 2), "num_workers": 2, "ordered": False}
        with ff.arrays(np.arange(40, dtype=np.int32), **options) as feed:
            batches = iter(feed.to_jax())
            seen += [label for _ in range(2) for label in next(batches).tolist()]
            (tmp_path / f"process_{rank}-of-2.json").write_bytes(batches.get_state())
    with ff.arrays(np.arange(40, dtype=np.int32), batch_size=4, num_workers=1) as feed:
        batches = iter(feed.to_jax())
        asyncio.run(completed(batches.load(tmp_path)))
        seen += [label for batch in batches for label in batch.tolist()]
    assert sorted(seen) == list(range(40))


async def completed(loading: Any) -> None:
    """Wait for both of the steps that Orbax takes."""
    await (await loading)


# ---- the program of the page -----------------------------------------------------------------------------------------


def test_the_example_learns(tmp_path: Path) -> None:
    shapes.draw(tmp_path, 100)
    losses = p_jax.train(tmp_path)
    assert losses[-1] < losses[0] / 2
