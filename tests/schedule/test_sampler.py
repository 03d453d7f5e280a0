"""Samplers and weights: which samples come, in which batches, on which rank, and after a state was taken."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastfeed as ff

Y = np.arange(40)


def batches(**options: Any) -> list[list[int]]:
    with ff.arrays(Y, **{"batch_size": 4, "num_workers": 0, **options}) as feed:
        return [batch.tolist() for batch in feed]


class Epochs:
    """A sampler with an order for each epoch."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter([(number * 7 + self.epoch) % self.n for number in range(self.n)])

    def __len__(self) -> int:
        return self.n


class Batched:
    """A sampler of lists around another."""

    def __init__(self, sampler: Epochs) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        sizes = itertools.cycle((1, 4, 2))
        while batch := list(itertools.islice(numbers, next(sizes))):
            yield batch


# ---- what comes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_the_indices_of_a_sampler_come_in_its_order(workers: int) -> None:
    given = [3, 1, 39, 3, np.int64(0)]
    for sampler in (given, tuple(given), np.array(given), (index for index in given)):
        assert batches(sampler=sampler, num_workers=workers) == [[3, 1, 39, 3], [0]]
    assert batches(sampler=given, drop_last=True, num_workers=workers) == [[3, 1, 39, 3]]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_lists_of_a_sampler_are_the_batches(workers: int) -> None:
    assert batches(sampler=[[3, 1], (2,), np.array([39, 5, 6, 7])], num_workers=workers) == [[3, 1], [2], [39, 5, 6, 7]]


def test_images_are_fed_by_a_sampler(photos: Path) -> None:
    with ff.images(photos, 8, sampler=[[4, 2], [0]], with_index=True, num_workers=1) as feed:
        assert [index.tolist() for _, index in feed] == [[4, 2], [0]]


def test_a_sampler_is_told_the_epoch_and_gone_through_again() -> None:
    sampler = Epochs(8)
    with ff.arrays(Y, sampler=sampler, batch_size=8, num_workers=0) as feed:
        got = [batch.tolist() for batch in feed.repeat(3)]
        assert got == [[(number * 7 + epoch) % 8 for number in range(8)] for epoch in range(3)]
        feed.set_epoch(1)
        assert [batch.tolist() for batch in feed] == got[1:2]
    with ff.arrays(Y, sampler=Batched(sampler), batch_size=4, num_workers=0) as feed:
        feed.set_epoch(2)
        assert [batch.tolist() for batch in feed][:2] == [got[2][:1], got[2][1:5]]


def test_a_seeded_sampler_gives_the_order_that_it_would_have_given() -> None:
    class Drawing:
        def __init__(self) -> None:
            self.draws = random.Random(3)

        def __len__(self) -> int:
            return 40

        def __iter__(self) -> Iterator[int]:
            order = list(range(40))
            self.draws.shuffle(order)
            random.shuffle(order)
            return iter(order)

    random.seed(5)
    alone = list(Drawing())
    random.seed(5)
    assert list(itertools.chain(*batches(sampler=Drawing()))) == alone


def test_an_endless_sampler_is_read_no_further_than_is_needed() -> None:
    drawn = []

    def endless() -> Iterator[int]:
        for number in itertools.count():
            drawn.append(number)
            yield number % 40

    with ff.arrays(Y, sampler=endless(), batch_size=4, num_workers=1, prefetch=3) as feed:
        with pytest.raises(TypeError, match="its sampler has none"):
            len(feed)
        with contextlib.closing(iter(feed)) as loop:
            assert [next(loop)[0] for _ in range(5)] == [0, 4, 8, 12, 16]
        assert len(drawn) <= 4 * (5 + 3 + 1)
        with pytest.raises(ff.ConfigError, match="a generator, can be gone through only once"):
            next(iter(feed))


