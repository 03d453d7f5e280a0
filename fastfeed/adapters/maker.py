"""Maker: a local feed that makes the batches that it is asked for, one by one, for whoever is elsewhere.

    make(unit), in many threads --ask--> asks --> feed: ring and workers --outcome--> the thread that asked

The feed runs in a thread of its own.  Its units are what it is asked for, and are answered as they are complete.  It
knows no framework: what calls it from afar is the adapter's.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

import fastfeed
from fastfeed import _native
from fastfeed.engine.death import Death
from fastfeed.engine.job import Delivery, Order
from fastfeed.engine.ring import Taken
from fastfeed.errors import FeedClosed, SampleError, WorkerError
from fastfeed.schedule.cursor import Unit
from fastfeed.schedule.plan import Plan, digest_of
from fastfeed.wire import interpreter
from fastfeed.wire.failure import failure

# What the workers of all makers together add up to, as `Stats` calls it.
TOTALS = ("bytes_read", "read_s", "work_s", "idle_s")


class Identity(NamedTuple):
    """What decides the bytes of a batch, and where it is made.

    Attributes
    ----------
    digest : str
        Of the plan, with the files that are seen there.
    samples : int
        How many of them there are.
    version : str
        Of fastfeed and of the JPEG decoder.
    pid : int
        The process.
    """

    digest: str
    samples: int
    version: str
    pid: int


class Answer(NamedTuple):
    """What became of a batch.

    Attributes
    ----------
    batch : Any
        As the loop gets it; None where nothing is left of it, or where it failed.
    failure : tuple or None
        The error that it ended with, and the cause of that.
    errors : dict
        The bad samples in it, by index, in the form of `failure`.
    samples : int
        Good ones.
    totals : dict
        Of the feed since it began: those fields of its `Stats` that its workers add to.
    """

    batch: Any
    failure: Told | None
    errors: dict[int, Told]
    samples: int
    totals: dict[str, Any]


# An error of ours and its cause: exceptions are pickled without.
Told = tuple[Exception, BaseException | None]
# What the feed has for whoever asked: the first four fields of the answer.
_Outcome = tuple[Any, Told | None, dict[int, Told], int]
_NONE: dict[int, Told] = {}


# A plan on its way: what its process has made of its interpreter, and the pickle.
Parcel = tuple[dict[str, Any], bytes]


def parcel_of(plan: Plan) -> Parcel:
    """A plan as it travels to another process, with where this one finds modules and what it has added to PIL."""
    return interpreter.described_in_short(), pickle.dumps(plan)


def unpacked(parcel: Parcel) -> Plan:
    """The plan, in a process that finds what its functions need."""
    described, content = parcel
    sys.path.extend(entry for entry in described["path"] if entry not in sys.path)
    interpreter.add_plugins(described["plugins"])
    plan: Plan = pickle.loads(content)
    return plan


def identity_of(job: Any) -> Identity:
    """Say what decides the bytes of a job's batches in this process."""
    version = f"fastfeed {fastfeed.__version__} with libjpeg-turbo {_native.libjpeg_version()}"
    samples = job.state(ordered=True, waiting=0)["of"]["samples"]
    return Identity(digest_of(job), samples, version, os.getpid())


def unlike(there: Identity, here: Identity) -> str:
    """Why batches that are made there would not be those that are made here; empty where they are the same."""
    if there.version != here.version:
        return (
            f"has {there.version}, and this process has {here.version}: install the same on all nodes, or a batch "
            f"would depend on the node that made it"
        )
    if there.digest != here.digest:
        return (
            f"sees other samples than this process: {there.samples} there and {here.samples} here, digest "
            f"{there.digest} and {here.digest}: give all nodes the same files under the same path"
        )
    return ""


def told(error: Exception) -> Told:
    """An error as it travels; one that cannot be pickled goes as text."""
    cause = error.__cause__
    travels: Any = failure(error, frameless=True)[1]
    return travels, None if cause is None else failure(cause, frameless=True)[1]


def heard(error: Told) -> Exception:
    """The error that has travelled."""
    error[0].__cause__ = error[1]
    return error[0]


