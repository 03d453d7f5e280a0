"""The crew of a feed on Ray: actors that make batches on any machine, and what is asked of which.

    ask(unit) --> the actor that has least to do --> its maker --> Ray's object store --> the answer
                       |
                   dies: whatever it was asked for is asked of another, and a new one is hired in its place

An actor is asked for nothing before it has said who it is: one that sees other files, or has another fastfeed, would
make other batches.  Actors are hired at once and used as they come, so a cluster that still grows holds nobody up.  All
waiting is for references: an answer, an introduction, and the end of the actor that owes either.
"""

from __future__ import annotations

import contextlib
import itertools
import platform
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import ray
from ray import exceptions

from fastfeed import options
from fastfeed.adapters.maker import TOTALS, Answer, Identity, Maker, Parcel, parcel_of, unlike, unpacked
from fastfeed.errors import ConfigError, FeedClosed, WorkerDied
from fastfeed.schedule.cursor import Unit
from fastfeed.schedule.plan import Plan
from fastfeed.wire.failure import said

# An actor has so many batches to do at most: one goes out, one is being made, one is next.
AT_ONCE = 3
# So many actors have died over one batch, or before they were ready, until that is an error.
_DEATHS = 3
# Where no actor has begun after so long, that is said.
_PATIENCE_S = 60.0


class _Introduction(NamedTuple):
    """What an actor says first: who it is, or why it cannot be of use; and on which of Ray's nodes."""

    identity: Identity | None
    failure: str
    node: str


def where() -> str:
    """What messages call the node of Ray's that this process runs on."""
    node = ray.get_runtime_context().get_node_id()
    return f"node {ray.util.get_node_ip_address()} ({platform.node()}, {node[:12]})"


class MakerActor:
    """A `Maker` as Ray's actor; it is made by the first call, so that whatever is wrong can be said."""

    def __init__(self, parcel: Parcel, workers: int) -> None:
        self._given = parcel, workers
        self._maker: Maker | None = None

    def introduce(self) -> _Introduction:
        """Begin, and say who this is."""
        try:
            parcel, workers = self._given
            self._maker = Maker(unpacked(parcel), workers)
            return _Introduction(self._maker.identity(), "", where())
        except Exception as error:
            return _Introduction(None, said(error), where())

    def make(self, unit: Unit) -> Answer:
        """Make a batch."""
        assert self._maker is not None
        return self._maker.make(unit)


def remote_maker(cpus: int, given: Mapping[str, Any]) -> Any:
    """Return the actor's class for Ray, with the user's further options."""
    ours = {"num_cpus": cpus, "max_concurrency": AT_ONCE, "max_restarts": 0, "max_task_retries": 0}
    both = sorted(ours.keys() & given.keys())
    if both:
        remedy = f"leave out {', '.join(both)}, which the feed sets; cpus_per_actor= says how many processors"
        raise options.wrong("actor_options", given, remedy)
    try:
        # Without events, of which Ray's head would keep 2.8 kB for every batch.
        usual = {"scheduling_strategy": "SPREAD", "enable_task_events": False}
        return ray.remote(MakerActor).options(**{**usual, **given, **ours})
    except (TypeError, ValueError) as error:
        raise options.wrong("actor_options", given, f"pass what ray.remote() takes for actors: {error}") from error


