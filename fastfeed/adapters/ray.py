"""Ray: the batches of a plan, made on the machines of a cluster and fed to a loop here as a local feed feeds them.

    plan --> units (which batches are next) --> window of errands --> actors on any node
                                                      |
             the loop <-- in order, or as they come --+

The schedule, the position and the state are those of the local feed, and so are the bytes.  The window, a number of
batches that are asked for and not yet delivered, is the back-pressure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from fastfeed import options, tree
from fastfeed.engine.feed import Feed
from fastfeed.engine.job import Delivery, Remedies
from fastfeed.engine.stats import Stats
from fastfeed.engine.summary import said_workers
from fastfeed.numeric import aligned_copy
from fastfeed.options import EngineOptions
from fastfeed.schedule.cursor import Unit
from fastfeed.schedule.plan import Plan

try:
    import ray
except ImportError as error:
    raise ImportError("fastfeed.ray needs Ray, which cannot be imported here: pip install ray") from error

from fastfeed.adapters.maker import Answer, heard, identity_of
from fastfeed.adapters.ray_crew import Errand, RayCrew, remote_maker

# Batches that are asked for, for each actor: what it makes, and what waits for the loop meanwhile.
_WINDOW = 4
_MOST = 2**16


def feed(
    plan: Plan,
    *,
    actors: int,
    cpus_per_actor: int = 1,
    window: int | None = None,
    ordered: bool = True,
    writable: bool = True,
    actor_options: Mapping[str, Any] | None = None,
) -> RayFeed:
    """Feed a plan's batches, made by Ray actors.

    Parameters
    ----------
    plan : Plan
        What ``feed.plan()`` returned; its shard is this rank's.
    actors : int
        How many actors make batches.  They are hired by the first ``next`` and used as they come.
    cpus_per_actor : int
        Processors, and so worker processes, of each.
    window : int, optional
        Batches that are asked for and not yet delivered, at most; None: four for each actor.  They lie in Ray's object
        store.
    ordered : bool
        False yields a batch as soon as it is here.
    writable : bool
        False yields arrays over Ray's object store, which nobody may write to, without a copy.
    actor_options : mapping, optional
        Further options of the actors, as Ray takes them: ``resources``, ``runtime_env``, ``scheduling_strategy``.

    Returns
    -------
    RayFeed
        Yields what the plan's feed yields, with the same states.

    Raises
    ------
    ConfigError
        An option that cannot work; while iterating, a node that sees other files or has another version of fastfeed.
    SampleError, WorkerDied
        While iterating.
    """
    plan = _checked(plan)
    count = options.whole("actors", actors, 1, _MOST)
    cpus = options.whole("cpus_per_actor", cpus_per_actor, 1, _MOST)
    window = _WINDOW * count if window is None else options.whole("window", window, 1, _MOST)
    options.flag("ordered", ordered)
    options.flag("writable", writable)
    if actor_options is not None and not isinstance(actor_options, Mapping):
        raise options.wrong("actor_options", actor_options, "pass a dict of what ray.remote() takes, or None")
    remote = remote_maker(cpus, actor_options or {})
    return RayFeed(plan, _RayJob(plan, (count, cpus), window, ordered, writable, remote))


def datasource(
    plan: Plan,
    epochs: int | Iterable[int] = 1,
    *,
    first_batch: int = 0,
    columns: Sequence[str] | None = None,
) -> Any:
    """Return a plan's batches as a source for ``ray.data.read_datasource``.

    A block has the rows of a batch, and two columns besides: ``__epoch__`` and ``__batch__``.  Ray Data cuts and joins
    blocks as it likes, and keeps their order only where ``preserve_order`` is set in its execution options.

    Parameters
    ----------
    plan : Plan
        What ``feed.plan()`` returned.
    epochs : int or iterable of int
        How many epochs, or which ones.
    first_batch : int
        Begin with this batch of the first epoch, to go on where an earlier reading has stopped.
    columns : sequence of str, optional
        What to call the arrays of a batch, in their order; None: by where they stand, "0" and "1" for a pair, the keys
        of a dict, "data" for an array alone.

    Returns
    -------
    ray.data.Datasource

    Raises
    ------
    ConfigError
        An option that cannot work; while reading, a node that sees other files or has another version of fastfeed.
    """
    from fastfeed.adapters.ray_datasource import PlanDatasource

    checked = _checked(plan)
    remedy = "pass a number of epochs, at least 1, or which ones: range(3, 5)"
    if isinstance(epochs, Iterable):
        which = [options.whole("epochs", epoch, 0, remedy=remedy) for epoch in epochs]
    else:
        which = list(range(options.whole("epochs", epochs, 1, remedy=remedy)))
    if not which:
        raise options.wrong("epochs", epochs, remedy)
    return PlanDatasource(checked, which, first_batch, columns)


def _checked(plan: Plan) -> Plan:
    if not isinstance(plan, Plan):
        raise options.wrong("plan", plan, "pass what plan() of a feed of images() or arrays() returns")
    return plan


class RayStats(Stats):
    """A record that knows of the way between the actors and the loop."""

    @property
    def sentence(self) -> str:
        """The verdict in words, with what to change."""
        busy_s = self.read_s + self.work_s
        if self.verdict == "consumer" or self._pulls or self.idle_s <= busy_s:
            return super().sentence
        return (
            f"The way from the actors is the slow side: {self._waited}, and their workers were idle for "
            f"{self.idle_s:.2f} s against {busy_s:.2f} s of work; send fewer bytes (dtype='uint8', normalised on the "
            f"device), raise window, or put the actors behind a faster network."
        )


class RayFeed(Feed):
    """A feed whose workers are Ray actors; made by `fastfeed.ray.feed`.

    It has what a local feed has.  ``close()`` ends the actors; so does dropping it, and the end of the program.
    """

    def __init__(self, plan: Plan, job: _RayJob) -> None:
        super().__init__(job, EngineOptions(num_workers=0), lambda: plan)
        self._actors = job

    def makers(self) -> str:
        """How many actors there are, or will be, and with how many workers."""
        return self._actors.size_in_words()

    def stats(self) -> Stats:
        """What happened so far; `workers` are those of all actors, `deaths` are of actors."""
        stats = super().stats()
        found = {each.name: getattr(stats, each.name) for each in fields(stats) if each.init}
        return RayStats(**{**found, **self._actors.figures()})

    def close(self) -> None:
        """End the actors.  Batches that you keep stay valid.  May be called again, by any thread."""
        self._actors.close()
        super().close()


class _RayJob:
    """The plan's job, its batches made by actors; whatever is not said here is the job's."""

    def __init__(
        self, plan: Plan, size: tuple[int, int], window: int, ordered: bool, writable: bool, remote: Any
    ) -> None:
        self._job: Any = plan.feed(num_workers=0).job
        self._plan = plan
        self._size = size
        self._window = window
        self._ordered = ordered
        self._writable = writable
        self._remote = remote
        self._crew: RayCrew | None = None
        self.remedies: Remedies = replace(
            self._job.remedies,
            more_workers="use more actors",
            faster_source="use faster storage on the nodes, or more actors to overlap the reads",
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def state(self, ordered: bool, waiting: int) -> dict[str, Any]:
        """The local feed's."""
        state: dict[str, Any] = self._job.state(self._ordered, waiting)
        return state

    def size_in_words(self) -> str:
        """How many actors there are to be, and with how many workers each."""
        actors, workers = self._size
        return f"{actors} {'actor' if actors == 1 else 'actors'} with {said_workers(workers)} each"

    def run_here(self, units: Iterator[Unit]) -> Iterator[Delivery]:
        """Have the units made elsewhere."""
        if self._crew is None:
            self._crew = RayCrew(self._plan, identity_of(self._job), *self._size, self._remote)
            self.remedies = replace(self.remedies, processors=int(ray.cluster_resources().get("CPU", 0)))
        try:
            yield from self._run(self._crew, units)
        finally:
            self._crew.forget()

    def _run(self, crew: RayCrew, units: Iterator[Unit]) -> Iterator[Delivery]:
        window: deque[Errand] = deque()
        over = False
        while True:
            while not over and len(window) < self._window:
                unit = next(units, None)
                over = unit is None
                if unit is not None:
                    window.append(Errand(unit))
            if not window:
                return
            self._ask_for(crew, window)
            done = self._first_done(window)
            crew.await_any(window, block=done is None)
            if done is not None:
                window.remove(done)
                yield self._delivered(done), None

    def _ask_for(self, crew: RayCrew, window: deque[Errand]) -> None:
        for errand in window:
            if errand.actor is None and errand.answer is None and not crew.ask(errand):
                return

    def _first_done(self, window: deque[Errand]) -> Errand | None:
        """The batch that may be delivered next: the oldest, or any where the order is free."""
        return next((errand for errand in (window if not self._ordered else [window[0]]) if errand.answer), None)

    def _delivered(self, errand: Errand) -> list[Any]:
        answer, errand.answer = errand.answer, None
        assert answer is not None
        ledger = self._job.ledger
        ledger.errors.update((index, heard(error)) for index, error in answer.errors.items())
        ledger.samples += answer.samples
        if answer.failure is not None:
            raise heard(answer.failure)
        batches: list[Any] = self._job.handed(errand.unit, self._batches(answer))
        return batches

    def _batches(self, answer: Answer) -> list[Any]:
        if answer.batch is None:
            return []
        return [tree.mapped(answer.batch, _writable, lists=True) if self._writable else answer.batch]

    def figures(self) -> dict[str, Any]:
        """What the feed's `Stats` have of the actors."""
        workers = {"workers": self._size[0] * self._size[1]}
        return workers if self._crew is None else {**workers, **self._crew.totals(), "deaths": self._crew.deaths}

    def close(self) -> None:
        """End the actors."""
        if self._crew is not None:
            self._crew.close()


def _writable(leaf: Any) -> Any:
    """An array that the loop may write to, aligned, as every feed's are: those in Ray's object store are read-only."""
    if not isinstance(leaf, np.ndarray) or leaf.flags.writeable:
        return leaf
    return leaf.copy() if leaf.dtype.hasobject else aligned_copy(leaf)


__all__ = ["RayFeed", "datasource", "feed"]
