"""Fixtures that all tests share: small real JPEG files, and the check that a test leaves nothing behind."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return found


def _ring_mappings() -> int:
    return sum("memfd:fastfeed" in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process, a descriptor or a mapping of ours behind."""
    children, descriptors, mappings = _children(), _descriptors(), _ring_mappings()
    yield
    gc.collect()
    left = {name: target for name, target in _descriptors().items() if descriptors.get(name) != target}
    left = {name: target for name, target in left.items() if "/cache/" not in target}
    assert not _children() - children, "a child process is left"
    assert not left, f"descriptors are left: {left}"
    assert _ring_mappings() <= mappings, "a mapping of a ring or a table is left"


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
