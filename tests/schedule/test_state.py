"""Saved positions: another number of ranks, workers or samples in a batch goes on where the state was taken."""

from __future__ import annotations

import itertools
import json
import random
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from fastfeed.errors import ConfigError
from fastfeed.schedule.cursor import Cursor, Unit
from fastfeed.schedule.rest import Rest, compressed
from fastfeed.schedule.sampler import SamplerOrder
from fastfeed.schedule.schedule import Schedule
from fastfeed.schedule.state import loaded, saved

Drawn = list[tuple[int, list[int]]]  # epoch and samples of each batch

# ---- what is left ----------------------------------------------------------------------------------------------------


def positions(rest: Rest, length: int) -> list[int]:
    return [position for low, high in rest.ranges(length) for position in range(low, high)]


def test_what_is_left_is_what_was_not_taken_out() -> None:
    chance = random.Random(0)
    for _ in range(500):
        length = chance.randrange(1, 40)
        rest, left = Rest(), list(range(length))
        for _ in range(3):
            done = sorted(chance.sample(range(len(left)), chance.randrange(len(left) + 1)))
            rest = rest.without(compressed(done))
            left = [position for number, position in enumerate(left) if number not in done]
            assert positions(rest, length) == left
            assert rest.count(length) == len(left)
            assert [rest.number(position) for position in left] == list(range(len(left)))


def test_a_run_of_numbers_wraps_to_the_first_positions_of_the_epoch() -> None:
    rest = Rest(6, ((1, 3),))  # 1, 2, 6, 7, 8, 9
    for step, first in itertools.product((1, 2, 3, 7), (0, 1, 5)):
        runs = list(rest.runs(first, step, 9, 10))
        got = [position + step * k for position, count in runs for k in range(count)]
        numbered = [*positions(rest, 10), *(number % 10 for number in range(80))]
        assert got == [numbered[first + step * k] for k in range(9)]


# ---- going on --------------------------------------------------------------------------------------------------------


class Turned:
    """A sampler that begins elsewhere in each epoch, and may not know its length."""

    def __init__(self, n: int, sized: bool) -> None:
        self._n = n
        self._epoch = 0
        self._sized = sized

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        if not self._sized:
            raise TypeError
        return self._n

    def __iter__(self) -> Iterator[int]:
        return iter([(number * 3 + self._epoch) % self._n for number in range(self._n)])


