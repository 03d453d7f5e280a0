"""States of `fastfeed.torch.DataLoader` are those of the sampler and the generators that they were taken with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fastfeed as ff

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")

from fastfeed.adapters.torch import DataLoader  # noqa: E402

DATASET = list(range(23))


class Anew:
    """A sampler that draws another order each time, from nothing that a state has."""

    def __init__(self, make: Callable[[int], Any] = int) -> None:
        self.begun = 0
        self.make = make

    def __len__(self) -> int:
        return 23

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        return iter([self.make((number + self.begun) % 23) for number in range(23)])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sampler_that_draws_anew_is_refused(workers: int) -> None:
    sampler = Anew()
    with DataLoader(DATASET, 4, sampler=sampler, num_workers=workers) as loader:
        loop = iter(loader)
        had = [next(loop) for _ in range(2)]
        state = json.loads(json.dumps(loader.state_dict()))
        loop.close()  # type: ignore[attr-defined]
        sampler.begun = 0  # as a fresh program would begin
        loader.load_state_dict(state)
        assert torch.cat([*had, *loader]).tolist() == [*range(1, 23), 0]
        loader.load_state_dict(state)
        with pytest.raises(ff.ConfigError, match=r"the sampler, a Anew, does not draw again the 2 that it had drawn"):
            next(iter(loader))


def test_lists_that_have_changed_are_refused_and_indices_that_are_no_numbers_are_not_looked_at() -> None:
    lists = [[0, 1], [2], [3]]
    loader = DataLoader(DATASET, batch_sampler=lists)
    next(iter(loader))
    state = loader.state_dict()
    lists[0] = [5, 6]
    loader.load_state_dict(state)
    with pytest.raises(ff.ConfigError, match="the sampler, a list, does not draw again the 1"):
        next(iter(loader))
    loader = DataLoader({str(number): number for number in DATASET}, 4, sampler=Anew(str))
    next(iter(loader))
    loader.load_state_dict(loader.state_dict())
    assert next(iter(loader)).tolist() == [6, 7, 8, 9]


def test_a_state_with_a_generator_is_refused_without_one() -> None:
    state = DataLoader(DATASET, 4, shuffle=True, generator=torch.Generator()).state_dict()
    with pytest.raises(
        ff.ConfigError, match=r"state of a loader with generators=1, and here it is 0: make the loader as"
    ):
        DataLoader(DATASET, 4, shuffle=True).load_state_dict(state)