# ---- ranks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uneven", "expected"),
    [
        ("pad", [[[0, 2], [4, 6]], [[1, 3], [5, 0]]]),
        ("drop", [[[0, 2], [4]], [[1, 3], [5]]]),
        ("keep", [[[0, 2], [4, 6]], [[1, 3], [5]]]),
    ],
)
@pytest.mark.parametrize("sized", [True, False])
def test_ranks_are_dealt_what_a_sampler_yields(uneven: str, expected: list[Any], sized: bool) -> None:
    for rank in range(2):
        sampler: Any = range(7) if sized else iter(range(7))
        assert batches(sampler=sampler, shard=(rank, 2), uneven=uneven, batch_size=2) == expected[rank]


def test_ranks_are_dealt_whole_lists() -> None:
    lists = [[0], [1, 2], [3]]
    assert [batches(sampler=lists, shard=(rank, 2)) for rank in range(2)] == [[[0], [3]], [[1, 2], [0]]]
    dropped = [batches(sampler=lists, shard=(rank, 2), uneven="drop") for rank in range(2)]
    assert dropped == [[[0]], [[1, 2]]]


# ---- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Epochs(30), lambda: Batched(Epochs(30))], ids=["indices", "lists"])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_sampler_is_resumed_wherever_the_loop_was_left(make: Any, ordered: bool) -> None:
    options: dict[str, Any] = {"batch_size": 4, "ordered": ordered, "num_workers": 2}
    with ff.arrays(Y, sampler=make(), **options) as feed:
        feed.set_epoch(3)
        expected = sorted(batch.tolist() for batch in feed)
    for steps in range(len(expected) + 1):
        with ff.arrays(Y, sampler=make(), **options) as feed:
            feed.set_epoch(3)
            with contextlib.closing(iter(feed)) as loop:
                got = [batch.tolist() for batch in itertools.islice(loop, steps)]
            state = feed.state_dict()
        with ff.arrays(Y, sampler=make(), **{**options, "num_workers": 0}) as feed:
            feed.load_state_dict(state)
            if steps == len(expected):
                assert state["epoch"] == 4
            else:
                assert sorted(got + [batch.tolist() for batch in feed]) == expected
            assert feed.state_dict()["epoch"] == 4


