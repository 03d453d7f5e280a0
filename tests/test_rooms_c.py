"""The rooms of csrc: which folder may include which, no circle between files, and what a file says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"
FILES = sorted(file.relative_to(CSRC) for file in CSRC.rglob("*.[ch]"))
# A room may include itself and these.
ROOMS = {
    "base": set[str](),
    "random": {"base"},
    "simd": {"base"},
    "source": {"base"},
    "jpeg": {"base", "simd"},
    "ring": {"base"},
    "image": {"base", "random", "simd", "source", "jpeg", "ring"},
    "table": {"base", "simd", "ring"},
}
LONGEST = 500


def includes(file: Path) -> list[Path]:
    return [Path(name) for name in re.findall(r'^#include "(.*)"', (CSRC / file).read_text(), re.MULTILINE)]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_room_includes_only_the_rooms_below_it(file: Path) -> None:
    room = file.parts[0]
    assert len(file.parts) == 2, "a file lies in a room"
    for included in includes(file):
        assert (CSRC / included).exists(), f"{included} is named by its path from csrc"
        assert included.parts[0] in ROOMS[room] | {room}, f"{room} may not include {included}"


def test_no_rooms_include_each_other_in_a_circle() -> None:
    order: list[str] = []
    while len(order) < len(ROOMS):
        free = [room for room, below in ROOMS.items() if room not in order and below <= set(order)]
        assert free, f"a circle among {set(ROOMS) - set(order)}"
        order += free


def test_no_files_include_each_other_in_a_circle() -> None:
    """A header and the .c beside it count as one."""
    below: dict[Path, set[Path]] = {}
    for file in FILES:
        below.setdefault(file.with_suffix(""), set()).update(name.with_suffix("") for name in includes(file))
    done: set[Path] = set()
    while len(done) < len(below):
        free = {unit for unit in below.keys() - done if below[unit] - {unit} <= done}
        assert free, f"a circle among {sorted(map(str, below.keys() - done))}"
        done |= free


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_first_line_says_the_job_and_the_file_is_short(file: Path) -> None:
    lines = (CSRC / file).read_text().splitlines()
    assert lines[0].startswith(f"/* {file.stem}: "), lines[0]
    assert len(lines) <= LONGEST


def test_memory_ordering_has_one_home() -> None:
    """Which variant of the loops is in use is no part of the ring's protocol."""
    atomic = {str(file) for file in FILES if re.search(r"\b_Atomic|\batomic_|stdatomic", (CSRC / file).read_text())}
    assert atomic == {"ring/order.h", "simd/cpu.c"}
