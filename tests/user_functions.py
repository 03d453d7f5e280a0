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


OWN = random.Random(5)


class Holder:
    """Has generators as people have them: an attribute, in a container, of the class, bound by a method."""

    shared = random.Random(6)

    def __init__(self) -> None:
        import numpy as np

        self.rng = np.random.default_rng(1)
        self.steps = [{"noise": np.random.RandomState(2)}, np.random.default_rng(3).random]
        self.bits = np.random.Generator(np.random.Philox(4))

    def __call__(self, item: object) -> tuple[float, ...]:
        return (
            OWN.random(),
            self.shared.random(),
            float(self.rng.random()),
            float(self.steps[0]["noise"].random_sample()),
            float(self.steps[1]()),
            float(self.bits.random()),
        )


def drawn_from(rng: object, item: object = None) -> float:
    return float(rng.random())


def streams_from(rng: object, held: Holder) -> Iterator[tuple[float, ...]]:
    while True:
        yield float(rng.random()), *held(None)


def runs_from(items: list[int], rng: object, rngs: list[object]) -> Iterator[tuple[float, ...]]:
    for each in rngs:
        yield float(rng.random()), float(each.random())


def drawn_from_torch(item: object) -> float:
    import torch

    return torch.rand()


def streams_from_torch(generator: object = None) -> Iterator[tuple[float, float]]:
    import torch

    while True:
        yield torch.rand(), torch.rand(generator)


def runs_from_torch(items: list[int]) -> Iterator[float]:
    import torch

    for _ in items:
        yield torch.rand()


def noise(image: np.ndarray) -> np.ndarray:
    import numpy as np

    image = image.copy()
    image[0, 0] = random.randrange(256), np.random.randint(256), OWN.randrange(256)
    return image


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


def fails_at_every_third(number: int) -> int:
    if number % 3 == 1:
        raise ValueError(number)
    return number
