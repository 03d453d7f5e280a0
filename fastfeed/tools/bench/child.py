"""One side of the comparison, in a process of its own: ``python -m fastfeed.tools.bench.child``.

Each side has its own process, so that its memory and CPU time are its own, and a pause while the others are measured.
Orders come as JSON lines on stdin and answers leave on stdout:

    {"side": ..., paths, size, ...}  -> {"loaded": "pillow 12.0.0"}        modules imported
    {"do": "start"}                  -> {"first_batch": seconds}           construction to the first batch
    {"do": "warm"}                   -> {}                                 what was ready before is thrown away
    {"do": "window", "seconds": s}   -> {"images": n, "seconds": s}        whole batches, nothing looked at
    {"do": "check"}                  -> {"means": [...]}                   of one batch in the files' order
    {"do": "verdict", "seconds": s}  -> {"verdict": word, "sentence": ...} of the feed alone, without pauses
    end of input                     -> the side ends
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from fastfeed.image.decode import which_pil
from fastfeed.tools.bench import floor, peers

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAITED_S = 0.001
_MOST_READY = 64


class PeerSide:
    """A generator, a pool or a DataLoader, by the name of its function in peers."""

    def __init__(self, name: str, work: peers.Workload) -> None:
        self._work = work
        self._make = getattr(peers, name)
        # A loader hands out its workers' batches in turn, so they come in bursts of one from each worker.
        self.burst = work.workers if name == "dataloader" else 1
        self._parked = peers.parked(name, work)
        importlib.import_module("PIL.Image")
        if name == "dataloader":
            importlib.import_module("torch.utils.data")

    def batches(self) -> Iterator[Any]:
        """Yield batches for ever."""
        batches: Iterator[Any] = self._make(self._work)
        return batches

    def drain(self, batches: Iterator[Any]) -> None:
        """Throw away what was ready."""
        for _ in itertools.islice(batches, self._parked + self.burst):
            pass

    def check(self) -> list[float]:
        """Return the mean of each of the first images."""
        work = self._work
        return [float(peers.prepare(path, work, chance=False).mean()) for path in work.paths[: work.batch_size]]


class FeedSide:
    """The feed under test."""

    burst = 1

    def __init__(self, work: peers.Workload) -> None:
        self._work = work
        self._fastfeed: Any = importlib.import_module("fastfeed")
        importlib.import_module("fastfeed.image.images")

    def batches(self) -> Iterator[Any]:
        """Yield batches for ever."""
        feed = self._feed()
        while True:
            yield from feed

    def drain(self, batches: Iterator[Any]) -> None:
        """Throw away what was ready: all batches up to one that had to be waited for."""
        for _ in range(_MOST_READY):
            began = time.perf_counter()
            next(batches)
            if time.perf_counter() - began > _WAITED_S:
                break

    def check(self) -> list[float]:
        """Return the mean of each of the first images."""
        work, ff = self._work, self._fastfeed
        with ff.images(
            work.paths[: work.batch_size],
            transforms=[ff.Resize(work.size), ff.Normalize(peers.MEAN, peers.STD)],
            labels=None,
            batch_size=work.batch_size,
            num_workers=work.workers,
        ) as feed:
            return [float(image.mean()) for batch in feed for image in batch]

    def verdict(self, seconds: float) -> dict[str, str]:
        """Run a feed without pauses and ask it which side was slow."""
        with self._feed() as feed:
            until = time.perf_counter() + seconds
            for _ in feed.repeat():
                if time.perf_counter() > until:
                    break
            stats = feed.stats()
        return {"verdict": str(stats.verdict), "sentence": str(stats.sentence)}

    def _feed(self) -> Any:
        work, ff = self._work, self._fastfeed
        first = ff.RandomResizedCrop(work.size) if work.crop else ff.Resize(work.size)
        return ff.images(
            work.paths,
            transforms=[first, ff.RandomHorizontalFlip(), ff.Normalize(peers.MEAN, peers.STD)],
            labels=None,
            batch_size=work.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=work.workers,
        )


def main() -> None:
    """Obey orders until they end."""
    # The driver decides what an interrupt means; workers started from here inherit this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever else is printed in this process must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    orders = (json.loads(line) for line in sys.stdin)
    asked = next(orders)
    name = asked.pop("side")
    work = peers.Workload(**asked)
    if name == "floor":
        _run_floor(work, orders, answers)
    else:
        _run(FeedSide(work) if name == "feed" else PeerSide(name, work), work, orders, answers)


def _run(side: FeedSide | PeerSide, work: peers.Workload, orders: Iterator[dict[str, Any]], answers: TextIO) -> None:
    _answer(answers, loaded=_pil_name())
    batches: Iterator[Any] = iter(())
    for order in orders:
        if order["do"] == "start":
            began = time.perf_counter()
            batches = side.batches()
            next(batches)
            _answer(answers, first_batch=time.perf_counter() - began)
        elif order["do"] == "warm":
            side.drain(batches)
            _answer(answers)
        elif order["do"] == "window":
            count, taken, began = 0, 0.0, time.perf_counter()
            while taken < order["seconds"]:
                for _ in itertools.islice(batches, side.burst):
                    count += 1
                taken = time.perf_counter() - began
            _answer(answers, images=count * work.batch_size, seconds=taken)
        elif order["do"] == "check":
            _answer(answers, means=side.check())
        elif order["do"] == "verdict" and isinstance(side, FeedSide):
            _answer(answers, **side.verdict(order["seconds"]))
    close = getattr(batches, "close", None)
    if close is not None:
        close()


def _run_floor(work: peers.Workload, orders: Iterator[dict[str, Any]], answers: TextIO) -> None:
    bottom = floor.Floor(work.paths, work.workers)
    _answer(answers, loaded="")
    for order in orders:
        if order["do"] == "start":
            bottom.window(0.05)
            _answer(answers)
        elif order["do"] == "window":
            images, taken = bottom.window(order["seconds"])
            _answer(answers, images=images, seconds=taken)
        else:
            _answer(answers)
    bottom.close()


def _pil_name() -> str:
    pil = which_pil()
    return "" if pil is None else f"{pil.name} {pil.version}"


def _answer(answers: TextIO, **words: Any) -> None:
    answers.write(json.dumps(words) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
