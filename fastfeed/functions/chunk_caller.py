"""What a worker does with a chunk of a map: apply the function to its items, and collate."""

from __future__ import annotations

import sys

from fastfeed import _native
from fastfeed.functions.caller import COLLATING, Caller
from fastfeed.randomness.seeds import random_state, seed_everything, seed_held, seedable
from fastfeed.wire import frame
from fastfeed.wire.failure import Failed, failure, item_failure
from fastfeed.wire.snapshot import FIXED, snapshot

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastfeed.collate.batch import BatchMemory
    from fastfeed.functions.caller import Note
    from fastfeed.wire.arena import Arena
    from fastfeed.wire.failure import Failure

    # Epoch, index of the first item, the items, offsets of those to leave out.
    Chunk = tuple[int, int, list[Any], list[int]]
    # Results, or with a collate function [batch] or []; failures by offset.
    ChunkReply = tuple[list[Any], dict[int, Failure]]


class ChunkCaller(Caller):
    """Apply a function to the items of a chunk.

    Each item that draws random numbers is given its own seed, (seed, epoch, index), so that results do not depend on
    how items fall into chunks.  Seeding costs more than many functions do, so that of the global generators begins when
    a chunk has drawn numbers, and that chunk is done again.  Results are copied when they are returned, because the
    function may fill the same array again.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        collate: Callable[[list[Any]], Any] | None,
        seed: int,
        on_error: str,
    ) -> None:
        super().__init__(function)
        self._collate = collate
        self._seed = seed
        self._stop = on_error == "raise"  # at the first failure
        self._replace = on_error == "replace"
        self._seeding = False

    def __call__(self, unit: Chunk, note: Note | None) -> ChunkReply:
        """Map a chunk."""
        if self._held is None:
            self.held()
        if not self._seeding:
            before = random_state()
            reply = self._reply(*unit, note)
            if random_state() == before:
                return reply
            self._seeding = True
        while True:
            if "numpy" in sys.modules:
                import numpy.random  # noqa: F401  loaded within a chunk, it would not be seeded
            loaded = seedable()
            reply = self._reply(*unit, note)
            if seedable() == loaded:
                return reply

    def _reply(self, epoch: int, first: int, items: list[Any], without: list[int], note: Note | None) -> ChunkReply:
        collate: Any = self._collate
        rows = None
        if self.arena is not None:
            self.arena.clear()
        if collate is not None:
            rows = rows_for(collate, len(items), self.arena)
        keep: Callable[[Any, int], Any] | None = None
        if rows is not None:
            keep = rows.put
        elif collate is not None or len(items) > 1 or self.arena is None:
            keep = self._kept
        results, failures = self._map(epoch, first, items, without, note, keep)
        if collate is None:
            return results, failures
        if len(failures) + len(without) >= len(items) or (self._stop and (failures or without)):
            return [], failures
        if rows is not None and self._replace and (failures or without):
            replaced = {*failures, *without}
            like = next((result for offset, result in enumerate(results) if offset not in replaced), None)
            for offset in replaced:
                results[offset] = rows.put(blank_for(collate, like), offset)
        self._begin(epoch, first, len(items))
        try:
            return [collate(results) if rows is None else collate(results, rows=rows)], failures
        except Exception as error:
            raise Failed(COLLATING, error) from error

    def callables(self) -> dict[str, Any]:
        """The function, and the collate function, which are given random numbers alike."""
        return {**super().callables(), "collate": self._collate}

    def _begin(self, *key: int) -> None:
        if self._seeding:
            seed_everything(self._seed, *key)
        if self._held:
            seed_held(self._held, self._seed, *key)

    def _kept(self, result: Any, number: int) -> Any:
        # What a collate function of the user's gets is no part of the reply.
        return snapshot(result, None if self.arena is None or self._collate is not None else self.arena.copied)

    def _map(
        self,
        epoch: int,
        first: int,
        items: list[Any],
        without: list[int],
        note: Note | None,
        keep: Callable[[Any, int], Any] | None,
    ) -> tuple[list[Any], dict[int, Failure]]:
        """Results and failures; `keep` is given a result and its number, and returns what is kept of it."""
        function = self.function
        results: list[Any] = []
        failures: dict[int, Failure] = {}
        done = 0
        if not (self._seeding or self._held or without or note):
            try:
                _native.apply(function, items, results, FIXED, keep)
                return results, failures
            except BaseException as error:
                done = len(results)
                failures[done] = item_failure(error, self.arena is not None)
        for offset in range(done, len(items)):
            if offset not in failures and offset not in without:
                if note is not None:
                    note(offset)
                self._begin(epoch, first + offset)
                try:
                    result = function(items[offset])
                    results.append(result if keep is None or type(result) in FIXED else keep(result, len(results)))
                    continue
                except BaseException as error:
                    failures[offset] = item_failure(error, self.arena is not None)
            if self._stop:
                break
            if self._replace:
                results.append(None)
        return results, failures

    def sendable(self, unit: Chunk, reply: ChunkReply) -> ChunkReply:
        """Make failures of the results that cannot be pickled."""
        from fastfeed.wire.obstacle import refusal  # only now: it would delay every start

        _, _, items, without = unit
        results, failures = reply
        if self._collate is not None:
            raise Failed("sending a batch", frame.UnpicklableError(refusal(results[0])))
        offsets = [o for o in range(len(items)) if self._replace or (o not in failures and o not in without)]
        kept: list[Any] = []
        for offset, result in zip(offsets, results, strict=False):
            try:
                frame.frame(result)
            except frame.UnpicklableError:
                failures[offset] = failure(frame.UnpicklableError(refusal(result)))
                if self._stop:
                    break
                if self._replace:
                    kept.append(None)
            else:
                kept.append(result)
        return kept, failures


def rows_for(collate: Callable[..., Any], count: int, arena: Arena | None) -> BatchMemory | None:
    """Memory for a batch of that many items, if the collate function is one of fastfeed's own."""
    from fastfeed.collate.batch import BatchMemory
    from fastfeed.collate.collate import collate as default_collate
    from fastfeed.collate.pad import Pad

    padding = type(collate) is Pad  # flat arrays are sequences to it
    if not padding and collate is not default_collate:
        return None
    return BatchMemory(count, None if arena is None else arena.empty, ndim=2 if padding else 0)


def blank_for(collate: Callable[..., Any], like: Any) -> Any:
    """What stands for a failed item in a batch of items like this one."""
    from fastfeed.collate.pad import Pad
    from fastfeed.collate.structure import blank

    return blank(like, sequences=isinstance(collate, Pad))
