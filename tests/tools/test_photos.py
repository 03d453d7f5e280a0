"""Tests of fastfeed.tools.bench.photos: like real ones, the same always, and never half a cache."""

from __future__ import annotations

import collections
import io
import statistics
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastfeed.errors import ConfigError
from fastfeed.tools.bench import photos
from fastfeed.tools.bench.photos import Recipe

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Recipe(seed=5, width=120, height=88, quality=92, sampling="4:4:4", bits_per_pixel=4.0)
PINNED_MEANS = (97.3541, 127.6973, 110.8152)


def test_the_mix_is_that_of_a_data_set() -> None:
    mix = photos.recipes(256)
    assert statistics.median(recipe.width for recipe in mix) == 500
    assert statistics.median(recipe.height for recipe in mix) == 375
    sizes = [recipe.bits_per_pixel * recipe.width * recipe.height / 8 for recipe in mix]
    assert 95_000 < statistics.median(sizes) < 115_000
    assert 105_000 < statistics.mean(sizes) < 120_000
    shares = {kind: count / 256 for kind, count in collections.Counter(recipe.sampling for recipe in mix).items()}
    assert shares["4:4:4"] == pytest.approx(0.75, abs=0.02)
    assert shares["4:2:0"] == pytest.approx(0.21, abs=0.02)
    assert shares["grey"] == pytest.approx(0.024, abs=0.01)
    assert shares["4:2:2"] == pytest.approx(0.016, abs=0.01)


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    assert photos.recipes(256)[:20] == photos.recipes(20)


def test_large_photographs_have_twelve_megapixels_and_two_sizes() -> None:
    large = photos.large_recipes(4)
    assert {(recipe.width, recipe.height, recipe.sampling) for recipe in large} == {(4000, 3000, "4:2:0")}
    megabytes = [recipe.bits_per_pixel * 12e6 / 8e6 for recipe in large]
    assert megabytes == pytest.approx([2.0, 4.0, 2.0, 4.0], rel=0.05)


def test_the_same_recipe_gives_the_same_pixels_and_bytes() -> None:
    assert np.array_equal(photos.pixels(SMALL), photos.pixels(SMALL))
    assert photos.encode(SMALL) == photos.encode(SMALL)


def test_the_pixels_are_those_of_every_release() -> None:
    image = photos.pixels(SMALL)
    assert image.dtype == np.uint8
    assert image.shape == (88, 120, 3)
    # Change VERSION together with these: cached photographs are kept by it.
    assert photos.VERSION == 1
    assert image.mean(axis=(0, 1)) == pytest.approx(PINNED_MEANS, abs=0.01)


def test_another_seed_gives_another_photograph() -> None:
    assert not np.array_equal(photos.pixels(SMALL), photos.pixels(replace(SMALL, seed=6)))


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
@pytest.mark.parametrize("bits_per_pixel", [2.0, 4.5])
def test_a_photograph_has_the_bits_of_its_recipe(sampling: str, bits_per_pixel: float) -> None:
    quality = 80 if bits_per_pixel == 2.0 else 95
    recipe = Recipe(7, 320, 240, quality, sampling, bits_per_pixel)
    assert len(photos.encode(recipe)) * 8 / (320 * 240) == pytest.approx(bits_per_pixel, rel=0.12)


def test_the_file_is_sampled_as_the_recipe_says() -> None:
    image_module = pytest.importorskip("PIL.Image")
    sampling = pytest.importorskip("PIL.JpegImagePlugin").get_sampling
    for number, name in enumerate(("4:4:4", "4:2:2", "4:2:0")):
        assert sampling(image_module.open(io.BytesIO(photos.encode(replace(SMALL, sampling=name))))) == number
    assert image_module.open(io.BytesIO(photos.encode(replace(SMALL, sampling="grey")))).mode == "L"


def test_photographs_are_cached_and_made_once(tmp_path: Path) -> None:
    wanted = [replace(SMALL, seed=seed) for seed in range(3)]
    told: list[tuple[int, int]] = []
    first = photos.photographs(wanted, folder=tmp_path, progress=lambda done, count: told.append((done, count)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [path.read_bytes() for path in first] == [photos.encode(recipe) for recipe in wanted]
    again = photos.photographs(wanted, folder=tmp_path, progress=lambda done, count: told.append((done, count)))
    assert again == first
    assert len(told) == 3
    assert [path.name for path in tmp_path.iterdir()] == [first[0].parent.name]


def test_several_processes_make_what_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [replace(SMALL, seed=seed, width=32, height=24) for seed in range(8)]
    monkeypatch.setattr(photos, "available_cpus", lambda: 2)
    made = photos.photographs(wanted, folder=tmp_path)
    assert [path.read_bytes() for path in made] == [photos.encode(recipe) for recipe in wanted]


def test_an_interrupt_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        photos.photographs([SMALL, SMALL], folder=tmp_path, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_second_takes_the_photographs_of_the_first(tmp_path: Path) -> None:
    def other_process_is_first(done: int, count: int) -> None:
        if not any(path.name.startswith("photographs") for path in tmp_path.iterdir()):
            photos.photographs([SMALL], folder=tmp_path)

    made = photos.photographs([SMALL], folder=tmp_path, progress=other_process_is_first)
    assert made[0].read_bytes() == photos.encode(SMALL)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_cache_lies_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert photos.cache_folder() == tmp_path / "cache/fastfeed"
    for invalid in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", invalid)
        assert photos.cache_folder() == tmp_path / "home/.cache/fastfeed"


def test_a_cache_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"cannot be kept in .*file.*XDG_CACHE_HOME"):
        photos.photographs([SMALL], folder=tmp_path / "file")


def test_without_pil_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ConfigError, match=r"pip install 'fastfeed\[pillow\]'"):
        photos.photographs([SMALL], folder=tmp_path)
