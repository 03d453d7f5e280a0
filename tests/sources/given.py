"""What the tests of sources share: files to be found, refusals, and a worker's view of a table."""

from __future__ import annotations

import mmap
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fastfeed.errors import ConfigError
from fastfeed.sources.choose import as_source
from fastfeed.sources.source import Source


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        as_source(*args, **options)
    return str(caught.value)


def table(source: Source) -> tuple[int, int, list[bytes]]:
    """(count, kind, entries), read the way a worker does: through a read-only mapping."""
    with mmap.mmap(source.table_fd(), 0, prot=mmap.PROT_READ) as view:
        count, kind = struct.unpack_from("=QQ", view, 0)
        offsets = struct.unpack_from(f"={count + 1}Q", view, 16)
        blob = view[16 + 8 * (count + 1) :]
    assert offsets[0] == 0
    assert offsets[-1] == len(blob)
    return count, kind, [blob[a:b] for a, b in pairwise(offsets)]