class Anew:
    """A sampler that draws another order each time, as PyTorch's RandomSampler without a generator does."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.begun = 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        order = [(number + self.begun) % 40 for number in range(40)]
        return iter(order if self.size is None else [order[at : at + self.size] for at in range(0, 40, self.size)])


@pytest.mark.parametrize("size", [None, 4], ids=["indices", "lists"])
@pytest.mark.parametrize(("ordered", "workers"), [(True, 0), (True, 2), (False, 2)])
def test_a_sampler_that_draws_anew_is_refused_before_anything_is_delivered(
    size: int | None, ordered: bool, workers: int
) -> None:
    options: dict[str, Any] = {"batch_size": 4, "ordered": ordered, "num_workers": workers}
    sampler = Anew(size)
    with ff.arrays(Y, sampler=sampler, **options) as feed:
        for steps in (1, 5, 10):
            sampler.begun, drawn = 0, []
            feed.set_epoch(0)
            with contextlib.closing(iter(feed)) as loop:
                drawn = [batch.tolist() for batch in itertools.islice(loop, steps)]
            state = feed.state_dict()
            feed.load_state_dict(state)
            if steps == 10:
                assert next(iter(feed)) is not None  # nothing is left, and the next epoch has an order of its own
                continue
            with pytest.raises(ff.ConfigError, match=r"a Anew, does not draw again the \d+ .* set_epoch or seed"):
                next(iter(feed))
            sampler.begun = 0  # what it was seeded with
            feed.load_state_dict(state)
            drawn += [batch.tolist() for batch in feed]
            assert sorted(itertools.chain(*drawn)) == list(range(40))


def test_a_state_of_one_rank_is_compared_by_others() -> None:
    with ff.arrays(Y, sampler=Anew(None), shard=(1, 2), batch_size=4, num_workers=0) as feed:
        with contextlib.closing(iter(feed)) as loop:
            assert next(loop).tolist() == [2, 4, 6, 8]
        state = feed.state_dict()
    for world, expected in ((1, [9, 10, 11]), (2, [9, 11, 13])):
        with ff.arrays(Y, sampler=Anew(None), shard=(0, world), batch_size=3, num_workers=0) as feed:
            feed.load_state_dict(state)
            assert next(iter(feed)).tolist() == expected
            feed.load_state_dict(state)
            with pytest.raises(ff.ConfigError, match="does not draw again the 8 that it had drawn"):
                next(iter(feed))


def test_a_sampler_that_ends_before_where_it_was_is_refused() -> None:
    with ff.arrays(Y, sampler=iter(range(12)), batch_size=4, num_workers=0) as feed:
        with contextlib.closing(iter(feed)) as loop:
            next(loop), next(loop)
        state = feed.state_dict()
    shorter = (number for number in range(6))
    with ff.arrays(Y, sampler=map(int, shorter), batch_size=4, num_workers=0) as feed:
        state["of"] = feed.state_dict()["of"]
        feed.load_state_dict(state)
        with pytest.raises(ff.ConfigError, match="does not draw again the 8"):
            next(iter(feed))


def test_the_state_of_another_sampler_is_refused() -> None:
    with ff.arrays(Y, sampler=[1, 2, 3], num_workers=0) as feed:
        state = feed.state_dict()
    for options, text in (
        ({"sampler": [1, 2]}, "the sampler's length was 3 and is 2"),
        ({"sampler": [1, 2, 4]}, "the digest of the sampler's indices"),
        ({"sampler": (1, 2, 3)}, "the sampler was 'list' and is 'tuple'"),
        ({}, "shuffle was None and is False"),
        ({"weights": np.ones(40)}, "the digest of the weights was None"),
    ):
        with ff.arrays(Y, num_workers=0, **options) as feed, pytest.raises(ff.ConfigError, match=text):
            feed.load_state_dict(state)


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_samples_are_drawn_in_proportion_to_their_weights() -> None:
    weights = np.zeros(40)
    weights[[3, 5, 39]] = 1, 2, 5
    drawn = np.concatenate(batches(weights=ff.Weights(weights, num_samples=8000), batch_size=100))
    counts = np.bincount(drawn, minlength=40)
    assert counts.sum() == 8000
    assert set(np.flatnonzero(counts)) == {3, 5, 39}
    # Five standard deviations.
    for sample, share in ((3, 1 / 8), (5, 2 / 8), (39, 5 / 8)):
        assert abs(counts[sample] - 8000 * share) < 5 * (8000 * share * (1 - share)) ** 0.5


def test_without_replacement_no_sample_comes_twice_and_heavy_ones_come_first() -> None:
    weights = np.where(Y < 20, 1.0, 50.0)
    early = 0
    for epoch in range(50):
        with ff.arrays(
            Y, weights=ff.Weights(weights, num_samples=20, replacement=False), batch_size=20, num_workers=0
        ) as feed:
            feed.set_epoch(epoch)
            (drawn,) = (batch.tolist() for batch in feed)
        assert len(set(drawn)) == 20
        early += sum(sample < 20 for sample in drawn)
    assert 0 < early < 50 * 20 * 0.2


def test_a_draw_depends_on_its_position_and_on_nothing_else() -> None:
    whole = list(itertools.chain.from_iterable(batches(weights=Y + 1.0, batch_size=7)))
    assert whole == list(itertools.chain.from_iterable(batches(weights=Y + 1.0, batch_size=4, num_workers=2)))
    for rank in range(3):
        part = list(itertools.chain.from_iterable(batches(weights=Y + 1.0, shard=(rank, 3), uneven="keep")))
        assert part == whole[rank::3]
    with ff.arrays(Y, weights=Y + 1.0, batch_size=4, num_workers=0) as feed:
        epochs = [[batch.tolist() for batch in feed] for _ in range(2)]
        assert epochs[0] != epochs[1]
        assert feed.plan().make(1, 3).tolist() == epochs[1][3]
    assert batches(weights=Y + 1.0, seed=1) != batches(weights=Y + 1.0, seed=2)


def test_balanced_weights_draw_each_class_equally_often(photos: Path) -> None:
    labels = ["rare"] * 5 + ["common"] * 45
    with ff.images(
        photos, 8, labels=labels, weights=ff.Weights("balanced", num_samples=1000), batch_size=100, num_workers=1
    ) as feed:
        drawn = [label for _, names in feed for label in names]
    assert abs(drawn.count("rare") - 500) < 5 * 250**0.5


def test_a_sample_without_a_label_is_no_class(photos: Path) -> None:
    labels = {f"{number:03}": number % 2 for number in range(40)}
    with ff.images(
        photos, 8, labels=labels, weights="balanced", on_error="skip", with_index=True, num_workers=1
    ) as feed:
        assert max(int(index) for *_, indices in feed for index in indices) < 40


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sampler": [40]}, "the sampler has yielded 40, and there are 40 samples: let it yield indices from 0 to 39"),
        ({"sampler": iter([1, -1])}, "the sampler has yielded -1"),
        ({"sampler": ["a"]}, "the sampler has yielded 'a': pass an iterable of indices"),
        ({"sampler": [True, False]}, r"the sampler has yielded True: let it yield indices, such as numpy\.flatnonzero"),
        ({"sampler": [1.5]}, "the sampler has yielded 1.5"),
        ({"sampler": [1, [2]]}, "the sampler yields indices and lists"),
        ({"sampler": [[]]}, "an empty list"),
        ({"sampler": []}, "sampler=.*: pass an iterable of indices, or of lists of indices: this one is empty"),
        ({"sampler": [[1, 2, 3, 4, 5]]}, "a list of 5 indices, and batch_size=4: pass the most"),
        ({"sampler": 5}, "sampler=5: pass an iterable"),
        ({"sampler": [1], "shuffle": True}, "shuffle=True, sampler=.*: leave it out: the sampler decides the order"),
        ({"sampler": [1], "weights": Y}, "weights=.*, sampler=.*: leave it out"),
        (
            {"weights": Y, "shuffle": True},
            "shuffle=True, weights=.*: leave it out: weights draw samples at random",
        ),
        ({"sampler": [[1]], "drop_last": True}, "drop_last=True: pass False: the sampler yields whole batches"),
        ({"weights": [1.0]}, "weights='1 weights': pass one weight for each sample, .* there are 40 samples"),
        ({"weights": "balance"}, "weights='balance': pass one weight"),
        ({"weights": "balanced"}, "weights='balanced': pass labels, or a weight for each sample"),
        ({"weights": -Y}, "weights=.*: pass one weight"),
        ({"weights": Y * 0}, "some of them above zero"),
        ({"weights": Y * np.nan}, "weights=.*: pass one weight"),
    ],
)
def test_what_cannot_work_is_refused_in_words(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ff.ConfigError, match=text):
        batches(**options)


def test_what_weights_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ff.ConfigError, match="num_samples=0"):
        ff.Weights([1.0], num_samples=0)
    with pytest.raises(ff.ConfigError, match="replacement='no'"):
        ff.Weights([1.0], replacement="no")  # type: ignore[arg-type]
    with pytest.raises(ff.ConfigError, match="replacement=False: pass num_samples=39 or fewer with it"):
        batches(weights=ff.Weights(Y, replacement=False))


def test_what_came_before_a_bad_index_is_delivered() -> None:
    with ff.arrays(Y, sampler=iter([*range(12), 99]), batch_size=4, num_workers=1) as feed:
        got = []
        with pytest.raises(ff.ConfigError, match="yielded 99"):
            got.extend(batch.tolist() for batch in feed)
        assert got == np.arange(12).reshape(3, 4).tolist()
