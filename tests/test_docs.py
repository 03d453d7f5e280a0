"""The documents speak of what is there: files, links, rooms and words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastfeed

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/*.md"))]
# What a page invents to show how something is added.
INVENTED = re.compile(r"`([^`]+)` \(new\)|<kind>")


def page(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_the_files_that_a_page_names_are_there(path: Path) -> None:
    text = path.read_text()
    invented = {name for name in INVENTED.findall(text) if name}
    named = set(re.findall(r"`((?:fastfeed|csrc|tests|bench|docs|examples)/[\w./-]+)`", text)) - invented
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", path.read_text())
    assert {link for link in links if not (path.parent / link).exists()} == set()


def test_every_room_is_in_the_picture_of_the_architecture() -> None:
    rooms = {file.parent.name for file in (ROOT / "fastfeed").glob("*/__init__.py")}
    text = (ROOT / "docs/architecture.md").read_text()
    assert {room for room in rooms if f"{room}/" not in text} == set()


@pytest.mark.parametrize("room", sorted((ROOT / "fastfeed").glob("*/__init__.py")), ids=lambda file: file.parent.name)
def test_a_room_says_of_each_of_its_files_what_it_is_for(room: Path) -> None:
    text = room.read_text()
    assert {file.name for file in room.parent.glob("[a-z]*.py") if file.name not in text} == set()


def names() -> Iterator[tuple[str, str]]:
    """(word, where it stands): the last word of each class's name, and all words of each file's."""
    for file in (ROOT / "fastfeed").rglob("*.py"):
        if not file.stem.startswith("__"):
            yield from ((word, page(file)) for word in file.stem.split("_"))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.name not in fastfeed.__all__:
                word = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", node.name)[-1]
                yield word, f"{page(file)}: {node.name}"
    for file in (ROOT / "csrc").rglob("*.[ch]"):
        yield file.stem, page(file)


def test_every_name_is_a_word_of_the_glossary() -> None:
    text = (ROOT / "docs/words.md").read_text()
    cells = re.findall(r"(?m)^\| ([^|]+) \|", text)
    known = {word.rstrip("s").lower() for cell in cells for word in re.split(r"[^\w]+", cell)}
    known |= {name.rstrip("s").lower() for name in fastfeed.__all__}
    assert {where: word for word, where in names() if word.rstrip("s").lower() not in known} == {}


def test_the_glossary_explains_no_word_twice() -> None:
    text = (ROOT / "docs/words.md").read_text()
    words = re.findall(r"(?m)^\| ([^|]+) \|", text)
    explained = [word.strip() for cell in words for word in cell.split(", ") if cell not in ("word", "---")]
    assert sorted(word for word in set(explained) if explained.count(word) > 1) == []
