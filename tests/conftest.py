"""Fixtures that all tests share: small real JPEG files, and the check that a test leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastfeed import _native

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


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """One image as a file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(index: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A small colourful image that differs from every other index; size is (width, height)."""
    random = np.random.default_rng(index)
    coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.BICUBIC)


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
def each_variant() -> Iterator[list[str]]:
    """The SIMD variants that this processor has; whichever a test selects, the one before is in use after it."""
    in_use = _native.simd_name()
    yield _native.simd_variants()
    _native.simd_select(in_use)
