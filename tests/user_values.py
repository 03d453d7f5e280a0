"""Objects and exceptions that travel between tests and workers, which import this file and not that of the test."""

from __future__ import annotations

import collections
import dataclasses
import xml.etree.ElementTree as ElementTree
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Point(NamedTuple):
    x: int
    y: object = None


@dataclasses.dataclass
class Reused:
    pixels: object
    number: int


@dataclasses.dataclass
class Record:
    name: str
    values: np.ndarray


class Picky(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Cancelled(BaseException):
    pass


class Unloadable:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return int, ("no number",)


class Rewinding:
    """An iterator as people wrote it: ``__iter__`` begins afresh."""

    def __iter__(self) -> Rewinding:
        self.number = 0
        return self

    def __next__(self) -> int:
        self.number += 1
        if self.number > 7:
            raise StopIteration
        return self.number


class Refusing(dict):
    """A dict whose class refuses to be copied, and can be sent."""

    def __copy__(self) -> Refusing:
        raise TypeError("no copies")

    def __deepcopy__(self, memo: dict[int, object]) -> Refusing:
        raise TypeError("no copies")


class Attributed(dict):
    def __getattr__(self, name: str) -> object:
        return self[name]


class Buffer(bytearray):
    pass


class Labels(set):
    pass


class Frame:
    def __init__(self) -> None:
        import numpy as np

        self.values, self.pixels = [0], np.zeros(2000)


class Tagged(dict):
    pass


def elements() -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    root = ElementTree.fromstring("<a><b n='0'/></a>")
    return root, [root.find("b")]


def tagged() -> Tagged:
    made = Tagged(part=[0])
    made.parts = [made["part"]]
    return made


def set_first(value: Any, number: int) -> None:
    value[0] = number


def set_frame(frame: Frame, number: int) -> None:
    frame.values[0] = number
    frame.pixels[:] = number


# By class: how to make one, fill it with a number, and read that again.  No copier of ours knows these classes.
KINDS: dict[type, tuple[Callable[[], Any], Callable[[Any, int], object], Callable[[Any], object]]] = {
    ElementTree.Element: (
        lambda: ElementTree.fromstring("<a><b/></a>"),
        lambda element, number: element.find("b").set("n", str(number)),
        lambda element: int(element.find("b").get("n")),
    ),
    Frame: (Frame, set_frame, lambda frame: int(frame.values[0] + frame.pixels[-1]) // 2),
    tuple: (  # two that share
        elements,
        lambda pair, number: pair[0].find("b").set("n", str(number)),
        lambda pair: int(pair[1][0].get("n")) if pair[0].find("b") is pair[1][0] else None,
    ),
    Tagged: (
        tagged,
        lambda value, number: set_first(value["part"], number),
        lambda value: value.parts[0][0] if value.parts[0] is value["part"] else None,
    ),
    array: (lambda: array("l", [0]), set_first, lambda value: value[0]),
    collections.deque: (lambda: collections.deque([0]), set_first, lambda value: value[0]),
}


def read(value: Any) -> tuple[str, object]:
    return type(value).__name__, KINDS[type(value)][2](value)
