"""Rows of arrays and memmaps: every dtype, order and shape, shared once, files without a copy, and what goes wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import probe
import pytest

import fastfeed as ff
from fastfeed.table import columns

N = 103


def numbers(*shape: int, dtype: str = "float32", n: int = N) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 100, (n, *shape)).astype(dtype)


def fed(*given: object, **options: Any) -> list[Any]:
    with ff.arrays(*given, **{"batch_size": 10, "num_workers": 2, **options}) as feed:
        return list(feed)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., np.memmap]:
    """Save an array and map the file."""

    def save(array: np.ndarray, mode: str = "r") -> np.memmap:
        np.save(tmp_path / "x.npy", array)
        return np.load(tmp_path / "x.npy", mmap_mode=mode)

    return save


def is_shared_from_file(feed: ff.Feed) -> bool:
    """Whether nothing of a feed has to be copied."""
    return probe.table_fd(feed) is None


# ---- what comes out


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_one_array_gives_arrays_and_several_give_tuples_and_a_dict_gives_dicts(workers: int) -> None:
    x, y = numbers(2, 3), np.arange(N)
    (one,) = fed(x, batch_size=N, num_workers=workers)
    np.testing.assert_array_equal(one, x)
    ((first, second),) = fed(x, y, batch_size=N, num_workers=workers)
    np.testing.assert_array_equal(first, x)
    np.testing.assert_array_equal(second, y)
    (named,) = fed({"x": x, "y": y}, batch_size=N, num_workers=workers)
    assert list(named) == ["x", "y"]
    np.testing.assert_array_equal(named["y"], y)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_index_comes_last(workers: int) -> None:
    x = numbers(4)
    for batch, index in fed(x, with_index=True, shuffle=True, num_workers=workers):
        np.testing.assert_array_equal(batch, x[index])
    for named, index in fed({"x": x}, with_index=True, shuffle=True, num_workers=workers):
        np.testing.assert_array_equal(named["x"], x[index])


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 100, 103, 1000])
def test_batches_are_the_same_for_any_number_of_workers(batch_size: int, ordered: bool) -> None:
    x, y = numbers(5, dtype="uint8"), np.arange(N)
    options = {"batch_size": batch_size, "shuffle": True, "seed": 3}
    here = [(a.tobytes(), b.tolist()) for a, b in fed(x, y, num_workers=0, **options)]
    there = [(a.tobytes(), b.tolist()) for a, b in fed(x, y, num_workers=3, ordered=ordered, **options)]
    assert here == there if ordered else sorted(here) == sorted(there)
    assert sorted(row for _, rows in here for row in rows) == list(range(N))


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_batch_too_large_for_the_caches_has_its_rows_in_place(shuffle: bool) -> None:
    x = np.arange(40 * 1_000_003, dtype=np.uint8).reshape(40, -1)  # 34 MB a batch; no row but the first is aligned
    for batch, index in fed(x, batch_size=34, shuffle=shuffle, with_index=True, num_workers=2, prefetch=2):
        assert np.array_equal(batch, x[index])


def test_epochs_differ_and_a_state_goes_on_where_it_was_taken() -> None:
    y = np.arange(N)
    with ff.arrays(y, batch_size=10, shuffle=True, num_workers=2) as feed:
        assert len(feed) == 11
        first = [batch.tolist() for batch in feed]
        second = [batch.tolist() for batch in feed]
        assert first != second
        feed.set_epoch(1)
        iterator = iter(feed)
        assert [next(iterator).tolist() for _ in range(4)] == second[:4]
        state = feed.state_dict()
    with ff.arrays(y, batch_size=10, shuffle=True, num_workers=0) as feed:
        feed.load_state_dict(state)
        assert [batch.tolist() for batch in feed] == second[4:]


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"batch_size": 10}, (10, 3)),
        ({"batch_size": 10, "drop_last": True}, (10,)),
        ({"batch_size": 103}, (103,)),
        ({"batch_size": 200}, (103,)),
        ({"batch_size": 10, "shard": (1, 4)}, (10, 6)),
        ({"batch_size": 13, "shard": (0, 4)}, (13,)),
    ],
)
def test_the_sizes_of_batches_are_known_beforehand(options: dict[str, Any], sizes: tuple[int, ...]) -> None:
    with ff.arrays(numbers(), num_workers=0, **options) as feed:
        assert feed.job.sizes() == sizes
        found = [len(batch) for batch in feed]
        assert tuple(sorted(set(found), reverse=True)) == sizes


def test_the_sizes_of_a_samplers_batches_are_not_known() -> None:
    with ff.arrays(numbers(), batch_size=10, sampler=[[1, 2, 3], [4]], num_workers=0) as feed:
        assert feed.job.sizes() == ()
        assert [len(batch) for batch in feed] == [3, 1]


def test_the_sizes_of_batches_of_a_part_of_an_epoch_are_known_as_well() -> None:
    with ff.arrays(numbers(), batch_size=10, num_workers=0) as feed:
        next(iter(feed))
        state = feed.state_dict()
    with ff.arrays(numbers(), batch_size=20, num_workers=0) as feed:
        assert feed.job.sizes() == (20, 3)
        feed.load_state_dict(state)
        assert feed.job.sizes() == (20, 13, 3)
        assert [len(batch) for batch in feed] == [20, 20, 20, 20, 13]
        assert feed.job.sizes() == (20, 3)


def test_shards_and_drop_last_follow_the_schedule() -> None:
    y = np.arange(N)
    shards = [np.concatenate(fed(y, shard=(rank, 3), uneven="keep", shuffle=True)) for rank in range(3)]
    assert sorted(np.concatenate(shards).tolist()) == list(range(N))
    assert [len(batch) for batch in fed(y, drop_last=True)] == [10] * 10
    assert fed(y[:2], shard=(2, 3), uneven="keep") == []


@pytest.mark.parametrize(("workers", "prefetch"), [(0, 2), (2, 2), (2, 20)])  # where slots are scarce, copies
def test_every_batch_is_contiguous_aligned_and_writable(workers: int, prefetch: int) -> None:
    shapes = {(3,): "uint8", (): "float64", (5, 7): "int16", (1,): "uint8"}
    given = [numbers(*shape, dtype=dtype) for shape, dtype in shapes.items()]
    batches = fed(*given, batch_size=9, num_workers=workers, prefetch=prefetch, with_index=True)
    assert len(batches[-1][0]) == N % 9
    for batch in batches:
        for array in batch:
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert array.ctypes.data % 64 == 0
    for position, array in enumerate(given):
        for batch in batches:
            batch[position][...] = batch[position]  # writing to one column must not reach another
        np.testing.assert_array_equal(np.concatenate([batch[position] for batch in batches]), array)


def test_a_batch_that_is_kept_is_never_overwritten() -> None:
    y = numbers(50)
    np.testing.assert_array_equal(np.concatenate(fed(y, prefetch=2)), y)


# ---- what goes in


STRUCTURED = np.dtype([("a", "u1"), ("b", ">f4", (2,)), ("c", "S3")])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "array",
    [
        numbers(3, dtype="bool"),
        numbers(dtype="complex128"),
        numbers(2, dtype=">i4"),
        numbers(4, dtype="float16"),
        numbers().astype("datetime64[s]"),
        numbers(2).astype("timedelta64[ms]"),
        numbers(2).astype("U5"),
        numbers().astype("S4"),
        np.array([(i % 256, (i, -i), b"abc"[: i % 4]) for i in range(N)], STRUCTURED),
        numbers(0),
        numbers(3, 0, 2),
        np.array([""] * N, "U0"),
        np.zeros((N, 2), "V3"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape[1:]}",
)
def test_any_dtype_and_shape_arrives_as_it_is(array: np.ndarray, workers: int) -> None:
    batches = fed(array, np.arange(N), num_workers=workers, shuffle=True)
    for batch, index in batches:
        assert batch.dtype == array.dtype
        assert batch.shape == (len(index), *array.shape[1:])
        assert batch.tobytes() == array[index].tobytes()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "of",
    [
        np.asfortranarray,
        lambda x: x.transpose(0, 2, 1),
        lambda x: x[::-1],
        lambda x: x[:, ::2],
        lambda x: x[..., 1],
        lambda x: np.broadcast_to(x[0], x.shape),
    ],
    ids=["fortran", "transposed", "reversed", "strided", "column", "broadcast"],
)
def test_any_order_arrives_as_it_is(of: Callable[[np.ndarray], np.ndarray], workers: int) -> None:
    array = of(numbers(4, 6))
    for batch, index in fed(array, with_index=True, shuffle=True, num_workers=workers):
        np.testing.assert_array_equal(batch, array[index])


@pytest.mark.parametrize("workers", [0, 2])
def test_lists_and_whatever_has_an_array_method_are_converted(workers: int) -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return np.arange(6).reshape(3, 2)

    ((a, b, c),) = fed([1, 2, 3], Tensor(), ["x", "yy", "z"], num_workers=workers)
    assert a.tolist() == [1, 2, 3]
    assert b.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert c.tolist() == ["x", "yy", "z"]


def test_arrays_are_copied_once_for_all_epochs_and_workers() -> None:
    with ff.arrays(numbers(3), batch_size=10, num_workers=2) as feed:
        list(feed)
        table = os.stat(probe.table_fd(feed))
        list(feed)
        assert os.stat(probe.table_fd(feed)) == table
    assert table.st_size == N * 12


def test_without_workers_nothing_is_copied() -> None:
    with ff.arrays(numbers(3), batch_size=10, num_workers=0) as feed:
        list(feed)
        assert not probe.has_copied(feed)


# ---- files


ROWS = {"mapped": (7,), "read": (50, 30)}  # below and above the size from which rows are read


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shape", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memmap_is_fed_from_its_file(saved: Callable[..., np.memmap], mode: str, shape: Any, workers: int) -> None:
    array = numbers(*shape)
    mapped = saved(array, mode)
    with ff.arrays(mapped, batch_size=10, shuffle=True, with_index=True, num_workers=workers) as feed:
        assert is_shared_from_file(feed)
        for batch, index in feed:
            np.testing.assert_array_equal(batch, array[index])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "of",
    [
        lambda x: x[13:71],
        lambda x: x[::-3],
        lambda x: x[:, 2:4],
        lambda x: x[5:, 3],
        lambda x: np.asarray(x)[1:],
        lambda x: x.reshape(N * 5, 30),
    ],
    ids=["slice", "backwards", "columns", "column", "plain", "reshaped"],
)
def test_a_part_of_a_memmap_is_fed_from_its_file(
    saved: Callable[..., np.memmap], of: Callable[[np.ndarray], np.ndarray], workers: int
) -> None:
    array = numbers(5, 30)
    part, expected = of(saved(array)), of(array)
    with ff.arrays(part, batch_size=10, shuffle=True, with_index=True, num_workers=workers) as feed:
        assert is_shared_from_file(feed)
        for batch, index in feed:
            np.testing.assert_array_equal(batch, expected[index])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_memmap_with_an_offset_and_fields(tmp_path: Path, workers: int) -> None:
    array = np.array([(i % 256, (i, -i), b"abc") for i in range(N)], STRUCTURED)
    (tmp_path / "x.bin").write_bytes(b"head!" * 1001 + array.tobytes())
    mapped = np.memmap(tmp_path / "x.bin", STRUCTURED, "r", offset=5005)
    with ff.arrays(mapped, mapped["b"], batch_size=N, num_workers=workers) as feed:
        assert is_shared_from_file(feed)
        ((whole, field),) = feed
    assert whole.tobytes() == array.tobytes()
    np.testing.assert_array_equal(field, array["b"])


def test_what_is_written_to_the_file_is_seen(saved: Callable[..., np.memmap]) -> None:
    mapped = saved(numbers(3), "r+")
    with ff.arrays(mapped, batch_size=N, num_workers=1) as feed:
        next(iter(feed))
        mapped[5] = -1
        assert next(iter(feed))[5].tolist() == [-1, -1, -1]


def test_what_mode_c_keeps_from_the_file_is_seen_too(saved: Callable[..., np.memmap]) -> None:
    mapped = saved(numbers(3), "c")
    mapped[5] = -1
    with ff.arrays(mapped, batch_size=N, num_workers=1) as feed:
        assert not is_shared_from_file(feed)
        assert next(iter(feed))[5].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_was_replaced_is_not_mistaken_for_the_mapped_one(
    saved: Callable[..., np.memmap], workers: int
) -> None:
    array = numbers(3)
    mapped = saved(array)
    path = Path(mapped.filename)
    np.save(path.with_name("other.npy"), array + 1)
    path.with_name("other.npy").rename(path)
    np.testing.assert_array_equal(np.concatenate(fed(mapped, num_workers=workers)), array)


def test_a_file_may_be_removed_once_the_feed_is_made(saved: Callable[..., np.memmap]) -> None:
    array = numbers(3)
    mapped = saved(array)
    with ff.arrays(mapped, batch_size=10, num_workers=2) as feed:
        Path(mapped.filename).unlink()
        np.testing.assert_array_equal(np.concatenate(list(feed)), array)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shape", ROWS.values(), ids=ROWS)
def test_a_file_that_shrinks_is_an_error_and_not_a_bus_error(
    saved: Callable[..., np.memmap], shape: Any, workers: int
) -> None:
    mapped = saved(numbers(*shape), "r")
    with ff.arrays(mapped, batch_size=10, num_workers=workers) as feed:
        list(feed)
        os.truncate(mapped.filename, 200)
        with pytest.raises(ff.SampleError, match=r"x\.npy: the file has shrunk to 200 bytes.*make a new feed"):
            list(feed)
        assert [error.index for error in feed.errors] == [0]
        assert feed.stats().deaths == 0


# ---- deaths


def test_a_killed_worker_costs_nothing() -> None:
    y = np.arange(20_000)
    with ff.arrays(y, batch_size=100, shuffle=True, num_workers=2) as feed:
        expected = [batch.tolist() for batch in feed]
        feed.set_epoch(0)
        seen = []
        for batch in feed:
            if len(seen) in (3, 90):
                probe.kill(feed)
            seen.append(batch.tolist())
        assert seen == expected


def test_a_batch_that_has_cost_two_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with ff.arrays(np.arange(N), batch_size=100, num_workers=1) as feed:
        probe.start(feed)
        job, ring = probe.job(feed), probe.ring(feed)
        opened = ring.open
        (worker,) = probe.workers(feed)
        os.kill(worker, signal.SIGSTOP)
        os.waitid(os.P_PID, worker, os.WSTOPPED)

        def open_and_give_up(slot: Any, unit: Any, epoch: int, rows: int, addressee: int) -> None:
            opened(slot, unit, epoch, rows, addressee)
            for row in job.forbidden(50, rows):
                ring.forbid(slot, row)
            if unit[:2] == (0, 1):
                os.kill(worker, signal.SIGCONT)

        monkeypatch.setattr(ring, "open", open_and_give_up)
        with pytest.raises(ff.SampleError):
            list(feed)
        assert len(feed.errors) == 1


# ---- what cannot work


class Ragged:
    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise RuntimeError("it requires grad")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "at least one"),
        (({},), "empty dict"),
        (({"x": [1]}, [2]), "one dict"),
        (([1, 2, 3], [1, 2]), "array 0 has 3, array 1 has 2"),
        (({"x": [1, 2, 3], "y": [1, 2]},), "array 'x' has 3, array 'y' has 2"),
        (([None, 1],), r"dtype object.*ff\.map"),
        ((np.zeros(3, [("a", "O")]),), r"ff\.map"),
        ((iter([1, 2]),), r"ff\.map"),
        (([[1, 2], [3]],), r"one shape.*ff\.map"),
        ((Ragged(),), "requires grad"),
        ((5,), "first axis"),
        (([],), "no rows"),
        (((np.zeros(2), np.ones(2)),), "one by one"),
        ((np.ma.zeros(3),), "filled"),
    ],
)
def test_arrays_that_cannot_be_fed_are_refused_with_a_remedy(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        ff.arrays(*given)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"shuffle": 1}, {"with_index": 1}, {"shard": (1, 1)}, {"num_workers": -1}, {"seed": -1}],
)
def test_options_that_cannot_work_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ff.ConfigError, match=next(iter(options))):
        ff.arrays([1, 2], **options)


def test_copies_that_do_not_fit_into_memory_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "memory_limit", lambda: 1000)
    with (
        ff.arrays(numbers(3), batch_size=10, num_workers=2) as feed,
        pytest.raises(ff.RingMemoryError, match="mmap_mode"),
    ):
        list(feed)
    assert len(fed(numbers(3), num_workers=0)) == 11


@pytest.fixture(autouse=True)
def _nothing_is_pickled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import pickle

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was pickled")

    monkeypatch.setattr(pickle, "dumps", refuse)
    return
