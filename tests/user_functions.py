"""Functions and generators that tests send to workers, which import this file and not the tests' own imports.

NumPy is imported where it is used: most workers of these tests would spend their lives on importing it.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import threading
import time
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


def with_pool(number: int) -> int:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(square, range(number)))


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


# ---- ends of workers ----


def kill_self(item: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_with_7(item: object) -> None:
    os._exit(7)


def abort(item: object) -> None:
    os.abort()


# ---- slow ones ----


def spin(milliseconds: float) -> None:
    end = time.perf_counter() + milliseconds / 1e3
    while time.perf_counter() < end:
        pass


def slow_to_come(count: int) -> Iterator[int]:
    for number in range(count):
        spin(4)
        yield number


def slow(number: int) -> int:
    spin(4)
    return number


# ---- what must be set up, or cannot be ----

set_ups: list[int] = []


def set_up() -> None:
    set_ups.append(os.getpid())


def count_set_ups(item: object) -> object:
    """How often this process was set up: a number, or an image of it."""
    if isinstance(item, int):
        return len(set_ups)
    import numpy as np

    return np.full_like(item, len(set_ups))


def each_counts_set_ups(items: list[int]) -> Iterator[object]:
    yield from map(count_set_ups, items)


def cannot_be_set_up() -> None:
    raise OSError(5, "no such device here")


class Device:
    """A callable that can be pickled and cannot be loaded."""

    def __call__(self, value: object) -> object:
        return value

    def __reduce__(self) -> tuple[object, ...]:
        return cannot_be_set_up, ()


# ---- objects ----


class Adder:
    def __init__(self, offset: int) -> None:
        self.offset = offset

    def __call__(self, number: int) -> int:
        return number + self.offset

    def method(self, number: int) -> int:
        return number - self.offset

    @classmethod
    def of_class(cls, number: int) -> str:
        return f"{cls.__name__} {number}"

    @staticmethod
    def static(number: int) -> int:
        return -number


class Data:
    """A data set as people write it, and everything that can be made of one."""

    def __init__(self) -> None:
        import numpy as np

        self.epoch = 0
        self.table = np.zeros(10_000)

    def __getitem__(self, index: int) -> float:
        return self.epoch * 10 + index + self.table[-1]

    def walk(self) -> Iterator[float]:
        yield from (self[0], self[1])

    def paint(self, image: np.ndarray) -> np.ndarray:
        import numpy as np

        return np.full_like(image, self[0])


def walk(data: Data, indices: list[int]) -> Iterator[float]:
    yield from (data[index] for index in indices)


def described(x: np.ndarray, rows: range) -> Iterator[tuple[str, list[int]]]:
    for row in rows:
        yield type(x).__name__, x[row % 4].tolist()


class ArrayHolder:
    """Has an array deep inside."""

    def __init__(self, array: np.ndarray) -> None:
        self.arrays = {"x": [array]}

    def row(self, number: int) -> tuple[str, list[int]]:
        (x,) = self.arrays["x"]
        return type(x).__name__, x[number].tolist()

    def rows(self) -> Iterator[tuple[str, list[int]]]:
        yield from map(self.row, [0, 1] * 50)  # more than are made ahead


# ---- transforms ----


def lacks(image: np.ndarray) -> np.ndarray:
    return image[{"cat": 1}["dog"]]


def dislikes_dark(image: np.ndarray) -> np.ndarray:
    raise OwnError(int(image.max() > 0))


def only_green(image: np.ndarray) -> np.ndarray:
    if image[0, 0, 1] < 100:
        raise OwnError(int(image[0, 0, 1]))
    return image


def forgets(image: np.ndarray) -> None:
    image.sum()


def halves(image: np.ndarray) -> np.ndarray:
    return image[:, ::2]


def leaves(image: np.ndarray) -> np.ndarray:
    sys.exit(3)


def dies_of_red(image: np.ndarray) -> np.ndarray:
    if image[0, 0, 0] > 250 and image[0, 0, 1] < 5:
        kill_self(image)
    return image


def hangs_on_red(image: np.ndarray) -> np.ndarray:
    if image[0, 0, 0] > 250 and image[0, 0, 1] < 5:
        threading.Event().wait()
    return image
