"""What workers do with units, without a process: chunks, runs, streams, seeds and what is said about failures."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from fastfeed.functions.chunk_caller import ChunkCaller
from fastfeed.functions.stream_caller import End, GeneratorCaller, RunCaller, StreamCaller
from fastfeed.randomness.seeds import RandomAside, seed_everything
from fastfeed.wire import frame
from fastfeed.wire.arena import Arena
from fastfeed.wire.callables import name_of
from fastfeed.wire.failure import Failed, failure, said


@pytest.fixture(autouse=True)
def own_random_state() -> Iterator[None]:
    with RandomAside():
        yield


def chunk(function, *, collate=None, seed: int = 0, on_error: str = "skip") -> ChunkCaller:
    return ChunkCaller(function, collate, seed, on_error)


def arena() -> Arena:
    memory = memoryview(bytearray(1 << 20))
    return Arena(lambda size: memory[:size], frame.HEAD_BYTES)


def no_three(item: int) -> int:
    if item == 3:
        raise KeyError(item)
    return item * 10


# ---- chunks ----


@pytest.mark.parametrize(
    ("on_error", "results"), [("skip", [10, 20, 40]), ("replace", [10, 20, None, 40]), ("raise", [10, 20])]
)
@pytest.mark.parametrize("timed", [False, True])
def test_a_failure_is_left_out_replaced_or_the_end(on_error: str, results: list[int | None], timed: bool) -> None:
    noted: list[int] = []
    reply, failures = chunk(no_three, on_error=on_error)((0, 0, [1, 2, 3, 4], []), noted.append if timed else None)
    assert reply == results
    assert list(failures) == [2]
    what, error, text = failures[2]
    assert (what, type(error), error.args) == ("", KeyError, (3,))
    assert "in no_three" in text
    assert noted == ([] if not timed else [0, 1, 2] if on_error == "raise" else [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("on_error", "results"), [("skip", [10, 40]), ("replace", [10, None, None, 40]), ("raise", [10])]
)
def test_items_that_cost_workers_are_not_tried(on_error: str, results: list[int | None]) -> None:
    reply, failures = chunk(no_three, on_error=on_error)((0, 0, [1, 2, 3, 4], [1]), None)
    assert reply == results
    assert list(failures) == ([] if on_error == "raise" else [2])


def test_an_exit_is_a_failure_and_an_interrupt_is_not() -> None:
    def leave(item: type[BaseException]) -> None:
        raise item(3)

    results, failures = chunk(leave)((0, 0, [SystemExit, ValueError], []), None)
    assert results == []
    assert [type(failures[offset][1]) for offset in (0, 1)] == [SystemExit, ValueError]
    with pytest.raises(KeyboardInterrupt):
        chunk(leave)((0, 0, [KeyboardInterrupt], []), None)


def test_a_batch_is_collated_from_what_is_left() -> None:
    assert chunk(no_three, collate=sum)((0, 0, [1, 2, 3, 4], []), None)[0] == [70]
    assert chunk(no_three, collate=sum)((0, 0, [3], []), None)[0] == []
    assert chunk(no_three, collate=sum, on_error="raise")((0, 0, [1, 2, 3], []), None)[0] == []
    with pytest.raises(Failed, match="collating a batch"):
        chunk(str, collate=sum)((0, 8, [1], []), None)


def draw(item: int) -> tuple[float, float]:
    return random.random(), float(np.random.rand())


def test_random_numbers_depend_on_seed_epoch_and_index_and_not_on_chunks() -> None:
    def drawn(size: int, seed: int = 0, epoch: int = 0) -> list[tuple[float, float]]:
        mapped = chunk(draw, seed=seed)
        starts = range(0, 12, size)
        return [r for first in starts for r in mapped((epoch, first, list(range(size)), []), None)[0]]

    once = drawn(12)
    assert drawn(1) == drawn(4) == once
    assert len({number for pair in once for number in pair}) == 24
    assert not set(drawn(12, seed=1)) & set(once)
    assert not set(drawn(12, epoch=1)) & set(once)


def test_a_chunk_that_sometimes_draws_gives_the_same_numbers_whatever_came_before() -> None:
    def sometimes(item: int) -> float:
        return random.random() if item % 5 == 4 else 0.0

    one, many = chunk(sometimes), chunk(sometimes)
    assert one((0, 0, list(range(10)), []), None)[0] == [many((0, i, [i], []), None)[0][0] for i in range(10)]


def test_a_collate_function_that_draws_is_seeded_too() -> None:
    def shuffled(results: list[int]) -> list[int]:
        random.shuffle(results)
        return results

    first = chunk(int, collate=shuffled)((0, 0, list(range(20)), []), None)
    random.random()
    assert chunk(int, collate=shuffled)((0, 0, list(range(20)), []), None) == first


def test_results_that_cannot_be_sent_become_failures_of_their_items() -> None:
    def some(item: int) -> object:
        return (n for n in "") if item % 2 else item

    for on_error, left in (("skip", [0, 2]), ("replace", [0, None, 2, None]), ("raise", [0])):
        mapped = chunk(some, on_error=on_error)
        unit = (0, 0, [0, 1, 2, 3], [])
        results, failures = mapped.sendable(unit, mapped(unit, None))
        assert results == left
        assert "generator cannot be sent" in str(failures[1][1])
    mapped = chunk(some, collate=list)
    with pytest.raises(Failed, match="sending a batch"):
        mapped.sendable((0, 0, [1], []), mapped((0, 0, [1], []), None))


# ---- failures ----


class Picky(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_an_exception_that_cannot_be_made_again_is_told_as_text() -> None:
    _, error, text = failure(Picky(1, 2))
    assert (type(error), str(error)) == (RuntimeError, "Picky: 1 and 2")
    assert "Picky" in text
    locked = ValueError("locked", (n for n in ""))
    assert type(failure(locked)[1]) is RuntimeError
    frame.copied(failure(locked))


def test_an_exception_without_a_text_is_told_by_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert said(Mute()) == "Mute"
    assert said(KeyError("k")) == "KeyError: 'k'"


# ---- runs and streams ----


def halves(items: list[int], scale: float = 0.5, *, log: list[object] | None = None) -> Iterator[float]:
    try:
        for item in items:
            yield item * scale + random.random() + np.random.rand()
    finally:
        if log is not None:
            log.append("closed")


ITEMS = ("args", 0)


def test_a_run_is_the_call_on_its_part_with_a_seed_of_its_own() -> None:
    runs = RunCaller(halves, (([5, 6, 7], 2.0), {}), [ITEMS], 0)
    assert runs.arguments() == ((None, 2.0), {})

    def run(epoch: int, number: int) -> list[float]:
        return [item for (item,), failed, _ in runs.replies((epoch, number, [[5, 6]])) if failed is None]

    first = run(0, 0)
    assert len(first) == 2
    assert run(0, 0) == first
    assert run(0, 1) != first
    assert run(1, 0) != first
    runs.arena = arena()
    items, failed, sealed = runs((0, 0, [[5, 6]]), None)
    assert (failed, sealed) == (None, True)
    assert [frame.opened(item) for item in items] == first


def test_a_stream_gives_its_items_and_then_its_end_again_and_again() -> None:
    stream = StreamCaller(halves, (([1, 2, 3],), {}), [], 0)
    items = [stream((0, 0, item, None), None) for item in range(5)]
    assert items[3:] == [End, End]
    assert len(set(items[:3])) == 3
    assert [stream((0, 0, item, None), None) for item in range(3)] == items[:3]


def test_a_stream_that_is_asked_further_on_drops_what_was_delivered() -> None:
    stream = StreamCaller(halves, (([1, 2, 3, 4],), {}), [], 0)
    items = [stream((0, 0, item, None), None) for item in range(4)]
    noted: list[int] = []
    late = StreamCaller(halves, (([1, 2, 3, 4],), {}), [], 0)
    assert late((0, 0, 2, None), noted.append) == items[2]
    assert noted == [0, 0]  # the limit of time begins afresh with each
    assert late((0, 0, 3, None), None) == items[3]
    assert StreamCaller(halves, (([1, 2],), {}), [], 0)((0, 0, 5, None), None) is End


def test_a_stream_closes_its_generator_when_the_next_epoch_begins_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log: list[object] = []
    stream = StreamCaller(halves, (([1, 2, 3],), {"log": log}), [], 0)
    stream((0, 0, 0, None), None)
    stream((1, 0, 0, None), None)
    assert log == ["closed"]
    stream.close()
    stream.close()
    assert log == ["closed", "closed"]

    def bad() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("in finally")

    stubborn = StreamCaller(bad, ((), {}), [], 0)
    assert stubborn((0, 0, 0, None), None) == 1
    assert stubborn((1, 0, 0, None), None) == 1
    assert "in finally" in capsys.readouterr().err
    stubborn.close()


def test_a_stream_that_raised_ends_and_begins_afresh_with_item_0() -> None:
    def raising(after: int) -> Iterator[int]:
        yield from range(after)
        raise ValueError

    for after in range(3):
        stream = StreamCaller(raising, ((after,), {}), [], 0)
        for _ in range(2):
            for item in range(after):
                assert stream((0, 0, item, None), None) == item
            with pytest.raises(ValueError, match=r"^$"):
                stream((0, 0, after, None), None)
            assert stream((0, 0, after + 1, None), None) is End


def test_parts_are_cut_alike_and_arguments_are_fresh_for_each_call() -> None:
    def shifting(x: np.ndarray, factor: int, *, y: list[int]) -> Iterator[object]:
        x += 1
        yield x.tolist(), factor, y
        y.clear()

    made = ((np.arange(6), 3), {"y": list("abcdef")})
    stream = StreamCaller(shifting, ((), {}), [("args", 0), ("kwargs", "y")], 0)
    stream.attach(lambda: frame.copied(made))
    for epoch in range(2):
        assert stream((epoch, 1, 0, (2, 4)), None) == ([3, 4], 3, ["c", "d"])
        assert stream((epoch, 1, 1, (2, 4)), None) is End


def test_what_is_no_generator_function_is_told_so() -> None:
    with pytest.raises(TypeError, match=r"len returned int, which cannot be iterated; parallel.. wants a generator"):
        GeneratorCaller(len, ((), {}), 0).start((("abc",), {}), [], [], 0)
    assert list(GeneratorCaller(sorted, ((), {}), 0).start((("cab",), {}), [], [], 0)) == ["a", "b", "c"]


def test_work_in_this_process_has_random_numbers_of_its_own() -> None:
    aside = RandomAside()
    random.seed(1)
    np.random.seed(1)
    mine = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    with aside:
        seed_everything(5)
        first = random.random(), np.random.rand()
    assert (random.random(), np.random.rand()) == mine
    with aside:
        second = random.random(), np.random.rand()
    seed_everything(5)
    assert [(random.random(), np.random.rand()) for _ in range(2)] == [first, second]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (halves, "halves"),
        (len, "len"),
        (chunk(len), "ChunkCaller"),
        (random.Random(1).random, "Random.random"),
        (__import__("functools").partial(halves, [1]), "halves"),
    ],
)
def test_a_function_is_called_by_its_name(function: object, name: str) -> None:
    assert name_of(function) == name
