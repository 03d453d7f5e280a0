"""The page on migrating: its table names tests that there are, and its program runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")

from examples import t_dataloader
from fastfeed.adapters.torch import DataLoader


def test_every_row_of_the_migration_table_names_its_test() -> None:
    page = (Path(__file__).parents[2] / "docs/migrating.md").read_text()
    table = page.split("## Arguments", 1)[1].split("\n\n## ", 1)[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    files = [Path(__file__).parent / f"test_torch_{name}.py" for name in ("dataloader", "folder")]
    tests = {name for file in files for name in re.findall(r"(?m)^def (test_\w+)", file.read_text())}
    named = [set(re.findall(r"`(test_\w+)`", row)) for row in rows]
    assert all(named)
    assert set().union(*named) - tests == set()
    parameters = set(inspect.signature(DataLoader).parameters)
    assert parameters - set(re.findall(r"`(\w+)", " ".join(row.split("|")[1] for row in rows))) == set()


def test_the_program_of_the_page_learns() -> None:
    losses = t_dataloader.train(workers=1)
    assert losses[-1] < losses[0] / 2
