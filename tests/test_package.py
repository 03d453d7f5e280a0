"""The public surface and the walls: names, what an import costs, and which room may import which."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastfeed

ROOT = Path(fastfeed.__file__).parent
# Floors of the house, the top one first.  A room may import those on the floors below it, and no other.
FLOORS = [
    ["__main__"],
    list(fastfeed._MODULES),
    ["adapters", "tools"],
    ["functions", "image", "table"],
    ["collate", "schedule", "sources"],
    ["engine", "wire"],
    ["errors", "interrupt", "machine", "numeric", "options", "randomness", "rank", "tree"],
    ["__init__", "_native"],
]
GROUND = FLOORS.index(["errors", "interrupt", "machine", "numeric", "options", "randomness", "rank", "tree"])
# What a worker process may load besides the ground; everything else is the consumer's.
IN_WORKERS = {
    "collate",
    "engine/boot.py",
    "engine/memory.py",
    "functions/caller.py",
    "functions/spec.py",
    "functions/worker.py",
    "image/decode.py",
    "image/limits.py",
    "image/finish.py",
    "image/worker.py",
    "table/worker.py",
    "wire",
}


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(file: Path) -> str:
    """fastfeed/engine/ring.py is engine/ring.py."""
    return str(file.relative_to(ROOT))


def room_of(name: str) -> str:
    return name.split("/", maxsplit=1)[0].removesuffix(".py")


def floor_of(room: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


def imports_of(file: Path) -> set[str]:
    """Files of fastfeed that a file imports, for types only as well."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastfeed":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "fastfeed"]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and "fastfeed." in str(arg.value)]
        found |= {file_named(name.split(".")[1:]) for name in names}
    return found - {name_of(file)}


def file_named(parts: list[str]) -> str:
    """The file of a dotted name, which may end with something in it."""
    if parts[:1] == ["_native"]:
        return "_native"
    while parts:
        path = ROOT.joinpath(*parts)
        if path.with_suffix(".py").exists():
            return name_of(path.with_suffix(".py"))
        if path.is_dir():
            return name_of(path / "__init__.py")
        parts = parts[:-1]
    return "__init__.py"


def test_all_is_sorted_and_complete() -> None:
    assert fastfeed.__all__ == sorted(fastfeed._HOMES)
    for name in fastfeed.__all__:
        assert getattr(fastfeed, name).__name__ == name


def test_the_stub_names_what_the_package_gives_from_where_it_is() -> None:
    homes = {}
    for node in ast.parse((ROOT / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if names == ["*"]:
                names = importlib.import_module(node.module).__all__
            homes |= dict.fromkeys(names, node.module.removeprefix("fastfeed."))
    assert homes == fastfeed._HOMES | dict.fromkeys(fastfeed._MODULES, "fastfeed")


@pytest.mark.parametrize("name", fastfeed._MODULES)
def test_what_an_adapter_has_is_imported_by_its_short_name(name: str) -> None:
    """As in ``from fastfeed.torch import DataLoader``; without the framework, the reason is said."""
    try:
        adapter = importlib.import_module(f"fastfeed.adapters.{name}")
    except ImportError as error:
        with pytest.raises(ImportError, match=re.escape(str(error))):
            getattr(fastfeed, name)
        return
    module = importlib.import_module(f"fastfeed.{name}")
    assert module is getattr(fastfeed, name)
    assert {each: getattr(module, each) for each in adapter.__all__} == {
        each: getattr(adapter, each) for each in adapter.__all__
    }


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert fastfeed.__version__ == project["version"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'imagse'"):
        fastfeed.imagse  # noqa: B018


def test_no_folder_or_file_hides_a_public_function() -> None:
    assert not {file.stem for file in ROOT.iterdir()} & set(fastfeed.__all__)


@pytest.mark.parametrize("file", files(), ids=name_of)
def test_a_room_imports_only_what_is_on_the_floors_below(file: Path) -> None:
    room = room_of(name_of(file))
    for imported in imports_of(file):
        below = room_of(imported)
        assert below == room or floor_of(below) > floor_of(room) or floor_of(room) == GROUND == floor_of(below), (
            f"{name_of(file)} imports {imported}"
        )


def test_files_import_each_other_in_no_circle() -> None:
    graph = {name_of(file): imports_of(file) for file in files()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for imported in graph.get(name, ()):
                visit(imported, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_only_what_is_meant_for_workers_is_loaded_by_them() -> None:
    graph = {name_of(file): imports_of(file) for file in files()}
    seen: set[str] = set()
    waiting = {name for name in graph if name.endswith("/worker.py")}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= graph.get(name, set()) - seen
    ground = {name for name in seen if floor_of(room_of(name)) >= GROUND or name.endswith("/__init__.py")}
    assert {name for name in seen - ground if name not in IN_WORKERS and room_of(name) not in IN_WORKERS} == set()


@pytest.mark.parametrize("file", [*files(), *ROOT.rglob("*.px[id]"), ROOT / "_native.pyi"], ids=name_of)
def test_no_file_is_longer_than_500_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 500


def test_no_test_benchmark_or_example_is_longer_than_500_lines() -> None:
    project = Path(__file__).parents[1]
    files = [file for folder in ("bench", "examples", "tests") for file in (project / folder).rglob("*.py")]
    assert {file.name for file in files if len(file.read_text().splitlines()) > 500} == set()


@pytest.mark.parametrize("file", files(), ids=name_of)
def test_the_first_line_of_a_file_says_its_job(file: Path) -> None:
    assert (ast.get_docstring(ast.parse(file.read_text())) or "").split("\n")[0].endswith((".", ":"))


@pytest.mark.parametrize("module", ["fastfeed", "fastfeed.tree", "fastfeed.image.worker", "fastfeed.table.worker"])
def test_the_import_is_cheap_and_a_worker_needs_no_numpy(module: str) -> None:
    code = f"import sys; sys.path.append({str(ROOT.parent)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "PIL", "typing", "re", "multiprocessing", "subprocess"} & set(done.stdout.split())


@pytest.mark.parametrize("module", ["fastfeed.image.worker", "fastfeed.table.worker"])
def test_a_worker_that_runs_no_code_of_the_users_loads_next_to_nothing(module: str) -> None:
    code = f"import sys; sys.path.append({str(ROOT.parent)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"os", "collections", "fastfeed.image.finish"} & set(done.stdout.split())