class Run:
    """Ranks in lock-step, each of which has four batches in flight."""

    def __init__(
        self, n: int, world: int, batch_size: int, uneven: str, state: Any = None, by: str = "permutation"
    ) -> None:
        self.of = {"samples": n, "shuffle": True, "seed": 9}
        self.schedules = []
        for rank in range(world):
            order = None if by == "permutation" else SamplerOrder(Turned(n, by == "sampler"), n, batch_size)
            self.schedules.append(
                Schedule(n, batch_size, order is None, 9, shard=(rank, world), uneven=uneven, order=order)
            )
        self.cursors = [Cursor(schedule) for schedule in self.schedules]
        if state is not None:
            for schedule, cursor in zip(self.schedules, self.cursors, strict=True):
                cursor.load(loaded(state, schedule, self.of))
        self.drawn: Drawn = []

    def go_on(self, steps: int | None, ordered: bool, chance: random.Random, epochs: int | None = None) -> None:
        upcoming = [cursor.begin(epochs) for cursor in self.cursors]
        in_flight: list[list[Unit]] = [[] for _ in upcoming]
        for _ in itertools.count() if steps is None else range(steps):
            for rank, units in enumerate(in_flight):
                units.extend(itertools.islice(upcoming[rank], 4 - len(units)))
                if not units:
                    return
                epoch, batch, rest = units.pop(0 if ordered else chance.randrange(len(units)))
                out = memoryview(array("q", [0] * self.schedules[rank].batch_size))
                rows = self.schedules[rank].fill(epoch, batch, out, rest)
                self.drawn.append((epoch, out[:rows].tolist()))
                self.cursors[rank].advance(epoch, batch, rest)

    def states(self, ordered: bool) -> list[Any]:
        taken = [
            saved(cursor.position(), schedule, self.of, ordered)
            for cursor, schedule in zip(self.cursors, self.schedules, strict=True)
        ]
        assert json.loads(json.dumps(taken)) == taken
        return taken


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("uneven", ["pad", "keep"])
@pytest.mark.parametrize("by", ["permutation", "sampler", "sampler without a length"])
def test_any_number_of_ranks_and_any_batch_size_goes_on_exactly_once(by: str, ordered: bool, uneven: str) -> None:
    """Four runs in turn, each from the states of the one before; then the last epoch is gone through to its end."""
    for case in range(60):
        chance = random.Random(case)
        n = chance.choice([50, 101, 256])  # of which 3 divides none
        state, drawn = None, []
        for _ in range(4):
            # Shards that are kept uneven are not in lock-step across the end of an epoch, and those without a length
            # cannot be restored from there.
            alone = uneven == "keep" or (by == "sampler without a length" and not ordered)
            world = 1 if alone else chance.choice([1, 2, 3, 4])
            run = Run(n, world, chance.choice([2, 3, 8]), uneven, state, by)
            run.go_on(chance.randrange(12), ordered, chance)
            drawn += run.drawn
            states = run.states(ordered)
            chance.shuffle(states)
            state = states if world > 1 and not ordered else states[0]
            assert ordered is False or all(each == state for each in states)
        last = max((epoch for epoch, _ in drawn), default=0)
        rest = Run(n, 1, 7, uneven, state, by)
        while rest.states(True)[0]["epoch"] <= last:
            rest.go_on(None, True, chance, epochs=1)
        drawn += rest.drawn
        for epoch in range(last + 1):
            samples = sorted(sample for at, batch in drawn if at == epoch for sample in batch)
            assert sorted(set(samples)) == list(range(n))
            assert len(samples) == n or uneven == "pad"
            assert len(samples) < n + 4 * 4  # no more than a padding for each run


def test_the_batches_of_the_same_ranks_are_those_of_a_run_without_a_break() -> None:
    whole = Run(101, 4, 3, "pad")
    whole.go_on(None, True, random.Random(0), epochs=2)
    for steps in range(18):
        first = Run(101, 4, 3, "pad")
        first.go_on(steps, True, random.Random(0))
        second = Run(101, 4, 3, "pad", first.states(True)[steps % 4])
        second.go_on(18 - steps, True, random.Random(0))
        assert first.drawn + second.drawn == whole.drawn


def test_a_rank_that_overtook_goes_on_from_its_own_state_alone() -> None:
    chance = random.Random(1)
    first = Run(100, 2, 4, "pad")
    first.go_on(5, False, chance)
    states = first.states(False)
    drawn = first.drawn
    for rank, state in enumerate(states):
        schedule = first.schedules[rank]
        cursor = Cursor(schedule)
        cursor.load(loaded(state, schedule, first.of))
        for epoch, batch, rest in cursor.begin(1):
            out = memoryview(array("q", [0] * 4))
            drawn.append((epoch, out[: schedule.fill(epoch, batch, out, rest)].tolist()))
    assert sorted(sample for _, batch in drawn for sample in batch) == list(range(100))


def test_a_state_at_the_end_of_an_epoch_is_the_beginning_of_the_next() -> None:
    run = Run(30, 2, 5, "pad")
    run.go_on(None, True, random.Random(0), epochs=1)
    assert [(state["epoch"], state["left"]) for state in run.states(True)] == [(1, [[0, []]])] * 2


def test_less_than_a_full_batch_that_is_left_is_no_epoch() -> None:
    of = {"samples": 20}
    cursor = Cursor(small := Schedule(20, 3, drop_last=True))
    for epoch, batch, _ in itertools.islice(cursor.begin(1), 5):
        cursor.advance(epoch, batch)
    other = Cursor(large := Schedule(20, 8, drop_last=True))
    other.load(loaded(saved(cursor.position(), small, of, True), large, of))
    assert [unit[:2] for unit in other.begin(1)] == [(1, 0), (1, 1)]


