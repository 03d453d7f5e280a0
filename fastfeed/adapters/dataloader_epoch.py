"""What a loop of the DataLoader goes through: a feed, what its workers are sent, and an epoch of the sampler."""

from __future__ import annotations

import base64
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from fastfeed.schedule.sampler import NOTHING_SEEN, Seen, checksum_of, drawn_anew

if TYPE_CHECKING:
    from fastfeed.adapters.torchvision import Folder


class Items:
    """What workers are sent, batch by batch: set before each iteration."""

    def __init__(self) -> None:
        self.now: Iterable[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.now)


class Running(NamedTuple):
    """A feed with its workers, what it is told of the order, and the folder that it is of, if of one."""

    feed: Any
    items: Items
    folder: Folder | None = None


@dataclass(eq=False)
class Epoch:
    """An epoch under way: what was drawn for it, and how far the loop is.

    Attributes
    ----------
    seed : int or None
        The base seed.
    random : str or None
        The state of PyTorch's global generator before the sampler began.
    generators : list of str
        Those of the loader's and the sampler's generators.
    feed_state : dict or None
        Where a feed of images is to go on.
    had : int
        Batches that the loop has been given.
    seen : (int, int)
        How many batches the sampler had drawn with one that the loop was given, and their checksum; (0, 0) where they
        are not of whole numbers.
    feed : TorchFeed or None
        The feed of images.
    """

    seed: Any
    random: Any
    generators: list[str]
    feed_state: Any = None
    had: int = 0
    seen: Seen = NOTHING_SEEN
    feed: Any = None
    _ahead: deque[Seen] = field(default_factory=deque)  # of batches that are drawn and not given yet

    def draw(self, sampler: Iterator[Any], name: str) -> tuple[list[Any], Iterator[Any]]:
        """Return what a sampler has drawn for batches that the loop has had, and what it is to draw.

        Raises
        ------
        ConfigError
            If it does not draw what it had drawn.
        """
        count, checksum = self.seen
        drawn = list(itertools.islice(sampler, self.had))
        if count and _checksum(drawn[:count], 0) != checksum:
            raise drawn_anew(name, count)
        return drawn, self._noted(sampler, _checksum(drawn, 0))

    def _noted(self, sampler: Iterator[Any], checksum: int | None) -> Iterator[Any]:
        for count, indices in enumerate(sampler, self.had + 1):
            checksum = _checksum([indices], checksum)
            self._ahead.append(NOTHING_SEEN if checksum is None else (count, checksum))
            yield indices

    def give(self) -> None:
        """Note that the loop is given a batch."""
        self.had += 1
        if self._ahead:
            self.seen = self._ahead.popleft()


def _checksum(batches: list[Any], before: int | None) -> int | None:
    """The checksum of lists of indices behind others; None where they are none."""
    if before is None:
        return None
    try:
        lists: list[Any] = [batch if isinstance(batch, list | tuple) else [batch] for batch in batches]
        return checksum_of(lists, True, before)
    except (TypeError, OverflowError):
        return None


def states_of(generators: Iterable[torch.Generator]) -> list[str]:
    """Return the states of generators as text."""
    return [encoded(generator.get_state()) for generator in generators]


def encoded(state: torch.Tensor) -> str:
    """Return the state of a generator as text."""
    return base64.b64encode(state.numpy().tobytes()).decode()


def decoded(text: str) -> torch.Tensor:
    """Return the state that a text is of."""
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
