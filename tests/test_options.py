"""What users pass: one grammar for all that is refused, whichever door or transform refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastfeed as ff
from fastfeed import options
from fastfeed.options import EngineOptions
from fastfeed.schedule.schedule import Schedule


def sample_for_ever(items: list[int]) -> Iterator[int]:
    while True:
        yield from items


DOORS: dict[str, Callable[..., Any]] = {
    "images": lambda **given: ff.images([b"0"], **{"size": 8, **given}),
    "arrays": lambda **given: ff.arrays([1, 2], **given),
    "map": lambda **given: ff.map(len, [], **given),
    "parallel": lambda **given: ff.parallel(sample_for_ever, **given),
    "prefetch": lambda **given: ff.prefetch([], **given),
    "pad": ff.pad,
    "split": lambda **given: ff.files(list("abcde")).split(**given),
    "Schedule": lambda **given: Schedule(**{"n": 4, "batch_size": 2, **given}),
    "Resize": lambda **given: ff.Resize(**{"size": 8, **given}),
    "CenterCrop": ff.CenterCrop,
    "RandomResizedCrop": lambda **given: ff.RandomResizedCrop(**{"size": 8, **given}),
    "RandomHorizontalFlip": ff.RandomHorizontalFlip,
    "RandomAffine": ff.RandomAffine,
    "ColorJitter": ff.ColorJitter,
    "Normalize": lambda **given: ff.Normalize(**{"mean": 0, "std": 1, **given}),
}
ENGINE = {"num_workers": -1, "ordered": 0, "prefetch": 0.5, "timeout": -1}
WRONG: dict[str, dict[str, Any]] = {
    "images": {
        "size": 0,
        "transforms": 1,
        "labels": "no",
        "exclude": 1,
        "classes": {"cat"},
        "batch_size": 0,
        "shuffle": 1,
        "seed": -1,
        "drop_last": 1,
        "layout": "CHW",
        "dtype": "int8",
        "with_index": 1,
        "on_error": 1,
        "shard": 3,
        "exact": 1,
        "orient": 1,
        "max_pixels": 0,
        "max_bytes": 0.5,
        "max_scans": 0,
        **ENGINE,
    },
    "arrays": {"batch_size": 0, "shuffle": 1, "seed": 1.5, "drop_last": 1, "shard": 3, "with_index": 1, **ENGINE},
    "map": {"batch_size": 0, "chunk_size": 0, "collate": 1, "on_error": "no", "seed": -1, **ENGINE},
    "parallel": {"split": 1, "split_size": 0, "copies": 1, "seed": "a", **ENGINE},
    "prefetch": {"buffer_size": 0},
    "pad": {"maxlen": 0, "value": None, "side": "up", "truncate": "up", "dtype": "int33"},
    "split": {"fraction": 2, "seed": None},
    "Schedule": {"n": 0, "batch_size": True, "seed": None, "shuffle": 1, "drop_last": 1, "shard": (4, 4)},
    "Resize": {"size": 0, "fit": 1, "filter": "no", "fill": -1},
    "CenterCrop": {"size": "8"},
    "RandomResizedCrop": {"size": (1, 2, 3), "scale": 0, "ratio": (2, 1), "filter": 1},
    "RandomHorizontalFlip": {"p": 2},
    "RandomAffine": {"degrees": -1, "translate": 1, "scale": (0, 1), "shear": 90, "filter": 1, "fill": "red"},
    "ColorJitter": {"brightness": -1, "contrast": (2, 1), "saturation": "a", "hue": 1},
    "Normalize": {"mean": "a", "std": 0},
}


@pytest.mark.parametrize(
    ("door", "name", "value"),
    [(door, name, value) for door, wrong in WRONG.items() for name, value in wrong.items()],
)
def test_what_cannot_work_is_refused_by_name_and_value_with_what_to_pass(door: str, name: str, value: Any) -> None:
    with pytest.raises(ff.ConfigError) as caught:
        DOORS[door](**{name: value})
    said = f"{name}={value!r}"
    assert str(caught.value).startswith(f"{door}({said}): pass " if door[0] in "RCN" else f"{said}: pass ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "7"),
        ("x" * 10**6, "'" + "x" * 57 + "..." + "x" * 58 + "'"),
        (b"x" * 10**6, "b'" + "x" * 56 + "..." + "x" * 58 + "'"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]"),
        (np.zeros((3, 2), int), "array([[0, 0], [0, 0], [0, 0]])"),
    ],
)
def test_a_value_is_shown_on_one_short_line(value: Any, said: str) -> None:
    assert options.shown(value) == said


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "Broken" in options.shown(Broken())
    assert options.shown(10**5000) == "<int>"
    assert len(str(options.wrong("labels", {str(k): "x" * 10**4 for k in range(10**3)}, "pass less"))) < 1000


def test_options_that_do_not_go_together_are_both_shown() -> None:
    assert str(options.wrong("a", 1, "pass one of the two", b="x")) == "a=1, b='x': pass one of the two"


def test_a_seed_is_a_plain_int_and_none_draws_a_fresh_one() -> None:
    for seed in (options.seed(np.int64(7)), options.fixed_seed(np.int64(7))):
        assert (seed, type(seed)) == (7, int)
    assert len({options.seed(None) for _ in range(8)}) == 8
    assert all(0 <= options.seed(None) < 2**64 for _ in range(8))
    with pytest.raises(ff.ConfigError, match=re.escape("2**64 - 1, or None for a fresh one")):
        options.seed(2**64)


@pytest.mark.parametrize("door", ["images", "arrays", "map", "parallel"])
def test_every_door_that_takes_a_seed_takes_none(door: str) -> None:
    DOORS[door](seed=None)


def test_limits_and_sizes_may_be_floats_that_are_whole() -> None:
    assert options.limit("max_pixels", 1e9, 2**53) == 10**9
    assert options.size("size", np.array([3.0, 4.0])) == (3, 4)


def test_the_engine_options_are_frozen_and_checked() -> None:
    assert EngineOptions(num_workers=np.int64(2), timeout=1.5).num_workers == 2
    with pytest.raises(ff.ConfigError, match="timeout=nan: pass seconds above 0"):
        EngineOptions(timeout=float("nan"))
