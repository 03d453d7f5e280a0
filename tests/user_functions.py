"""Functions and generators that tests send to workers, which import this file and not the tests' own imports.

NumPy is imported where it is used: most workers of these tests would spend their lives on importing it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def square(number: int) -> int:
    return number * number


def each_squared(items: list[int]) -> Iterator[int]:
    for item in items:
        yield square(item)


def draw(number: int) -> tuple[float, float]:
    import numpy as np

    return random.random(), float(np.random.rand())


class OwnError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[int]]:
        return OwnError, (self.code,)


def fail_at_7(number: int) -> int:
    if number == 7:
        raise OwnError(number)
    return number


def batches(items: Iterable[int], size: int = 2, *, scale: int = 1) -> Iterator[np.ndarray]:
    """Arrays of `size` items, the last one shorter, as people write it."""
    import numpy as np

    items = list(items)
    for start in range(0, len(items), size):
        yield np.array(items[start : start + size]) * scale


def endless() -> Iterator[tuple[float, float]]:
    import numpy as np

    while True:
        yield random.random(), float(np.random.rand())


def count_up(start: int = 0) -> Iterator[int]:
    yield from itertools.count(start)


def failing(items: list[int], at: int) -> Iterator[int]:
    for item in items:
        if item == at:
            raise OwnError(item)
        yield item


def signature_of_all_kinds(a, b=2, /, c=3, *rest, d, e=5, **more) -> Iterator[object]:
    yield a, b, c, rest, d, e, more


def arrays_of_100_kb(items: Iterable[int]) -> Iterator[np.ndarray]:
    import numpy as np

    for item in items:
        values = np.full(12_500, float(item))
        yield np.sqrt(values) + 1


def draws_late(item: int) -> tuple[float, float]:
    import numpy as np  # which loads numpy.random when it is first asked for

    return random.random(), float(np.random.rand()) if item == 3 else 0.0


def waits_with_a_child(path: str) -> None:
    """Write the number of a child that sleeps, and wait for it."""
    import subprocess
    from pathlib import Path

    with subprocess.Popen(["sleep", "1000"]) as child:
        Path(path + ".part").write_text(str(child.pid))
        Path(path + ".part").rename(path)


def oom_score(item: int) -> int:
    from pathlib import Path

    return int(Path("/proc/self/oom_score_adj").read_text())


def content(path: str) -> str:
    """What a file holds; of a pipe, whatever comes until it is closed."""
    from pathlib import Path

    return Path(path).read_text() if path else ""
