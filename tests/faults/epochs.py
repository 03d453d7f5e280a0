"""Run epochs with a worker killed at a named point, and print one JSON line for each; the faults tests start this.

    python epochs.py FOLDER RUN...        RUN: <what>,<ordered|unordered>,<flowing|drained>,<point>:<n>

In a flowing run the workers always find work; in a drained one they are all asleep whenever the consumer comes for the
next batch, so that each batch passes through the waiting and waking.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fastfeed

sys.path.append(str(Path(__file__).parents[1]))
import probe

WORKERS = 2
ITEMS = 12


def images(folder: str, drained: bool, options: dict[str, object]) -> fastfeed.Feed:
    return fastfeed.images(
        folder,
        size=(1080, 1440) if drained else (48, 64),  # drained: long enough for the consumer to be waiting
        transforms=[fastfeed.RandomHorizontalFlip()],
        batch_size=4,
        shuffle=True,
        seed=5,
        dtype="uint8",
        labels=None,
        with_index=True,
        on_error="replace",
        **options,
    )


def work(item: int) -> tuple[int, float, object]:
    """What every function here makes of an item: small for some, an array for others, and random."""
    sum(range(200_000))  # the same here
    return item, random.random(), np.full(3000, item + random.random()) if item % 2 else str(item)


def each(items: list[int]) -> Iterator[tuple[int, float, object]]:
    for item in items:
        yield work(item)


def make(what: str, folder: str, drained: bool, options: dict[str, object]) -> fastfeed.Feed:
    if what == "images":
        return images(folder, drained, options)
    if what == "map":
        return fastfeed.map(work, range(ITEMS), chunk_size=2, **options)
    size = 2 if what == "runs" else None
    return fastfeed.parallel(each, split="items", split_size=size, **options)(list(range(ITEMS)))


def digest(what: str, batch: tuple) -> list[object]:
    if what == "images":
        return [batch[1].tolist(), hashlib.sha256(batch[0].tobytes()).hexdigest()]
    item, number, value = batch
    return [item, number, value if isinstance(value, str) else hashlib.sha256(value.tobytes()).hexdigest()]


def epoch(what: str, folder: str, ordered: bool, drained: bool) -> dict[str, object]:
    options = {"num_workers": WORKERS, "ordered": ordered, "prefetch": 1 if drained else 3}
    digests = []
    with make(what, folder, drained, options) as feed:
        for batch in feed:
            digests.append(digest(what, batch))
            del batch
            if drained:
                probe.wait_until_idle(feed, len(probe.workers(feed)))
        hits, deaths = probe.kill_hits(feed), feed.stats().deaths
    return {"digests": digests, "deaths": deaths, "hits": hits, "errors": [error.index for error in feed.errors]}


def main() -> None:
    folder, *runs = sys.argv[1:]
    for run in runs:
        what, order, flow, at = run.split(",")
        os.environ["FF_KILL_AT"] = at
        result = epoch(what, folder, order == "ordered", flow == "drained")
        print(json.dumps({"run": run, **result}), flush=True)


main()
