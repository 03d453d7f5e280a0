"""map and parallel in programs of their own: functions of a script, pools, and processes that workers start."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import probe
import psutil
from doors import results
from user_functions import with_pool

import fastfeed as ff

# ---- functions of a script ----


SCRIPT = """
import collections, dataclasses, enum, random, sys
import numpy as np
import fastfeed as ff
from fastfeed.collate.collate import collate
import neighbour

OFFSET = 10
Pair = collections.namedtuple("Pair", "a b")

@dataclasses.dataclass
class Point:
    x: int
    y: np.ndarray

class Colour(enum.Enum):
    RED = 1

calls = 0

class Tool:
    def use(self):
        global calls
        calls += 1

def with_tools(number):
    assert ff.__name__ == "fastfeed"
    return Tool()

with ff.map(with_tools, range(3), num_workers=1) as values:
    for tool in values:
        tool.use()
assert calls == 3, "the class came back as another one"

def function(number):
    print("working on", number)
    return Point(number + OFFSET, np.arange(3)), Pair(1, neighbour.triple(number)), Colour.RED

@ff.parallel(split="numbers", split_size=2, num_workers=2)
def stream(numbers):
    for number in numbers:
        yield function(number)

for values in (ff.map(function, range(5), num_workers=2), stream(list(range(5)))):
    with values:
        for number, (point, pair, colour) in enumerate(values):
            assert type(point) is Point and point.x == number + 10 and point.y.tolist() == [0, 1, 2]
            assert type(pair) is Pair and pair == (1, 3 * number)
            assert colour is Colour.RED
        assert number == 4
print("done")
"""


def run_script(tmp_path: Path, script: str, **options: object) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "neighbour.py").write_text("def triple(number): return 3 * number\n")
    root = str(Path(ff.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": ""}  # which would cut lines into pieces
    return subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        timeout=60,
        **options,
    )


def test_functions_and_classes_of_a_script_travel_and_what_workers_print_is_seen(tmp_path: Path) -> None:
    done = run_script(tmp_path, SCRIPT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(lines[:-1]) == sorted([f"working on {number}" for number in range(5)] * 2)
    assert lines[-1] == "done"


def test_a_module_of_the_users_hides_one_of_pythons_in_workers_too(tmp_path: Path) -> None:
    (tmp_path / "this.py").write_text("def who(number): return 'mine', number\n")
    script = "import fastfeed as ff, this\nwith ff.map(this.who, [1], num_workers=1) as feed: print(*feed)"
    done = run_script(tmp_path, script)
    assert done.stdout == "('mine', 1)\n", done.stderr


def test_workers_run_the_fastfeed_of_the_program_and_not_one_that_is_installed_besides(tmp_path: Path) -> None:
    other = tmp_path / "other" / "fastfeed"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('this is another fastfeed')")
    root = str(Path(ff.__file__).parents[1])
    script = f"""
import os, sys
os.environ["PYTHONPATH"] = {str(other.parent)!r}  # where workers look first
sys.path[:] = [entry for entry in sys.path if entry != {root!r}]
sys.path.insert(0, {root!r})
import fastfeed as ff
for feed in (ff.map(abs, [-1], num_workers=1), ff.arrays([1], batch_size=1, num_workers=1)):
    with feed: print(*feed)
"""
    done = run_script(tmp_path, script)
    assert done.stdout.splitlines()[-2:] == ["1", "[1]"], done.stderr


# ---- pools and children ----


def test_a_function_may_use_a_pool_of_its_own() -> None:
    assert results(with_pool, [3, 4], chunk_size=1) == [5, 14]


def test_children_of_workers_end_with_them() -> None:
    def child(number: int) -> int:
        process = multiprocessing.get_context("fork").Process(target=threading.Event().wait, daemon=True)
        process.start()
        return process.pid

    def gone(pids: list[int]) -> bool:
        alive = []
        for pid in pids:
            try:
                alive.append(psutil.Process(pid))
            except psutil.NoSuchProcess:
                continue
        return not psutil.wait_procs([p for p in alive if p.status() != psutil.STATUS_ZOMBIE], timeout=10)[1]

    with ff.map(child, range(2), num_workers=1, chunk_size=1) as feed:
        children = list(feed)
        assert all(map(psutil.pid_exists, children))
        probe.kill(feed)
        children += list(feed)
        assert gone(children[:2])
    assert gone(children)

    script = (
        "import multiprocessing, os, threading, fastfeed as ff\n"
        "def child(number):\n"
        "    process = multiprocessing.get_context('fork').Process(target=threading.Event().wait)\n"
        "    process.start()\n"
        "    return process.pid\n"
        "feed = ff.map(child, range(2), num_workers=2, chunk_size=1)\n"
        "print(*feed, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    children = [int(word) for word in done.stdout.split()]
    assert len(children) == 2
    assert gone(children)


def test_a_generator_may_use_a_pool_of_its_own(tmp_path: Path) -> None:
    script = (
        "import multiprocessing, psutil, fastfeed as ff\n"
        "def load(number): return number * number\n"
        "def generate(numbers):\n"
        "    with multiprocessing.Pool(2) as pool:\n"
        "        for start in range(0, len(numbers), 4):\n"
        "            yield pool.map(load, numbers[start : start + 4])\n"
        "with ff.parallel(generate)(list(range(10))) as feed:\n"
        "    print(list(feed))\n"
        "    for batch in feed: break\n"
        "print(psutil.Process().children(recursive=True))\n"
    )
    done = run_script(tmp_path, script)
    assert done.stdout == "[[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]\n[]\n", done.stderr
