"""Runs and streams of a generator as the feed's job: the consumer's half of parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastfeed.engine.job import Delivery, Remedies
from fastfeed.functions.job import FunctionJob
from fastfeed.functions.stream_caller import ArgumentPath, End, RunCaller, StreamCaller, argument, cut
from fastfeed.wire import frame

if TYPE_CHECKING:
    from fastfeed.functions.caller import Arguments
    from fastfeed.functions.stream_caller import Run, RunReply, StreamItem

    # Epoch, number of the run, begin and end of its elements.
    RunUnit = tuple[int, int, tuple[int, int]]

_REMEDIES = Remedies(
    less_memory="lower prefetch, or yield smaller pieces",
    faster_source="pass an argument whose slices take less time to make",
    less_work="a faster generator, smaller items",
    pulled="slices of the argument that is split",
)


class RunsJob(FunctionJob):
    """Runs of a split argument, each a call of its own, in one slot each."""

    remedies = _REMEDIES

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Arguments,
        split: Sequence[ArgumentPath],
        count: int,
        size: int,
        seed: int,
        timed: bool,
        initializer: Callable[[], object] | None,
    ) -> None:
        super().__init__(RunCaller(function, arguments, split, seed), timed, initializer)
        self._whole = [argument(arguments, where) for where in split]
        self._bounds = [(start, min(start + size, count)) for start in range(0, count, size)]

    def units(self, epochs: int | None, workers: int) -> Iterator[RunUnit]:
        """Runs, in the order of the argument."""
        for epoch in self._epochs(epochs if self._bounds else 0):
            yield from ((epoch, run, bounds) for run, bounds in enumerate(self._bounds))

    def task(self, unit: RunUnit, without: list[int]) -> tuple[Run, int]:
        """The run with its parts."""
        epoch, run, bounds = unit
        return (epoch, run, [cut(whole, *bounds) for whole in self._whole]), 1

    def results(self, unit: RunUnit, reply: RunReply) -> Delivery:
        """What the run yielded, and what it raised after that."""
        items, failed, sealed = reply
        self.ledger.samples += len(items)
        batches = [frame.opened(item) for item in items] if sealed else list(items)
        return batches, None if failed is None else self._error(unit, failed)

    def contents(self) -> str:
        """The function, and its runs."""
        count = len(self._bounds)
        return f"{self._caller.name()} in {count:,} {'run' if count == 1 else 'runs'}"

    def what(self, unit: RunUnit) -> str:
        """Name the elements of a run."""
        _, run, (start, stop) = unit
        return f"run {run}, elements {start} to {stop - 1}"


class StreamsJob(FunctionJob):
    """Streams, each held by one worker: one for all, one per part, or one per copy."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Arguments,
        split: Sequence[ArgumentPath],
        streams: int,
        count: int | None,
        seed: int,
        timed: bool,
        initializer: Callable[[], object] | None,
        ordered: bool,
    ) -> None:
        super().__init__(StreamCaller(function, arguments, split, seed), timed, initializer)
        self._ordered = ordered
        self.remedies = _REMEDIES
        if count is None and streams == 1:
            alone = "one worker runs the one stream: cut an argument with split=, or pass copies=True"
            self.remedies = replace(_REMEDIES, more_workers=alone)
        self._bounds: list[tuple[int, int] | None] = [None] * streams
        if count is not None:
            self._bounds = [(count * s // streams, count * (s + 1) // streams) for s in range(streams)]
        self._opening = -1  # the epoch that units are made of
        self._living: list[int] = []  # its streams that are not known to have ended
        self._asked: list[int] = []  # stream -> items asked for
        self._awaited: list[int] = []  # stream -> replies that have not come yet

    def units(self, epochs: int | None, workers: int) -> Iterator[StreamItem]:
        """Items of the streams, until every stream is known to have ended."""
        streams = range(len(self._bounds))
        for epoch in self._epochs(epochs):
            before = self.ledger.samples
            self._opening, self._living = epoch, list(streams)
            self._asked, self._awaited = [0 for _ in streams], [0 for _ in streams]
            # In turn or, unordered, from the stream that has the fewest replies to come: it is the fastest.
            load = self._asked if self._ordered else self._awaited
            while self._living:
                stream = min(self._living, key=load.__getitem__)
                item = self._asked[stream]
                self._asked[stream] += 1
                self._awaited[stream] += 1
                yield epoch, stream, item, self._bounds[stream]
            if self.ledger.samples == before:
                return  # or an endless feed of what yields nothing would never return

    def task(self, unit: StreamItem, without: list[int]) -> tuple[StreamItem, int]:
        """The unit as it is."""
        return unit, 1

    def worker_of(self, unit: StreamItem) -> int:
        """Stream s lives on worker s."""
        return int(unit[1])

    def slots(self, workers: int) -> int:
        """Two for each stream, and one that the consumer holds: few, so that their memory stays in the caches."""
        return 2 + 2 * len(self._bounds)

    def results(self, unit: StreamItem, reply: Any) -> Delivery:
        """The item, or nothing at the stream's end."""
        epoch, stream, _, _ = unit
        if epoch == self._opening:  # late replies are of the epoch before
            self._awaited[stream] -= 1
            if reply is End and stream in self._living:
                self._living.remove(stream)
        if reply is End:
            return [], None
        self.ledger.samples += 1
        return [reply], None

    def contents(self) -> str:
        """The function, and its streams."""
        count = len(self._bounds)
        return f"{self._caller.name()} in {count:,} {'stream' if count == 1 else 'streams'}"

    def what(self, unit: StreamItem) -> str:
        """Name an item of a stream."""
        return f"item {unit[2]} of stream {unit[1]}"
