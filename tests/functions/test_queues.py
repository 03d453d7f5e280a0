"""Sources that wait: for what the loop does with results, or for another thread."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from queue import Queue, SimpleQueue
from typing import Any

import probe
import pytest
from user_functions import square

import fastfeed as ff
from fastfeed.functions.queues import Queues

queue: Any = None


def from_a_global() -> Iterator[int]:
    while (item := queue.get()) is not None:
        yield item


def from_an_argument(items: Any) -> Iterator[int]:
    yield from iter(items.get, None)


def after_items_of_its_own(items: Any) -> Iterator[int]:
    yield items.get()
    for _ in range(3):
        yield -1
    yield from iter(items.get, None)


class Source:
    def __init__(self, items: Any) -> None:
        self.items = items

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        item = self.items.get()
        if item is None:
            raise StopIteration
        return item


SOURCES = {
    "a global": from_a_global,
    "an argument": lambda: from_an_argument(queue),
    "a method": lambda: iter(queue.get, None),
    "a lambda": lambda: iter(lambda: queue.get(timeout=60), None),
    "an attribute": lambda: Source(queue),
    "wrapped": lambda: (item for item in itertools.islice(map(abs, from_an_argument(queue)), 100)),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("options", [{}, {"ordered": False}, {"chunk_size": 8}, {"num_workers": 0}], ids=str)
def test_a_source_may_wait_for_what_the_loop_does_with_the_result_before(
    source: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "queue", Queue())
    queue.put(0)
    got = []
    with ff.map(lambda item: item + 1, SOURCES[source](), **{"num_workers": 2, **options}) as feed:
        for result in feed:
            got.append(result)
            queue.put(result if result < 6 else None)
    assert got == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", [Queue, SimpleQueue, get_context("fork").SimpleQueue])
def test_the_queue_may_be_of_any_kind_and_several_items_ahead(kind: Any) -> None:
    items = kind()
    for item in range(3):
        items.put(item)
    got = []
    with ff.map(lambda item: item + 3, from_an_argument(items), num_workers=2) as feed:
        for result in feed:
            got.append(result)
            items.put(result if result < 9 else None)
    assert got == list(range(3, 12))  # three are on their way round


def test_a_source_may_have_a_few_items_of_its_own() -> None:
    items: Queue[Any] = Queue()
    items.put(0)
    got = []
    with ff.map(square, after_items_of_its_own(items), num_workers=2) as feed:
        for result in feed:
            got.append(result)
            items.put(7 if len(got) == 1 else None)
    assert got == [0, 1, 1, 1, 49]


def test_a_source_that_gives_though_its_queue_is_empty_is_read_ahead(tmp_path: Path) -> None:
    def source(unused: Any) -> Iterator[int]:
        yield from range(10)

    def meet(item: int) -> int:
        """The last two wait for each other, which takes two workers."""
        if item >= 8:
            with open(pipe, "w" if item == 8 else "r"):
                pass
        return item

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ff.map(meet, source(Queue()), num_workers=2, chunk_size=1) as feed:
        assert list(feed) == list(range(10))


@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_queue_may_be_filled_by_a_thread(batch_size: int | None) -> None:
    items: Queue[Any] = Queue(maxsize=3)
    filling = threading.Thread(target=lambda: [items.put(item) for item in (*range(200), None)])
    filling.start()
    with ff.map(square, iter(items.get, None), num_workers=2, batch_size=batch_size) as feed:
        got = list(feed)
    filling.join()
    assert [int(value) for each in got for value in (each if batch_size else [each])] == list(map(square, range(200)))


def test_what_is_about_to_be_complete_goes_before_a_slow_source_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    probe.hold_off(monkeypatch)
    delivered = threading.Event()

    def source() -> Iterator[int]:
        for item in range(1, 4):
            yield item
            delivered.wait()
            delivered.clear()

    got = []
    with ff.map(square, source(), num_workers=2, chunk_size=1) as feed:
        for result in feed:
            got.append(result)
            delivered.set()
    assert got == [1, 4, 9]


def test_queues_of_what_a_source_only_uses_are_none_of_its_own() -> None:
    class Tool:
        """An object that is no iterator: a pool of threads, say, with a queue of what they have to do."""

        def __init__(self) -> None:
            self.work: Queue[Any] = Queue()

    def source(tool: Tool, names: dict[str, int]) -> Iterator[int]:
        yield from names.values()

    assert not Queues(source(Tool(), {"a": 1}))
    assert Queues(from_an_argument(Queue()))
