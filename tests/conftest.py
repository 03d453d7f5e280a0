"""Fixtures that all tests share: small real JPEG files, and the check that a test leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drive import encode, picture

from fastfeed import _native
from fastfeed.machine import available_cpus

# Where the package `examples` is; last, because this folder has a fastfeed too.
sys.path.append(str(Path(__file__).parents[1]))

# A shell that runs the tests in the background lets them ignore interrupts, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _state() -> tuple[set[str], dict[str, str], int]:
    """Children of this process, its descriptors, and how many mappings of ours it has."""
    children: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            children.update((task / "children").read_text().split())
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            descriptors[name] = os.readlink(f"/proc/self/fd/{name}")
    mappings = sum("memfd:fastfeed" in line for line in Path("/proc/self/maps").read_text().splitlines())
    return children, descriptors, mappings


def _left(before: tuple[set[str], dict[str, str], int]) -> str:
    children, descriptors, mappings = _state()
    more = {name: target for name, target in descriptors.items() if before[1].get(name) != target}
    if children - before[0]:
        return f"child processes {children - before[0]}"
    if more:
        return f"descriptors {more}"
    return "a mapping of a ring or a table" if mappings > before[2] else ""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process, a descriptor or a mapping of ours behind."""
    before = _state()
    yield
    if _left(before):
        gc.collect()  # what only waits for its cycle to be found is not left behind; looked for only then: it is slow
    assert _left(before) == ""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` means: one for each processor that is ours, and none where there is one."""
    cpus = available_cpus()
    return min(cpus, 4) if cpus > 1 else 0


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of the collector's rounds, each of which took a tenth of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 50 small JPEG files, 000.jpg to 049.jpg."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(50):
        size = (40 + index % 7, 30 + index % 5)
        (folder / f"{index:03}.jpg").write_bytes(encode(picture(index, size), quality=90, subsampling=index % 3))
    return folder


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Write files by name and return their folder."""

    def make(files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path

    return make


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def each_variant() -> Iterator[list[str]]:
    """The SIMD variants that this processor has; whichever a test selects, the one before is in use after it."""
    in_use = _native.simd_name()
    yield _native.simd_variants()
    _native.simd_select(in_use)


@pytest.fixture(params=_native.simd_variants())
def variant(request: pytest.FixtureRequest, each_variant: list[str]) -> str:
    """Each of them in turn, in use."""
    assert _native.simd_select(request.param)
    return str(request.param)
