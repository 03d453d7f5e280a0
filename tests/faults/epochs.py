"""Run epochs with a worker killed at a named point, and print one JSON line for each; the faults tests start this.

    python epochs.py FOLDER RUN...        RUN: <ordered|unordered>,<flowing|drained>,<point>:<n>

In a flowing run the workers always find work; in a drained one they are all asleep whenever the consumer comes for the
next batch, so that each batch passes through the waiting and waking; its rows are large, so that the consumer is back
at its waiting before they are done.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

import fastfeed

WORKERS = 2


def wait_until_idle(feed: fastfeed.Feed) -> None:
    """Return when every worker is asleep or dead."""
    crew, ring = feed._crew, feed._ring
    while True:
        dead = [
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            for pidfd in crew._pidfds.values()
        ]
        if sum(dead) + ring.native.sleepers() >= WORKERS:
            return
        os.sched_yield()


def epoch(folder: str, ordered: bool, drained: bool) -> dict[str, object]:
    feed = fastfeed.images(
        folder,
        size=(1200, 1600) if drained else (48, 64),
        transforms=[fastfeed.RandomHorizontalFlip()],
        batch_size=4,
        shuffle=True,
        seed=5,
        dtype="uint8",
        labels=None,
        with_index=True,
        on_error="replace",
        num_workers=WORKERS,
        ordered=ordered,
        prefetch=1 if drained else 3,
    )
    hashes = []
    with feed:
        for images, index in feed:
            hashes.append([index.tolist(), hashlib.sha256(images.tobytes()).hexdigest()])
            if drained:
                wait_until_idle(feed)
        hits, deaths = feed._ring.native.kill_hits(), feed.stats().deaths
    return {"hashes": hashes, "deaths": deaths, "hits": hits, "errors": [error.index for error in feed.errors]}


def main() -> None:
    folder, *runs = sys.argv[1:]
    for run in runs:
        order, flow, at = run.split(",")
        os.environ["FF_KILL_AT"] = at
        result = epoch(folder, order == "ordered", flow == "drained")
        print(json.dumps({"run": run, **result}), flush=True)


main()
