"""The schedule: which samples make up which batch, for every combination of options."""

from __future__ import annotations

import itertools
import json
from array import array
from typing import Any

import numpy as np
import pytest

from fastfeed.errors import ConfigError
from fastfeed.schedule.cursor import Cursor
from fastfeed.schedule.schedule import Schedule


def batch(schedule: Schedule, epoch: int, k: int) -> list[int]:
    out = array("q", [-1] * schedule.batch_size)
    rows = schedule.fill(epoch, k, memoryview(out))
    assert rows == schedule.rows(k)
    assert out[rows:].tolist() == [-1] * (schedule.batch_size - rows)  # the rest of the column is not touched
    return out[:rows].tolist()


def epoch_of(schedule: Schedule, epoch: int = 0) -> list[list[int]]:
    return [batch(schedule, epoch, k) for k in range(schedule.batches)]


def flat(batches: list[list[int]]) -> list[int]:
    return [index for one in batches for index in one]


def test_without_shuffling_the_order_is_that_of_the_source() -> None:
    assert epoch_of(Schedule(7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert epoch_of(Schedule(7, 3), epoch=9) == [[0, 1, 2], [3, 4, 5], [6]]


def test_drop_last_leaves_out_the_short_batch() -> None:
    assert epoch_of(Schedule(7, 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert epoch_of(Schedule(6, 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]


def test_a_shard_takes_every_nth_position() -> None:
    assert epoch_of(Schedule(8, 2, shard=(1, 3))) == [[1, 4], [7]]


def test_shards_are_slices_of_the_one_shuffled_order() -> None:
    whole = flat(epoch_of(Schedule(50, 8, shuffle=True, seed=3), epoch=2))
    for rank in range(3):
        shard = Schedule(50, 4, shuffle=True, seed=3, shard=(rank, 3), uneven="keep")
        assert flat(epoch_of(shard, epoch=2)) == whole[rank::3]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_all_shards_together_deliver_every_sample_exactly_once(world: int, shuffle: bool) -> None:
    for n, size in itertools.product((1, 2, 3, 7, 64, 65, 200), (1, 2, 5, 64, 1000)):
        shards = [Schedule(n, size, shuffle, 5, shard=(rank, world), uneven="keep") for rank in range(world)]
        assert sorted(index for shard in shards for index in flat(epoch_of(shard, 1))) == list(range(n))
        lengths = [shard.samples for shard in shards]
        assert max(lengths) - min(lengths) <= 1
        for shard in shards:
            sizes = [shard.rows(k) for k in range(shard.batches)]
            assert sum(sizes) == shard.samples
            assert all(rows == size for rows in sizes[:-1])
            assert all(rows > 0 for rows in sizes)


@pytest.mark.parametrize(
    ("n", "size", "world"), [(64, 5, 1), (65, 5, 3), (200, 64, 3), (7, 1, 7), (7, 2, 3), (100, 9, 4)]
)
def test_with_drop_last_every_shard_has_as_many_full_batches(n: int, size: int, world: int) -> None:
    shards = [Schedule(n, size, True, 5, drop_last=True, shard=(rank, world)) for rank in range(world)]
    assert {shard.batches for shard in shards} == {n // world // size}
    batches = [one for shard in shards for one in epoch_of(shard, 3)]
    assert all(len(one) == size for one in batches)
    indices = flat(batches)
    assert len(set(indices)) == len(indices) == n // world // size * size * world


def test_more_shards_than_samples_leave_some_empty_where_they_are_kept_uneven() -> None:
    assert [Schedule(2, 4, shard=(rank, 3), uneven="keep").batches for rank in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("uneven", ["pad", "drop"])
def test_no_shard_has_a_batch_or_a_sample_more_than_another(world: int, shuffle: bool, uneven: str) -> None:
    for n, size in itertools.product((7, 8, 64, 65, 200), (1, 2, 5, 64)):
        shards = [Schedule(n, size, shuffle, 5, shard=(rank, world), uneven=uneven) for rank in range(world)]
        whole = flat(epoch_of(Schedule(n, size, shuffle, 5), 1))
        lengths = [[len(batch) for batch in epoch_of(shard, 1)] for shard in shards]
        assert all(each == lengths[0] for each in lengths)
        got = sorted(index for shard in shards for index in flat(epoch_of(shard, 1)))
        if uneven == "drop":
            assert got == sorted(whole[: n // world * world])
        else:
            assert got == sorted(whole + whole[: -n % world])


def test_fewer_samples_than_shards_are_dealt_out_again_and_again() -> None:
    shards = [Schedule(2, 4, shard=(rank, 5)) for rank in range(5)]
    assert [epoch_of(shard) for shard in shards] == [[[0]], [[1]], [[0]], [[1]], [[0]]]


def test_epochs_differ_and_the_same_epoch_does_not() -> None:
    schedule = Schedule(1000, 10, shuffle=True, seed=1)
    assert epoch_of(schedule, 0) == epoch_of(Schedule(1000, 10, shuffle=True, seed=1), 0)
    assert epoch_of(schedule, 0) != epoch_of(schedule, 1)
    assert epoch_of(schedule, 0) != epoch_of(Schedule(1000, 10, shuffle=True, seed=2), 0)


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    assert flat(epoch_of(Schedule(100, 7, True), 4)) == flat(epoch_of(Schedule(100, 30, True), 4))


def test_any_batch_can_be_asked_for_first() -> None:
    schedule = Schedule(100, 7, shuffle=True)
    assert batch(schedule, 2, 11) == epoch_of(schedule, 2)[11]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_numpy_column_can_be_filled(shuffle: bool) -> None:
    schedule = Schedule(10, 4, shuffle)
    column = np.full(4, -1, np.int64)
    assert schedule.fill(0, 2, memoryview(column)) == 2
    assert column.tolist() == [*batch(schedule, 0, 2), -1, -1]


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_largest_source_costs_nothing(shuffle: bool) -> None:
    n = 2**63 - 1
    schedule = Schedule(n, 1000, shuffle, 2**64 - 1, shard=(999, 1000))
    last = batch(schedule, 2**64 - 1, schedule.batches - 1)
    assert all(0 <= index < n for index in last)
    assert len(set(last)) == len(last)


@pytest.mark.parametrize("k", [-1, 3])
def test_a_batch_that_the_epoch_has_not_is_refused(k: int) -> None:
    with pytest.raises(IndexError, match=f"batch {k} of an epoch of 3 batches"):
        Schedule(7, 3).rows(k)


def test_numbers_of_other_kinds_are_taken_as_ints() -> None:
    schedule = Schedule(np.int32(9), np.uint8(2), seed=np.uint64(2**64 - 1), shard=[np.int64(0), 2])  # type: ignore[arg-type]
    assert schedule == Schedule(9, 2, seed=2**64 - 1, shard=(0, 2))
    assert type(schedule.n) is type(schedule.seed) is int
    assert repr(Schedule(9, 2)) == (
        "Schedule(n=9, batch_size=2, shuffle=False, seed=0, drop_last=False, shard=(0, 1), uneven='pad')"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n": 0}, "n=0: pass a source of 1 to 2**63 - 1 samples"),
        ({"n": 2**63}, "n=9223372036854775808: pass a source of 1 to 2**63 - 1 samples"),
        ({"batch_size": 0}, "batch_size=0: pass a whole number of samples, at least 1"),
        ({"batch_size": -3}, "batch_size=-3: pass a whole number"),
        ({"batch_size": True}, "batch_size=True: pass a whole number"),
        ({"batch_size": 2.0}, "batch_size=2.0: pass a whole number"),
        ({"batch_size": "32"}, "batch_size='32': pass a whole number"),
        ({"batch_size": None}, "batch_size=None: pass a whole number"),
        ({"seed": -1}, "seed=-1: pass a whole number from 0 to 2**64 - 1"),
        ({"seed": 2**64}, "seed=18446744073709551616: pass a whole number"),
        ({"seed": None}, "seed=None: pass a whole number"),
        ({"seed": False}, "seed=False: pass a whole number"),
        ({"shuffle": 1}, "shuffle=1: pass True or False"),
        ({"drop_last": "no"}, "drop_last='no': pass True or False"),
        (
            {"drop_last": True, "batch_size": 11},
            "drop_last=True, batch_size=11: pass False or a smaller batch_size; there are only 10",
        ),
        ({"uneven": "even"}, "uneven='even': pass one of 'pad', 'drop', 'keep'"),
        (
            {"uneven": "drop", "shard": (0, 11)},
            "uneven='drop': pass 'pad', or fewer shards; a shard has only 0 samples",
        ),
        ({"shard": 2}, "shard=2: pass (rank, world), such as (0, 4)"),
        ({"shard": (1, 2, 3)}, "shard=(1, 2, 3): pass (rank, world)"),
        ({"shard": (4, 4)}, "shard=(4, 4): pass (rank, world), rank from 0 to 3: ranks count from 0"),
        ({"shard": (-1, 4)}, "shard=(-1, 4): pass (rank, world), rank from 0 to 3"),
        ({"shard": (0, 0)}, "shard=(0, 0): pass (rank, world), world the number of shards, at least 1"),
        ({"shard": (0, True)}, "shard=(0, True): pass (rank, world), world the number"),
    ],
)
def test_an_option_that_cannot_work_is_named_with_its_remedy(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Schedule(**{"n": 10, "batch_size": 2, **options})
    assert text in str(caught.value)


def test_a_fingerprint_is_what_the_order_depends_on() -> None:
    here = Schedule(10, 4, True, 3, shard=(1, 2)).fingerprint()
    assert json.loads(json.dumps(here)) == here == Schedule(10, 5, True, 3, drop_last=True).fingerprint()
    assert here not in [
        Schedule(11, 4, True, 3).fingerprint(),
        Schedule(10, 4, False, 3).fingerprint(),
        Schedule(10, 4, True, 4).fingerprint(),
    ]


def test_an_iteration_begins_after_the_last_epoch_that_the_one_before_has_reached() -> None:
    cursor = Cursor(Schedule(3, 1))
    for epoch, batch, _ in cursor.begin(2):
        cursor.advance(epoch, batch)
    assert [unit[:2] for unit in cursor.begin(1)] == [(2, 0), (2, 1), (2, 2)]


def test_a_position_taken_while_two_epochs_are_delivered_at_once_knows_both() -> None:
    cursor = Cursor(Schedule(3, 1))
    order = [unit[:2] for unit in itertools.islice(cursor.begin(None), 9)]
    delivered = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 0), (0, 2), (1, 1)]
    for taken in range(len(delivered) + 1):
        resumed = Cursor(Schedule(3, 1))
        resumed.load(cursor.position())
        rest = {unit[:2] for unit in itertools.islice(resumed.begin(None), 9 - taken)}
        assert rest == set(order) - set(delivered[:taken])
        if taken < len(delivered):
            cursor.advance(*delivered[taken])


def test_the_epoch_that_was_set_is_where_the_next_iteration_stands() -> None:
    cursor = Cursor(Schedule(3, 1))
    for epoch, batch, _ in itertools.islice(cursor.begin(1), 2):
        cursor.advance(epoch, batch)
    cursor.set_epoch(7)
    assert cursor.position().epoch == 7
    assert [unit[:2] for unit in cursor.begin(1)] == [(7, 0), (7, 1), (7, 2)]