# ---- refusals --------------------------------------------------------------------------------------------------------

SAVED: dict[str, Any] = {"version": 1, "epoch": 2, "left": [[8, [[0, 4]]]], "of": {"samples": 20, "seed": 0}}
DEALT: dict[str, Any] = {"rank": 0, "world": 2, "batch_size": 4, "batches": [[1, 3]]}
OF = {"samples": 20, "seed": 0}


@pytest.mark.parametrize(
    "changed",
    [
        {"version": None},
        {"version": 0},
        {"epoch": -1},
        {"epoch": 1.0},
        {"epoch": True},
        {"left": []},
        {"left": None},
        {"left": [[8]]},
        {"left": [[3, [[0, 4]]]]},
        {"left": [[8, [[4, 2]]]]},
        {"left": [[21, []]]},
        {"left": [[-1, []]]},
        {"of": None},
        {"dealt": {}},
        {"dealt": {**DEALT, "rank": 2}},
        {"dealt": {**DEALT, "batches": []}},
        {"seen": []},
        {"seen": [8]},
        {"seen": [[8, -1]]},
    ],
    ids=str,
)
def test_what_no_feed_has_saved_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"this is not what state_dict\(\) returned"):
        loaded({**SAVED, **changed}, Schedule(20, 4), OF)


@pytest.mark.parametrize("given", [None, 3, "state", [], {}, [None], {"epoch": 0, "batch": 3, "ahead": []}], ids=str)
def test_what_is_no_state_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"this is not what state_dict\(\) returned"):
        loaded(given, Schedule(20, 4), OF)


def test_a_later_version_is_told_apart() -> None:
    with pytest.raises(ConfigError, match="this state has version 2, and this fastfeed reads 1"):
        loaded({**SAVED, "version": 2}, Schedule(20, 4), OF)


def test_the_state_of_another_source_or_order_is_refused_in_words() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(SAVED, Schedule(21, 4), {"samples": 21, "seed": 0, "source": "ab"})
    assert str(caught.value) == (
        "this state belongs to another feed: the number of samples was 20 and is 21; the digest of the source was None "
        "and is 'ab'; make the feed with the options that the state was saved under, or start a new epoch with "
        "set_epoch"
    )


def test_the_state_of_one_rank_that_overtook_does_not_do_for_others() -> None:
    state = {**SAVED, "dealt": DEALT}
    loaded(state, Schedule(20, 4, shard=(0, 2)), OF)
    for schedule in (Schedule(20, 4, shard=(1, 2)), Schedule(20, 4), Schedule(20, 5, shard=(0, 2))):
        with pytest.raises(ConfigError, match=r"rank 0 of 2 .*: pass a list of the states of all 2 ranks"):
            loaded(state, schedule, OF)


def test_states_of_several_epochs_of_a_sampler_without_a_length_are_refused() -> None:
    run = Run(20, 2, 3, "pad", by="sampler without a length")
    run.go_on(4, False, random.Random(0), epochs=2)
    states = run.states(False)
    assert [state["epoch"] for state in states] == [0, 0]
    Run(20, 1, 5, "pad", states, by="sampler without a length")
    states[1] = {**states[1], "epoch": 1}
    with pytest.raises(ConfigError, match=r"in a later epoch than others, .* the sampler has no length"):
        Run(20, 1, 5, "pad", states, by="sampler without a length")


def test_states_that_do_not_belong_together_are_refused() -> None:
    zero, one = ({**SAVED, "dealt": {**DEALT, "rank": rank}} for rank in range(2))
    loaded([one, zero], Schedule(20, 5), OF)
    with pytest.raises(ConfigError, match="the states of ranks 0 of 2, 0 of 2: pass one of each rank"):
        loaded([zero, zero], Schedule(20, 5), OF)
    with pytest.raises(ConfigError, match="several runs"):
        loaded([zero, {**one, "left": [[8, []]]}], Schedule(20, 5), OF)
    with pytest.raises(ConfigError, match="pass any one of them, alone"):
        loaded([SAVED, SAVED], Schedule(20, 5), OF)
