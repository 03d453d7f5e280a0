"""The public surface and the layers: names, what an import costs, and which file may import which."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastfeed

ROOT = Path(fastfeed.__file__).parent
# Each may import those after it in the list, never one before: arrows point downwards only.
LAYERS = [
    ["__main__"],
    ["cli"],
    ["benchmark", "doctor"],
    ["arrays", "images", "map", "parallel", "prefetch"],
    ["feed", "rows", "tasks"],
    ["crew"],
    ["ring", "function_worker"],
    ["work", "worker"],
    ["collate", "columns", "payload", "source", "stats", "transforms", "decode"],
    ["byvalue", "labels", "listing", "schedule", "snapshot"],
    ["options", "machine", "memory"],
    ["errors"],
    ["__init__", "_native"],
]


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def module_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def level(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def imports_of(file: Path) -> set[str]:
    """First-level modules of fastfeed that a file imports, those under TYPE_CHECKING left out."""
    tree = ast.parse(file.read_text())
    found = set()
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "fastfeed":
            names = {alias.name for alias in node.names}
            found |= {name if (ROOT / f"{name}.py").exists() or name == "_native" else "__init__" for name in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastfeed."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fastfeed.")}
    return found


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
    assert homes == fastfeed._HOMES


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert fastfeed.__version__ == project["version"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'imagse'"):
        fastfeed.imagse  # noqa: B018


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    import fastfeed.images

    assert callable(fastfeed.images)


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_downwards(file: Path) -> None:
    module = module_of(file)
    for imported in imports_of(file) - {module}:
        assert level(imported) > level(module), f"{module} imports {imported}"


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_first_line_of_a_file_says_its_job(file: Path) -> None:
    assert (ast.get_docstring(ast.parse(file.read_text())) or "").split("\n")[0].endswith((".", ":"))


@pytest.mark.parametrize("module", ["fastfeed", "fastfeed.worker"])
def test_the_import_is_cheap_and_a_worker_needs_no_numpy(module: str) -> None:
    code = f"import sys; sys.path.append({str(ROOT.parent)!r}); import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "PIL", "typing", "re", "multiprocessing", "subprocess"} & set(done.stdout.split())