class Maker:
    """Makes any batches of a plan, several at once.

    Parameters
    ----------
    plan : Plan
        Whose batches.
    workers : int
        Worker processes, at least 1.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        self._feed = plan.feed(num_workers=workers, ordered=False, prefetch=None)
        self._asks = _Asks()
        self._job: Any = self._feed.job
        self._feed.job = _AskedJob(self._job, self._asks)
        self._feed.reserve(2)  # one is being copied to wherever it goes while the next one is taken
        self._thread = threading.Thread(target=self._serve, name="fastfeed maker", daemon=True)
        self._thread.start()

    def identity(self) -> Identity:
        """What decides the bytes here."""
        return identity_of(self._job)

    def make(self, unit: Unit) -> Answer:
        """Make a batch; any number of threads may ask.  Whatever goes wrong is in the answer."""
        ask = _Ask(unit)
        self._asks.put(ask)
        self._feed.wake()
        batch, error, errors, samples = ask.outcome.get()
        stats = self._feed.stats()
        return Answer(batch, error, errors, samples, {name: getattr(stats, name) for name in TOTALS})

    def _serve(self) -> None:
        while not self._asks.closed:
            try:
                for ask, outcome in self._feed:
                    self._asks.open.discard(ask)
                    ask.outcome.put(outcome)
                    del ask, outcome  # or the slot would be kept
            except FeedClosed:
                return
            except Exception as error:  # the feed cannot go on: no memory, or workers that do not start
                failed = None, told(error), _NONE, 0
                while self._asks.open:
                    self._asks.open.pop().outcome.put(failed)

    def close(self) -> None:
        """End the workers; may be called again."""
        self._asks.close()
        self._feed.close()
        self._thread.join()


class _Ask:
    """A batch that somebody waits for.  The outcome is taken out, since the slot that it lies in keeps its unit."""

    __slots__ = ("outcome", "unit")

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.outcome: SimpleQueue[_Outcome] = SimpleQueue()


class _Asks:
    """What is asked for, as the units of a feed: there may always be another one.

    Attributes
    ----------
    open : set of _Ask
        Those that the feed has begun with, and not answered.
    closed : bool
        Whether there are no more.
    """

    def __init__(self) -> None:
        self.open: set[_Ask] = set()
        self.closed = False
        self._queue: SimpleQueue[_Ask | None] = SimpleQueue()

    def put(self, ask: _Ask) -> None:
        self._queue.put(ask)

    def at_hand(self) -> bool:
        return not self._queue.empty()

    def close(self) -> None:
        self.closed = True
        self._queue.put(None)

    def __iter__(self) -> Iterator[_Ask]:
        return self

    def __next__(self) -> _Ask:
        ask = self._queue.get()
        if ask is None:
            raise StopIteration
        self.open.add(ask)
        return ask


class _AskedJob:
    """A job whose units are asked for; whatever is not said here is the job's.  Each unit gives its ask and outcome."""

    def __init__(self, job: Any, asks: _Asks) -> None:
        self._job = job
        self._asks = asks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def units(self, epochs: int | None, workers: int) -> Iterator[_Ask]:
        """What is asked for from now on."""
        return self._asks

    def at_hand(self) -> bool:
        """Whether another one is asked for: if not, what is being made goes first."""
        return self._asks.at_hand()

    def order(self, ask: _Ask, index: memoryview, without: list[int] | None) -> Order:
        """Write the batch's indices."""
        order: Order = self._job.order(ask.unit, index, without)
        return order

    def deliver(self, ask: _Ask, taken: Taken, set_aside: dict[int, Death]) -> Delivery:
        """The batch, or why there is none; neither ends the feed."""
        ledger = self._job.ledger
        batches: list[Any] = []
        error: Told | None = None
        try:
            batches = self._job.batches_of(taken, set_aside)
        except (SampleError, WorkerError) as raised:
            error = told(raised)
        errors = {index: told(each) for index, each in ledger.errors.items()}
        outcome = (batches[0] if batches else None, error, errors, ledger.samples)
        ledger.errors.clear()
        ledger.samples = 0
        return [(ask, outcome)], None
