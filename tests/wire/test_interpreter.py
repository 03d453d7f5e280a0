"""Tests of what a worker is told of the consumer's interpreter."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest

from fastfeed.wire.interpreter import described

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "module_of_a_test"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Two folders with a module of the same name, the first of them on the search path; its module is loaded."""
    made = [tmp_path / "first", tmp_path / "second"]
    for folder in made:
        folder.mkdir()
        (folder / f"{NAME}.py").write_text("")
    monkeypatch.syspath_prepend(str(made[0]))
    importlib.import_module(NAME)
    yield made
    del sys.modules[NAME]


def test_a_module_on_the_search_path_is_found_without_being_named(folders: list[Path]) -> None:
    assert NAME not in described()["elsewhere"]


def test_a_module_is_named_once_its_folder_has_left_the_search_path(folders: list[Path]) -> None:
    assert NAME not in described()["elsewhere"]
    sys.path.remove(str(folders[0]))
    assert described()["elsewhere"][NAME][0] == str(folders[0] / f"{NAME}.py")
    sys.path.append(str(folders[0]))
    assert NAME not in described()["elsewhere"]


def test_a_module_is_named_once_another_has_taken_its_name(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NAME not in described()["elsewhere"]
    spec = importlib.util.spec_from_file_location(NAME, folders[1] / f"{NAME}.py")
    assert spec is not None
    sys.modules[NAME] = importlib.util.module_from_spec(spec)
    assert described()["elsewhere"][NAME][0] == str(folders[1] / f"{NAME}.py")
