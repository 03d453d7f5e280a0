"""What a handler raises is told from what the interrupted code raises."""

from __future__ import annotations

import functools
import queue
import signal
from collections.abc import Callable, Iterator

import pytest

import fastfeed as ff
from fastfeed.interrupt import interrupts
from fastfeed.wire import frame


class LateError(Exception):
    pass


def late(*_: object) -> None:
    raise LateError("the handler's")


class Handler:
    def __call__(self, *_: object) -> None:
        late()

    def method(self, *_: object) -> None:
        late()


def caught(call: Callable[[], object]) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture(params=[late, Handler(), Handler().method, functools.partial(late, 1)], ids=lambda _: "")
def handled(request: pytest.FixtureRequest) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, request.param)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("handled")
def test_a_handlers_exception_is_an_interrupt_and_no_other_is() -> None:
    assert interrupts(caught(lambda: signal.raise_signal(signal.SIGUSR1)))
    assert not interrupts(caught(lambda: {}["missing"]))
    assert interrupts(KeyboardInterrupt())


def interrupted(number: int) -> int:
    if number == 2:
        signal.raise_signal(signal.SIGUSR1)
    return number


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("on_error", ["raise", "skip", "replace"])
def test_a_handlers_exception_in_the_function_comes_out_as_it_is(on_error: str) -> None:
    with ff.map(interrupted, range(4), num_workers=0, on_error=on_error) as feed:
        with pytest.raises(LateError):
            list(feed)
        assert feed.errors == []


def walk(numbers: range) -> Iterator[int]:
    yield from map(interrupted, numbers)


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_handlers_exception_in_a_generator_or_an_iterable_comes_out_as_it_is(workers: int) -> None:
    with ff.parallel(walk, num_workers=0)(range(4)) as feed, pytest.raises(LateError):
        list(feed)
    with ff.map(abs, walk(range(4)), chunk_size=1, num_workers=workers) as feed, pytest.raises(LateError):
        list(feed)


class Interrupted:
    """Is interrupted while it is pickled, or while it is made from what was pickled."""

    def __init__(self, when: str) -> None:
        self.when = when

    def __getstate__(self) -> str:
        if self.when == "pickled":
            signal.raise_signal(signal.SIGUSR1)
        return self.when

    def __setstate__(self, when: str) -> None:
        if when == "made":
            signal.raise_signal(signal.SIGUSR1)
        self.when = when


@pytest.mark.usefixtures("handled")
def test_a_handlers_exception_while_a_value_travels_comes_out_as_it_is() -> None:
    for call in (
        lambda: frame.frame(Interrupted("pickled")),
        lambda: frame.frame(Interrupted("pickled"), by_value=True),
        lambda: frame.small(Interrupted("pickled")),
        lambda: frame.copied(Interrupted("made")),
    ):
        assert isinstance(caught(call), LateError)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_source_that_waits_for_the_loop_is_asked_for_no_more_than_is_in_flight(workers: int) -> None:
    numbers: queue.Queue[int | None] = queue.Queue()
    numbers.put(-1)
    with ff.map(abs, iter(numbers.get, None), chunk_size=1, prefetch=1, num_workers=workers) as feed:
        for number in feed:
            numbers.put(-number - 1 if number < 5 else None)
    assert number == 5
