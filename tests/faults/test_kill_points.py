"""A worker killed at any instruction costs nothing: every point, early, midway and late, against an undisturbed run.

Needs the build with kill points, first on PYTHONPATH; `make test` makes it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import encode, picture

BATCHES, ROWS = 6, 4
SAMPLES = BATCHES * ROWS
# Passes in an undisturbed epoch.  Points of the cells are passed once a sample, each being a cell here.  Points of
# waking are passed about once a batch in a drained run; exactly how often is a matter of timing.
EACH_SAMPLE = dict.fromkeys(["claim", "started", "sample", "pixels", "status", "unsample", "publish"], SAMPLES)
FLOWING = {**EACH_SAMPLE, "reason": 3}
DRAINED = dict.fromkeys(["asleep", "token", "awake", "signal"], BATCHES - 2)


def first_middle_last(passes: int) -> list[int]:
    return sorted({1, (passes + 1) // 2, passes})


def runs() -> list[str]:
    return [
        f"{order},{flow},{point}:{n}"
        for flow, points in (("flowing", FLOWING), ("drained", DRAINED))
        for point, passes in points.items()
        for n in first_middle_last(passes)
        for order in ("ordered", "unordered")
    ]


def test_every_kill_point_in_the_code_is_exercised() -> None:
    csrc = Path(__file__).parents[2] / "csrc"
    named = {
        point for file in csrc.glob("*.c") for point in re.findall(r'FF_KILL_POINT\([^"\n]*"(\w+)"', file.read_text())
    }
    assert named == {*FLOWING, *DRAINED}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Every run, in one process that outlives all its workers, with the undisturbed runs first."""
    folder = tmp_path_factory.mktemp("faults")
    for index in range(SAMPLES):
        bad = index in (1, 11, 23)
        (folder / f"{index:02}.jpg").write_bytes(
            b"\xff\xd8\xff\xe0 broken" if bad else encode(picture(index, (160, 120)))
        )
    calm = [f"{order},{flow},none:0" for order in ("ordered", "unordered") for flow in ("flowing", "drained")]
    script = Path(__file__).with_name("epochs.py")
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(folder), *calm, *runs()],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["run"]: line for line in lines}


@pytest.mark.parametrize("run", runs())
def test_an_epoch_is_the_same_with_a_worker_killed(results: dict[str, dict], run: str) -> None:
    order, flow, at = run.split(",")
    calm, hit = results[f"{order},{flow},none:0"], results[run]
    assert calm["deaths"] == 0
    # A worker that falls after the last batch is on its way is not missed any more, so deaths may be 0.
    assert hit["hits"] >= int(at.split(":")[1]), "nobody was killed: is this the build with kill points?"
    assert hit["deaths"] <= 1
    assert hit["errors"] == calm["errors"] == [1, 11, 23]
    if order == "ordered":
        assert hit["hashes"] == calm["hashes"]
    else:
        assert sorted(hit["hashes"]) == sorted(calm["hashes"])
