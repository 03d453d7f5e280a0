"""A worker killed at any instruction costs nothing: every point, early, midway and late, against an undisturbed run.

Needs the build with kill points, first on PYTHONPATH; `make test` makes it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from drive import encode, picture

BATCHES, ROWS = 6, 4
SAMPLES = BATCHES * ROWS
# Passes in an undisturbed epoch.  Points of the cells are passed once a cell: a sample of an image batch, a unit of
# anything else.  Points of waking are passed about once a batch in a drained run; exactly how often is a matter of
# timing.
CELL = ["claim", "started", "sample", "status", "unsample", "publish"]
WAKING = ["asleep", "token", "awake", "signal"]
IMAGES = {**dict.fromkeys([*CELL, "pixels"], SAMPLES), "reason": 3}
# 12 items by two, 12 items in runs of two, and 12 items in two streams, which have an end each.
UNITS = {"map": 6, "runs": 6, "streams": 14}
FLOWING = {"images": IMAGES, **{what: dict.fromkeys([*CELL, "used"], units) for what, units in UNITS.items()}}


def first_middle_last(passes: int) -> list[int]:
    return sorted({1, (passes + 1) // 2, passes})


def runs(what: str) -> list[str]:
    flowing = [f"flowing,{point}:{n}" for point, passes in FLOWING[what].items() for n in first_middle_last(passes)]
    waking = first_middle_last(BATCHES - 2) if what == "images" else [2]
    # A busy machine may keep the consumer from its waiting, and then nobody needs a signal.
    drained = [f"drained,{point}:{n}" for point in WAKING for n in (waking if point != "signal" else waking[:2])]
    return [f"{what},{order},{rest}" for rest in (*flowing, *drained) for order in ("ordered", "unordered")]


def test_every_kill_point_in_the_code_is_exercised() -> None:
    csrc = Path(__file__).parents[2] / "csrc"
    named = {
        point for file in csrc.glob("*/*.c") for point in re.findall(r'FF_KILL_POINT\([^"\n]*"(\w+)"', file.read_text())
    }
    assert named == {*WAKING, *(point for points in FLOWING.values() for point in points)}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Every run, in processes that outlive all their workers, with the undisturbed runs first."""
    folder = tmp_path_factory.mktemp("faults")
    for index in range(SAMPLES):
        bad = index in (1, 11, 23)
        (folder / f"{index:02}.jpg").write_bytes(
            b"\xff\xd8\xff\xe0 broken" if bad else encode(picture(index, (160, 120)))
        )
    script = Path(__file__).with_name("epochs.py")

    def run_all(what: str) -> list[dict]:
        calm = [
            f"{what},{order},{flow},none:0" for order in ("ordered", "unordered") for flow in ("flowing", "drained")
        ]
        command = [sys.executable, "-P", str(script), str(folder), *calm, *runs(what)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    # Images by themselves: how often their workers meet a waiting consumer would depend on the load.
    lines = run_all("images")
    with ThreadPoolExecutor() as threads:
        for more in threads.map(run_all, [what for what in FLOWING if what != "images"]):
            lines += more
    return {line["run"]: line for line in lines}


@pytest.mark.parametrize("run", [run for what in FLOWING for run in runs(what)])
def test_an_epoch_is_the_same_with_a_worker_killed(results: dict[str, dict], run: str) -> None:
    what, order, flow, at = run.split(",")
    calm, hit = results[f"{what},{order},{flow},none:0"], results[run]
    assert calm["deaths"] == 0
    # A worker that falls after the last batch is on its way is not missed any more, so deaths may be 0.
    assert hit["hits"] >= int(at.split(":")[1]), "nobody was killed: is this the build with kill points?"
    assert hit["deaths"] <= 1
    assert hit["errors"] == calm["errors"] == ([1, 11, 23] if what == "images" else [])
    if order == "ordered":
        assert hit["digests"] == calm["digests"]
    else:
        assert sorted(hit["digests"]) == sorted(calm["digests"])
