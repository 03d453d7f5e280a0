"""Ray Data: a plan's batches as blocks of a dataset, with columns that say which batch of which epoch a row is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from fastfeed import options, tree
from fastfeed.adapters.maker import Identity, identity_of, parcel_of, unlike, unpacked
from fastfeed.adapters.ray_crew import where
from fastfeed.errors import ConfigError
from fastfeed.schedule.plan import Leaf, Plan

try:
    import ray
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockAccessor, BlockMetadata
except ImportError as error:
    raise ImportError("fastfeed.ray.datasource needs Ray Data: pip install 'ray[data]'") from error

EPOCH, BATCH = "__epoch__", "__batch__"


class PlanDatasource(Datasource):  # type: ignore[misc]  # Ray has no types for it here
    """A plan's batches for ``ray.data.read_datasource``; made by `fastfeed.ray.datasource`."""

    def __init__(self, plan: Plan, epochs: Sequence[int], first: int, columns: Sequence[str] | None) -> None:
        super().__init__()
        self._plan = plan
        self._batches = plan.batches()
        options.whole("first_batch", first, 0, self._batches, f"pass a batch of the epoch, from 0 to {self._batches}")
        self._epochs = epochs
        self._first = first
        self._columns = _names(plan, columns)

    def get_name(self) -> str:
        """What Ray calls the reading."""
        return "fastfeed"

    def estimate_inmemory_data_size(self) -> int:
        """How many bytes all batches have."""
        return self._plan.batch_bytes * self._count()

    def _count(self) -> int:
        return len(self._epochs) * self._batches - self._first

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: object = None
    ) -> list[Any]:
        """Cut the batches into runs of about equal length, one for each task, in order."""
        count = self._count()
        tasks = max(1, min(parallelism, count))
        parcel, here = ray.put(parcel_of(self._plan)), identity_of(self._plan.feed(num_workers=0).job)
        cuts = [count * number // tasks for number in range(tasks + 1)]
        return [self._task(parcel, here, range(start, end), per_task_row_limit) for start, end in pairwise(cuts)]

    def _task(self, parcel: Any, here: Identity, numbers: range, limit: int | None) -> Any:
        wanted = [
            (self._epochs[number // self._batches], number % self._batches)
            for number in range(numbers.start + self._first, numbers.stop + self._first)
        ]
        columns = self._columns
        metadata = BlockMetadata(
            num_rows=None, size_bytes=self._plan.batch_bytes * len(wanted), exec_stats=None, input_files=None
        )
        return ReadTask(lambda: _blocks(parcel, here, wanted, columns), metadata, per_task_row_limit=limit)


def _blocks(parcel: Any, here: Identity, wanted: Iterable[tuple[int, int]], columns: Sequence[str]) -> Iterator[Any]:
    """Make batches where Ray runs this, each as a block."""
    local = _opened(here, parcel)
    for epoch, k in wanted:
        batch = local.make(epoch, k)
        if batch is not None:
            leaves = dict(zip(columns, tree.leaves(batch), strict=True))
            rows = len(next(iter(leaves.values())))
            numbers = {EPOCH: np.full(rows, epoch), BATCH: np.full(rows, k)}
            yield BlockAccessor.batch_to_block({**leaves, **numbers})


@lru_cache(maxsize=1)
def _opened(here: Identity, parcel: Any) -> Plan:
    """The plan in this process, once for all of its tasks: it lists the source."""
    local = unpacked(ray.get(parcel))
    there = identity_of(local.feed(num_workers=0).job)
    difference = unlike(there, here)
    if difference:
        raise ConfigError(f"{where()} {difference}")
    return local


def _names(plan: Plan, given: Sequence[str] | None) -> list[str]:
    """The names of the columns: where each array stands in a batch, or what the user calls it."""
    found = list(_paths(plan.schema))
    if given is None:
        return found
    names = [str(name) for name in given] if options.several(given) else []
    if len(names) != len(found) or len(set(names)) < len(names) or {EPOCH, BATCH} & set(names):
        raise options.wrong("columns", given, f"pass {len(found)} names, for {', '.join(found)}")
    return names


def _paths(schema: Any) -> Iterator[str]:
    """Where each array stands: "0", "1.size"; "data" where it is the whole batch."""
    if schema is None or isinstance(schema, Leaf):
        yield "data"
        return
    for name, member in tree.items(schema):
        for path in _paths(member):
            yield str(name) if path == "data" else f"{name}.{path}"
