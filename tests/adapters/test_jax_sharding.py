"""JAX arrays over several devices, of one process and of two."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode, picture
from jax_devices import jax

import fastfeed as ff

Mesh, NamedSharding, P = jax.sharding.Mesh, jax.sharding.NamedSharding, jax.sharding.PartitionSpec

MESH = Mesh(np.array(jax.devices()), ("batch",))
BY_ROWS = NamedSharding(MESH, P("batch"))
EVERYWHERE = NamedSharding(MESH, P())
LABELS = np.arange(40, dtype=np.int32)
VALUES = np.arange(80, dtype=np.float32).reshape(40, 2)
jax.device_put(np.zeros(4), BY_ROWS)  # what it opens then stays open, and is nothing that a test has left behind


def feed_of(samples: int = 40, **options: Any) -> ff.Feed:
    return ff.arrays(VALUES[:samples], LABELS[:samples], **{"batch_size": 8, "num_workers": 1, **options})


def first(sharding: Any, **options: Any) -> Any:
    """The first batch of a feed under a sharding."""
    with feed_of(**options) as feed:
        return next(iter(feed.to_jax(sharding)))


def refused(sharding: Any, **options: Any) -> str:
    """What the user is told."""
    with pytest.raises(ff.ConfigError) as told:
        first(sharding, **options)
    return str(told.value).replace(str(BY_ROWS), "BY_ROWS").replace(str(EVERYWHERE), "EVERYWHERE")


# ---- one process, four devices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_each_device_has_its_part_of_every_batch_and_together_they_are_the_batch(workers: int) -> None:
    with feed_of(num_workers=workers) as feed:
        for k, (values, labels) in enumerate(feed.to_jax(BY_ROWS)):
            assert values.sharding == labels.sharding == BY_ROWS
            assert values.tolist() == VALUES[8 * k : 8 * k + 8].tolist()
            for number, shard in enumerate(labels.addressable_shards):
                assert shard.device == jax.devices()[number]
                assert shard.data.tolist() == LABELS[8 * k + 2 * number :][:2].tolist()
            del values, labels, shard


def test_parts_that_begin_where_a_device_can_read_are_the_memory_of_the_batch() -> None:
    data = np.arange(64 * 16, dtype=np.float32).reshape(64, 16)  # two rows are 128 bytes
    with ff.arrays(data, batch_size=8, num_workers=2) as feed:
        for values in feed.to_jax(BY_ROWS):
            memory = np.frombuffer(feed.shared_memory(), np.uint8)
            at = [shard.data.unsafe_buffer_pointer() - memory.ctypes.data for shard in values.addressable_shards]
            assert 0 <= at[0] < memory.nbytes
            assert np.diff(at).tolist() == [128, 128, 128]
            del memory, values
        assert feed.stats().copies == 0


@dataclasses.dataclass
class Sample:
    value: Any
    extra: Any


@pytest.mark.parametrize(
    ("sharding", "values", "labels"),
    [
        ((BY_ROWS, None), BY_ROWS, None),
        ([EVERYWHERE, BY_ROWS], EVERYWHERE, BY_ROWS),
        ((jax.devices()[3], BY_ROWS), jax.sharding.SingleDeviceSharding(jax.devices()[3]), BY_ROWS),
    ],
)
def test_parts_of_a_batch_may_be_sharded_each_in_its_way(sharding: Any, values: Any, labels: Any) -> None:
    made = first(sharding)
    default = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    assert [array.sharding for array in made] == [values or default, labels or default]


def test_a_tree_of_shardings_goes_by_key_and_covers_all_that_is_below() -> None:
    def sample(number: int) -> dict[str, Any]:
        return {"views": (np.full(2, number), np.float32(number)), "more": Sample(number, "text")}

    tree = {"more": {"extra": None, "value": EVERYWHERE}, "views": BY_ROWS}
    with ff.map(sample, range(8), batch_size=8, num_workers=0) as feed:
        made = next(iter(feed.to_jax(tree)))
    assert [array.sharding for array in made["views"]] == [BY_ROWS, BY_ROWS]
    assert made["views"][1].tolist() == list(range(8))
    assert made["more"].value.sharding == EVERYWHERE
    assert made["more"].extra == ["text"] * 8


# ---- what does not fit -----------------------------------------------------------------------------------------------


def test_a_short_last_batch_that_cannot_be_divided_is_refused_at_the_first_step() -> None:
    told = refused(BY_ROWS, samples=38)
    assert told.startswith(
        "sharding=BY_ROWS: pass drop_last=True to the feed, which leaves out the short last batch; batch[0] has shape "
        "(6, 2): it implies that array axis 0 is partitioned 4 times, but the dimension size is 6"
    )
    assert first(BY_ROWS, samples=38, drop_last=True)[0].shape == (8, 2)
    assert first(BY_ROWS, samples=36)[0].shape == (8, 2)
    assert first(EVERYWHERE, samples=38)[0].shape == (8, 2)
    with feed_of(samples=38) as feed:
        assert [len(labels) for _, labels in feed.to_jax((EVERYWHERE, None))] == [8, 8, 8, 8, 6]


def test_what_is_left_of_an_epoch_is_looked_at_as_well_before_an_iteration_goes_on_with_it() -> None:
    with feed_of(batch_size=2, num_workers=0) as feed:
        batches = iter(feed.to_jax())
        next(batches)
        state = batches.get_state()
    for drop_last in (False, True):
        with feed_of(drop_last=drop_last) as feed:
            batches = iter(feed.to_jax(BY_ROWS))
            assert next(batches)[1].tolist() == list(range(8))
            batches.set_state(state)
            if drop_last:
                assert [labels.tolist()[0] for _, labels in batches] == [2, 10, 18, 26]
            else:
                with pytest.raises(ff.ConfigError, match=r"pass drop_last=True to .*; batch\[0\] has shape \(6, 2\)"):
                    next(batches)


def test_a_batch_size_that_cannot_be_divided_is_refused() -> None:
    told = refused(BY_ROWS, batch_size=10)
    assert told.startswith(
        "sharding=BY_ROWS: pass a batch_size to the feed that it divides; batch[0] has shape (10, 2): it implies that "
        "array axis 0 is partitioned 4 times, but the dimension size is 10"
    )


def test_a_batch_that_is_short_for_its_bad_samples_is_refused_with_the_remedy_for_that() -> None:
    jpegs = [encode(picture(number)) for number in range(8)]
    jpegs[5] = b"no picture"
    options = {"labels": None, "dtype": "uint8", "batch_size": 4, "num_workers": 1}
    with ff.images(jpegs, 8, on_error="skip", **options) as feed:
        batches = iter(feed.to_jax(BY_ROWS))
        assert next(batches).shape == (4, 8, 8, 3)
        with pytest.raises(ff.ConfigError, match=r"pass on_error='replace' to .*; batch has shape \(3, 8, 8, 3"):
            next(batches)
    with ff.images(jpegs, 8, on_error="replace", **options) as feed:
        assert [batch.shape[0] for batch in feed.to_jax(BY_ROWS)] == [4, 4]


def test_batches_of_which_no_length_is_known_are_refused_when_they_come() -> None:
    with ff.map(np.float32, range(6), batch_size=4, num_workers=0) as feed:
        batches = iter(feed.to_jax(BY_ROWS))
        assert next(batches).tolist() == [0, 1, 2, 3]
        with pytest.raises(ff.ConfigError, match=r"pass batches that it divides, .* shape \(2,\): it implies"):
            next(batches)


@pytest.mark.parametrize(
    ("sharding", "place"),
    [
        (
            NamedSharding(MESH, P("batch", None)),
            r"batch\[1\] has shape \(8,\): .*rank at least 2, .*",
        ),
        (NamedSharding(MESH, P(None, "batch")), r"batch\[0\] has shape \(8, 2\): it implies that array axis 1"),
    ],
)
def test_a_sharding_of_other_axes_is_refused_with_the_array_that_it_does_not_fit(sharding: Any, place: str) -> None:
    with pytest.raises(
        ff.ConfigError, match=rf"pass one that fits each array of the batch, or a tree of them; {place}"
    ):
        first(sharding)


@pytest.mark.parametrize("tree", [(BY_ROWS,), {"values": BY_ROWS, "labels": BY_ROWS}, ((BY_ROWS, BY_ROWS), BY_ROWS)])
def test_a_tree_of_another_structure_is_refused_with_that_of_the_batch(tree: Any) -> None:
    assert refused(tree).endswith(": pass a tree of the structure that batches have: batch[0], batch[1]")


@pytest.mark.parametrize(
    ("sharding", "remedy"),
    [
        (P("batch"), "pass it with its mesh, jax.sharding.NamedSharding(mesh, spec)"),
        ((BY_ROWS, P()), "pass it with its mesh, jax.sharding.NamedSharding(mesh, spec)"),
        ("gpu", "pass a jax.sharding.Sharding, a jax.Device, None, or a tree of them such as (images, labels)"),
        (0, "pass a jax.sharding.Sharding, a jax.Device, None, or a tree of them such as (images, labels)"),
        (MESH, "pass a jax.sharding.Sharding, a jax.Device, None, or a tree of them such as (images, labels)"),
    ],
)
def test_what_is_no_sharding_is_refused_at_the_door(sharding: Any, remedy: str) -> None:
    with feed_of() as feed, pytest.raises(ff.ConfigError, match=rf"^sharding=.*: {re.escape(remedy)}$"):
        feed.to_jax(sharding)


# ---- two processes, two devices each ---------------------------------------------------------------------------------


def in_two_processes(**options: Any) -> list[tuple[int, list[Any], str]]:
    """How each of two processes of a program ended, the batches that it printed, and what it wrote to stderr."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    program = Path(__file__).with_name("jax_process.py")
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    running = [
        subprocess.Popen(
            [sys.executable, program, str(rank), address, json.dumps(options)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        done = []
        for process in running:
            output, error = process.communicate(timeout=200)
            lines = [line for line in output.splitlines() if line.startswith("{")]  # Gloo prints some, too
            done.append((process.returncode, [json.loads(line) for line in lines], error))
        return done
    finally:
        for process in running:
            process.kill()


def test_processes_that_feed_a_shard_each_have_global_arrays_of_both() -> None:
    done = in_two_processes(samples=19, drop_last=True)
    assert [(code, error) for code, _, error in done if code] == []
    for rank, (_, batches, _) in enumerate(done):
        assert batches == [
            {
                "shape": [8, 2],
                "total": [sum(range(first, first + 8)), 8],
                "own": list(range(first + rank, first + 8, 2)),
            }
            for first in (0, 8)
        ]


def test_each_of_several_processes_is_told_of_a_last_batch_that_cannot_be_divided() -> None:
    for code, batches, error in in_two_processes(samples=18):
        assert code
        assert batches == []
        assert "pass drop_last=True to the feed, which leaves out the short last batch; batch[0] has shape (1" in error
