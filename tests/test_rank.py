"""Ranks that a launcher has given: who is told apart by them, who must not be, and who is warned."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest
from drive import encode, picture
from user_functions import draw, endless

import fastfeed as ff
from fastfeed import rank


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for pair in rank._VARIABLES:
        for variable in pair:
            monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, (1, "RANK")),
        ({"RANK": "0", "WORLD_SIZE": "2"}, (0, "RANK")),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "3"}, (3, "RANK")),
        ({"RANK": "first", "PMI_RANK": "1"}, (1, "PMI_RANK")),
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, (1, "RANK")),
        ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "SLURM_PROCID": "0"}, (2, "OMPI_COMM_WORLD_RANK")),
        ({"SLURM_PROCID": "5"}, (5, "SLURM_PROCID")),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, (1, "LOCAL_RANK")),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # of a batch script
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "LOCAL_RANK": "1"}, (1, "LOCAL_RANK")),
    ],
)
def test_the_rank_is_that_of_the_innermost_launcher(environment: dict[str, str], found: tuple[int, str] | None) -> None:
    assert rank.launched(environment) == found


def drawn(**options: Any) -> tuple[Any, Any]:
    with ff.map(draw, range(3), num_workers=0, **options) as mapped:
        first = list(mapped)
    with ff.parallel(endless, num_workers=0, **options)() as feed:
        return first, next(iter(feed))


def of_ranks(monkeypatch: pytest.MonkeyPatch, work: Any) -> list[Any]:
    """What three processes get: without a launcher, and as ranks 0 and 1 of two."""
    results = [work()]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for number in "01":
        monkeypatch.setenv("RANK", number)
        results.append(work())
    return results


def test_functions_and_generators_draw_by_rank_unless_a_seed_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, first, second = of_ranks(monkeypatch, lambda: (drawn(), drawn(seed=0), drawn(seed=1)))
    assert alone[0] == first[0] == alone[1]
    assert second[0] == alone[2]
    assert not set(second[0][0]) & set(first[0][0])
    assert alone[1:] == first[1:] == second[1:]


def test_the_order_of_a_sharded_feed_agrees_between_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def part() -> list[int]:
        shard = (int(rank.launched()[0]), 2) if rank.launched() else (0, 1)
        with ff.arrays(np.arange(12), batch_size=12, shuffle=True, shard=shard, num_workers=0) as feed:
            return next(iter(feed)).tolist()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole, *parts = of_ranks(monkeypatch, part)
    assert [parts[0], parts[1]] == [whole[0::2], whole[1::2]]


DOORS = {
    "arrays": lambda **options: ff.arrays([1, 2], **options),
    "images": lambda **options: ff.images([encode(picture(0))], 8, **options),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_an_unsharded_feed_of_one_rank_of_several_is_warned_of_in_the_user_s_line(
    door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    door()
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.warns(UserWarning, match=r"rank 1 of several \(SLURM_PROCID=1\).*pass shard=\(1, world\)") as caught:
        door()
    assert caught[0].filename == __file__
    door(shard=(0, 1))


# ---- shard="auto" ----------------------------------------------------------------------------------------------------


class Distributed:
    """What torch.distributed is once it has been initialised."""

    def __init__(self, rank: int, world: int) -> None:
        self.is_available = self.is_initialized = lambda: True
        self.get_rank, self.get_world_size = lambda: rank, lambda: world


def auto() -> tuple[int, ...]:
    with ff.arrays(np.arange(12), shard="auto", num_workers=0) as feed:
        return tuple(next(iter(feed)).tolist())


def test_a_shard_is_found_where_a_launcher_or_a_framework_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    assert auto() == tuple(range(12))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert auto() == (1, 4, 7, 10)
    monkeypatch.setitem(sys.modules, "torch.distributed", Distributed(1, 3))
    assert auto() == (1, 4, 7, 10)


def test_a_rank_within_a_node_is_no_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert rank.automatic() == (0, 1)


@pytest.mark.parametrize(
    ("given", "world", "text"),
    [("3", "2", "RANK=3 and WORLD_SIZE=2"), ("1", None, "RANK=1 and WORLD_SIZE=nothing"), ("x", "2", "RANK=x")],
)
def test_a_launcher_that_is_half_there_is_no_shard(
    given: str, world: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    monkeypatch.setenv("RANK", given)
    if world is not None:
        monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ff.ConfigError, match=text):
        auto()


def test_a_shard_on_which_they_disagree_is_refused_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setitem(sys.modules, "torch.distributed", Distributed(0, 3))
    with pytest.raises(ff.ConfigError, match=r"torch\.distributed says rank 0 of 3, and RANK=1 says rank 1 of 3"):
        auto()


def test_a_shard_is_not_guessed_where_several_ranks_need_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLELISM_CONFIG_TP_SIZE", "1")
    auto()
    monkeypatch.setenv("PARALLELISM_CONFIG_TP_SIZE", "2")
    with pytest.raises(ff.ConfigError, match="TP_SIZE=2, so several ranks need the same samples"):
        auto()


def test_a_shard_that_has_become_known_too_late_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    with ff.arrays(np.arange(12), shard="auto", num_workers=0) as feed:
        monkeypatch.setitem(sys.modules, "torch.distributed", Distributed(1, 2))
        with pytest.raises(ff.ConfigError, match="was rank 0 of 1 when the feed was made, and now is rank 1 of 2"):
            next(iter(feed))