class Actor:
    """An actor as the driver sees it.

    Attributes
    ----------
    handle : Any
        Ray's.
    identity : Identity or None
        Who it is, once it has said so.
    errands : list of Errand
        What it has still to do, the oldest first.
    sent : int
        When it was asked last: of two that have as much to do, the one that has waited longer is asked.
    totals : dict
        What its workers had done when it answered last.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.introduction: Any = handle.introduce.remote()
        self.identity: Identity | None = None
        self.errands: list[Errand] = []
        self.sent = 0
        self.totals: dict[str, Any] = dict.fromkeys(TOTALS, 0)


class Errand:
    """A batch on its way.

    Attributes
    ----------
    unit : Unit
        Which one.
    actor : Actor or None
        Who makes it.
    answer : Answer or None
        What came back.
    deaths : int
        How many actors have died over it.
    """

    __slots__ = ("actor", "answer", "deaths", "ref", "unit")

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.actor: Actor | None = None
        self.ref: Any = None
        self.answer: Answer | None = None
        self.deaths = 0


class RayCrew:
    """The actors of one feed.

    Parameters
    ----------
    plan : Plan
        What they make batches of.
    here : Identity
        What theirs must be like.
    count, cpus : int
        How many actors, of how many processors each.
    remote : Any
        What `remote_maker` returned.

    Attributes
    ----------
    deaths : int
        Actors that have died.
    closed : bool
        Whether they are to make nothing more.
    """

    def __init__(self, plan: Plan, here: Identity, count: int, cpus: int, remote: Any) -> None:
        self.deaths = 0
        self.closed = False
        self._here = here
        self._size = count, cpus
        self._remote = remote
        self._parcel = ray.put(parcel_of(plan))
        self._actors = [self._hire() for _ in range(count)]
        self._gone = dict.fromkeys(TOTALS, 0)  # what the workers of actors that have died had done
        self._numbers = itertools.count(1)
        self._unfit = 0  # actors on end that have died before they were ready

    def _hire(self) -> Actor:
        return Actor(self._remote.remote(self._parcel, self._size[1]))

    # ---- asking ----

    def ask(self, errand: Errand) -> bool:
        """Have whichever actor has least to do make a batch; False where all have enough."""
        able = [actor for actor in self._actors if actor.identity is not None and len(actor.errands) < AT_ONCE]
        if not able:
            return False
        actor = min(able, key=lambda each: (len(each.errands), each.sent))
        actor.sent = next(self._numbers)
        errand.actor, errand.ref = actor, actor.handle.make.remote(errand.unit)
        actor.errands.append(errand)
        return True

    def await_any(self, errands: Iterable[Errand], block: bool) -> None:
        """Take the answers that have come, and see to actors that have come or gone; `block` until there is any.

        What comes from elsewhere counts when it is here, and is on its way from when it was first waited for.
        """
        by_ref = {each.ref: each for each in errands if each.ref is not None}
        new = {actor.introduction: actor for actor in self._actors if actor.identity is None}
        refs = [*by_ref, *new]
        if not refs:
            return
        nobody = block and not by_ref
        ready, _ = ray.wait(refs, num_returns=1 if block else len(refs), timeout=_waits_s(block, nobody))
        if nobody and not ready:
            self._warn_of_nobody()
            ready, _ = ray.wait(refs, num_returns=1)
        if self.closed:
            raise FeedClosed("this feed is closed: make a new one")
        for ref in ready:
            if ref in new:
                self._welcome(new[ref])
            elif by_ref[ref].ref is ref:  # not taken back meanwhile, since the actor of another one has died
                self._take(by_ref[ref])

    def _take(self, errand: Errand) -> None:
        actor = errand.actor
        assert actor is not None
        try:
            answer = ray.get(errand.ref)
        except exceptions.RayActorError as error:
            self._lose(actor, error)
            return
        except exceptions.ObjectLostError as error:  # it was made, and the node that it lay on is gone
            actor.errands.remove(errand)
            errand.actor = errand.ref = None
            self._blame(errand, error, actor.identity)
            return
        actor.errands.remove(errand)
        errand.ref, errand.answer = None, answer
        actor.totals = answer.totals

    # ---- coming and going ----

    def _welcome(self, actor: Actor) -> None:
        """Hear who an actor is; one that would make other batches is an error."""
        try:
            introduction = ray.get(actor.introduction)
        except exceptions.RayActorError as error:
            self._unfit += 1
            if self._unfit >= _DEATHS:
                raise WorkerDied(
                    f"{self._unfit} actors on end died before they were ready; the last one: {said(error)}",
                    pid=0,
                    signal=None,
                    sample=None,
                ) from error
            self._lose(actor, error)
            return
        identity, failure, node = introduction
        if identity is None:
            raise ConfigError(f"{node} cannot make the batches of this plan: {failure}")
        difference = unlike(identity, self._here)
        if difference:
            raise ConfigError(f"{node} {difference}")
        self._unfit = 0
        actor.identity = identity

    def _lose(self, actor: Actor, error: Exception) -> None:
        """Take back what an actor owes, and hire another one."""
        if actor not in self._actors:
            return
        self.deaths += 1
        for name in TOTALS:
            self._gone[name] += actor.totals[name]
        _end(actor)
        self._actors[self._actors.index(actor)] = self._hire()
        owed, actor.errands = actor.errands, []
        for errand in owed:
            errand.actor = errand.ref = None
        if owed:
            self._blame(owed[0], error, actor.identity)  # what it was at; the others waited behind

    def _blame(self, errand: Errand, error: Exception, identity: Identity | None) -> None:
        errand.deaths += 1
        if errand.deaths < _DEATHS:
            return
        epoch, batch, _ = errand.unit
        what = f"batch {batch} of epoch {epoch}"
        raise WorkerDied(
            f"{what} was lost {errand.deaths} times, with the actor that made it: {said(error)}",
            pid=0 if identity is None else identity.pid,
            signal=None,
            sample=what,
        ) from error

    def _warn_of_nobody(self) -> None:
        count, cpus = self._size
        free = ray.available_resources().get("CPU", 0)
        warnings.warn(
            f"no actor has begun in {_PATIENCE_S:.0f} s: {count} are asked for with {cpus} CPU each, and the cluster "
            f"has {free:g} CPU free; lower actors= or cpus_per_actor=, or add nodes",
            RuntimeWarning,
            stacklevel=2,
        )

    def forget(self) -> None:
        """Take no answer to what has been asked so far; the actors make it all the same."""
        for actor in self._actors:
            actor.errands = []

    def totals(self) -> dict[str, Any]:
        """What the workers of all actors have done, as far as they have said."""
        return {name: self._gone[name] + sum(actor.totals[name] for actor in self._actors) for name in TOTALS}

    def close(self) -> None:
        """End the actors; whoever waits for them gets `FeedClosed`.  May be called again."""
        self.closed = True
        for actor in self._actors:
            _end(actor)


def _waits_s(block: bool, nobody: bool) -> float | None:
    """How long to wait: for whatever has come, for as long as it takes, or until it is to be said that nobody comes."""
    if not block:
        return 0.0
    return _PATIENCE_S if nobody else None


def _end(actor: Actor) -> None:
    with contextlib.suppress(Exception):  # it may be dead, or Ray may have been shut down
        ray.kill(actor.handle)
