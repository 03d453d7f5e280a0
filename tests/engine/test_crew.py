"""Worker processes: what starts them, what ends them, and what ends with them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import probe
import psutil
import pytest
from user_functions import content, oom_score, square, waits_with_a_child

import fastfeed as ff
from fastfeed.engine import crew, feed
from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.payload import PayloadRing


def gone(pid: int) -> bool:
    """Wait until a process has ended; a zombie has."""
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            os.sched_yield()
    except psutil.NoSuchProcess:
        pass
    return True


# ---- what is started ----


def test_a_frozen_program_is_told_to_do_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.delattr(os, "posix_spawn")
    with (
        ff.map(square, [3], num_workers=2) as feed,
        pytest.raises(ff.ConfigError, match=r"num_workers=2: pass 0: .* frozen"),
    ):
        list(feed)
    with ff.map(square, [3], num_workers=0) as feed:
        assert list(feed) == [9]


def test_a_program_that_is_started_in_place_of_a_worker_starts_no_more(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys, fastfeed as ff\n"
        "open('runs', 'a').write('run\\n')\n"
        "if len(open('runs').readlines()) > 10: raise SystemExit('too many')\n"
        "sys.executable = './program'\n"
        "with ff.map(abs, [-1], num_workers=1) as feed:\n"
        "    try: list(feed)\n"
        "    except ff.FastfeedError as error: print(type(error).__name__, error)\n"
    )
    (tmp_path / "program").write_text(f'#!/bin/sh\nexec "{sys.executable}" program.py "$@" >>inner 2>&1\n')
    (tmp_path / "program").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("WorkerDied 3 workers in a row died while starting")
    assert len((tmp_path / "runs").read_text().splitlines()) == 4
    assert (tmp_path / "inner").read_text().count("ConfigError num_workers=1: pass 0: this program was started") == 3


def test_a_worker_leads_a_session_that_no_terminal_can_stop() -> None:
    with ff.map(os.getsid, [0], num_workers=1) as feed:
        assert list(feed) == probe.workers(feed)


def test_a_worker_goes_before_the_consumer_when_memory_runs_out() -> None:
    code = (
        "import sys\n"
        "sys.path.append(sys.argv[1])\n"
        "import fastfeed as ff\n"
        "from user_functions import oom_score\n"
        "for own in (100, 900):\n"
        "    open('/proc/self/oom_score_adj', 'w').write(str(own))\n"
        "    with ff.map(oom_score, [0], num_workers=1) as feed: print(*feed)\n"
    )
    folder = str(Path(probe.__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["500", "900"]
    assert oom_score(0) < 1000


# ---- what ends ----


def test_workers_end_with_a_consumer_that_becomes_another_program() -> None:
    code = (
        "import os, sys, fastfeed as ff\n"
        "sys.path.append(sys.argv[1])\n"
        "import probe\n"
        "feed = ff.map(abs, [-1, -2], chunk_size=1, num_workers=1)\n"
        "batches = iter(feed); next(batches)\n"
        "print(*probe.workers(feed), flush=True)\n"
        "os.execvp('cat', ['cat'])\n"
    )
    folder = str(Path(probe.__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert gone(int(program.stdout.readline()))
        assert program.poll() is None
        program.communicate("")


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN], ids=["reaped", "ignored"])
def test_children_of_a_worker_end_with_it_whoever_reaps_it(handler: signal.Handlers, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        path = tmp_path / "child"
        with ff.map(waits_with_a_child, [str(path)], num_workers=1, timeout=0.2) as feed:
            with pytest.raises(ff.WorkerDied, match=r"timeout=0\.2"):
                list(feed)
            assert gone(int(path.read_text()))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_death_is_noticed_though_there_is_always_something_to_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_LOOK_NS", -1)
    with ff.map(square, itertools.count(), chunk_size=1, num_workers=2, ordered=False, prefetch=4) as numbers:
        batches = iter(numbers)
        next(batches)
        probe.wait_until_idle(numbers, 2)
        probe.kill(numbers)
        os.waitid(os.P_PID, probe.workers(numbers)[0], os.WEXITED | os.WNOWAIT)
        for _ in range(4):  # that many may be in hand
            next(batches)
        assert numbers.stats().deaths == 1
        batches.close()


def test_close_does_not_wait_for_ever_for_a_worker_that_does_not_die(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = ff.map(square, [3], num_workers=1)
    assert list(numbers) == [9]
    (pid,) = probe.workers(numbers)
    os.kill(pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(crew, "DYING_S", 0.01)
        patch.setattr(crew, "_GRACE_S", 0.0)
        patch.setattr(signal, "pidfd_send_signal", lambda *_: None)
        with pytest.warns(RuntimeWarning, match=rf"worker 0 \(pid {pid}\) was killed .* hangs in the kernel"):
            numbers.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert gone(pid)


def test_no_worker_sleeps_beside_an_open_cell_while_the_loop_takes_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(feed, "_BRISK_NS", 1 << 62)  # so that wake-ups are owed
    pipe, more = tmp_path / "pipe", [tmp_path / str(number) for number in range(2)]
    os.mkfifo(pipe)
    for number, path in enumerate(more):
        path.write_text(f"file {number}")
    paths = ["", "", "", str(pipe), *map(str, more)]
    with ff.map(content, paths, chunk_size=1, num_workers=2, ordered=False, prefetch=4) as contents:
        batches = iter(contents)
        assert next(batches) == ""
        while not probe.is_being_written(contents, 3):
            os.sched_yield()
        probe.wait_for_sleepers(contents, 1)  # the other one reads from the pipe
        assert next(batches) == ""
        deadline = time.monotonic() + 30
        while probe.samples_done(contents) < 4 and time.monotonic() < deadline:  # nobody is in next()
            os.sched_yield()
        assert probe.samples_done(contents) >= 4
        pipe.write_text("piped")
        assert sorted(batches) == ["", "file 0", "file 1", "piped"]


def test_a_burst_is_not_handed_over_whole_to_a_loop_that_may_be_slow() -> None:
    with ff.map(square, range(100), chunk_size=1, num_workers=1, prefetch=8) as squares:
        for number, result in enumerate(squares):
            assert result == square(number)
            if number == 50:
                probe.wait_for_sleepers(squares, 1)
                seen = probe.samples_done(squares)
            if number == 54:  # of eight that were ready, four were taken at most before others were opened
                while probe.samples_done(squares) == seen:
                    os.sched_yield()


def test_an_interrupt_at_any_point_of_the_start_loses_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    class ReachedError(Exception):
        pass

    def reached(*_: object) -> None:
        raise ReachedError

    monkeypatch.setattr(crew.Crew, "_start", reached)
    makers = {crew.Crew.start.__code__, crew.Crew._adopt.__code__, crew.Crew._make.__code__}
    ring = PayloadRing(slots=1, workers=1)
    kind = WorkerKind("nothing", isolated=True, addressed=False)
    before = os.listdir("/proc/self/fd")
    for at in itertools.count():
        steps = itertools.count()

        def interrupt(frame: FrameType, event: str, _: object, at: int = at, steps: Iterator[int] = steps) -> object:
            frame.f_trace_opcodes = frame.f_code in makers
            if event == "opcode" and next(steps) == at:
                raise KeyboardInterrupt
            return interrupt

        started = crew.Crew(ring, kind, b"spec", None, 1)
        sys.settrace(interrupt)
        try:
            started.start()
        except KeyboardInterrupt:
            pass
        except ReachedError:
            break
        finally:
            sys.settrace(None)
        started.stop(grace=0)
        assert os.listdir("/proc/self/fd") == before, at
    assert at > 100
    ring.close()


@pytest.mark.parametrize("items", [1, 3, 40])
def test_no_more_workers_are_started_than_there_are_units_for(items: int) -> None:
    with ff.map(abs, range(items), num_workers=4, chunk_size=1) as feed:
        for _ in range(2):
            assert list(feed) == list(range(items))
            assert len(probe.workers(feed)) <= min(items, 4)


def test_workers_for_which_there_was_nothing_are_started_when_there_is(tmp_path: Path) -> None:
    def meet(pipes: list[tuple[Path, str]]) -> int:
        for pipe, mode in pipes:  # waits for who opens its other end
            with open(pipe, mode):
                pass
        return os.getpid()

    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for pipe in (first, second, third):
        os.mkfifo(pipe)
    items: list[list[tuple[Path, str]]] = [[]]
    with ff.map(meet, items, num_workers=3, chunk_size=1) as feed:
        assert list(feed) == probe.workers(feed)
        # In a ring, so that nobody is done before all three are at it.
        items[:] = [[(first, "w"), (third, "r")], [(first, "r"), (second, "w")], [(second, "r"), (third, "w")]]
        assert sorted(feed) == sorted(probe.workers(feed))
        assert len(probe.workers(feed)) == 3
