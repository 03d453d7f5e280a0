"""The comparison that ``fastfeed bench`` makes: which files, which sides, in which order, and what came of it."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfeed.errors import ConfigError
from fastfeed.tools.bench.peers import Workload
from fastfeed.tools.bench.side import Side, SideError, Timed, close_all, interleave, start_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Progress = Callable[[str, int, int], None]
    """What is being done, steps done, steps in all."""

ENOUGH_FILES = 16384
"""The list of files is repeated to this length, so that epochs are long enough not to matter."""
ROUNDS = 3

_JPEG_START = b"\xff\xd8\xff"
_PEERS = (("generator", "plain generator"), ("pool", "multiprocessing.Pool.map"), ("dataloader", "PyTorch DataLoader"))


@dataclass(frozen=True)
class Options:
    """What a comparison is asked to do."""

    workers: int
    """The largest number of workers; processes of the floor and workers of the peers."""
    size: int = 224
    batch_size: int = 64
    seconds: float = 36.0
    """Timed seconds of all windows together."""
    rounds: int = ROUNDS
    crop: bool = False
    """Random resized crops in place of whole frames."""
    python: str = sys.executable
    """Interpreter that the peers run in."""


@dataclass
class Comparison:
    """What a comparison measured, as far as it came."""

    options: Options
    files: int
    bytes_per_file: int
    """Median."""
    left_out: int
    """Files that are no JPEG."""
    pil: str = ""
    floor: Timed | None = None
    peers: list[Timed] = field(default_factory=list)
    feeds: list[Timed] = field(default_factory=list)
    verdict: str = ""
    sentence: str = ""
    difference: float | None = None
    """Largest difference of an image's mean between the feed and PIL, in the stored unit."""
    complete: bool = False

    def disturbed(self) -> float:
        """Return the share of the processors that other processes used, the median of all windows."""
        shares = [share for side in self.sides() for share in side.disturbed]
        return statistics.median(shares) if shares else 0.0

    def sides(self) -> list[Timed]:
        """All sides that there are, the floor first."""
        return ([self.floor] if self.floor is not None else []) + self.peers + self.feeds


def jpeg_files(source: str) -> tuple[list[str], int]:
    """Find the JPEG files of a folder (with its sub-folders), a glob or a single file; and how many are no JPEG.

    Raises
    ------
    ConfigError
        Where there is no such thing, or no JPEG in it.
    """
    if Path(source).is_dir():
        found = [str(path) for path in Path(source).rglob("*") if path.is_file()]
    elif Path(source).is_file():
        found = [source]
    else:
        # glob, not Path.glob: that takes no absolute patterns.
        found = [path for path in glob.glob(source, recursive=True) if Path(path).is_file()]
        if not found:
            raise ConfigError(
                f"{source}: no such file or folder, and no match as a glob; name a folder of JPEG files, or leave it "
                f"out to measure on photographs made for the purpose"
            )
    wanted = sorted(path for path in found if _is_jpeg(path))
    if not wanted:
        raise ConfigError(
            f"{source}: {len(found)} files, none of them a JPEG; name a folder that has some, or leave it out to "
            f"measure on photographs made for the purpose"
        )
    return wanted, len(found) - len(wanted)


def worker_counts(largest: int) -> list[int]:
    """1, 2, 4, ... and the largest."""
    counts = []
    count = 1
    while count < largest:
        counts.append(count)
        count *= 2
    return [*counts, largest]


def compare(paths: Sequence[str], options: Options, progress: Progress, left_out: int = 0) -> Comparison:
    """Measure the feed at rising numbers of workers beside its peers and the floor.

    An interrupt (Ctrl-C) ends it early: the result then holds what had been measured, and is not ``complete``.
    """
    progress("reading the files", 0, 1)
    # Every file once: from here on the page cache has them.
    sizes = sorted(len(Path(path).read_bytes()) for path in paths)
    result = Comparison(options, len(paths), sizes[len(sizes) // 2], left_out)
    listed = list(paths) * -(-max(ENOUGH_FILES, options.batch_size) // len(paths))
    sides: list[Side] = []
    try:
        _make_sides(listed, options, result, sides)
        _measure(sides, options, result, progress)
        result.complete = True
    except KeyboardInterrupt:
        pass
    finally:
        close_all(sides, now=not result.complete)
    return result


def _make_sides(paths: list[str], options: Options, result: Comparison, sides: list[Side]) -> None:
    """Start the processes of all sides that can be: they import what they need at the same time."""

    def side(name: str, label: str, workers: int, python: str = sys.executable) -> Timed:
        work = Workload(paths, options.size, options.batch_size, workers, options.crop)
        sides.append(Side(name, label, work, python=python))
        return sides[-1].timed

    result.floor = side("floor", "floor: libjpeg-turbo's decode", options.workers)
    for name, label in _PEERS:
        missing = _missing(name) if options.python == sys.executable else None
        workers = 1 if name == "generator" else options.workers
        if missing is None:
            result.peers.append(side(name, label, workers, options.python))
        else:
            result.peers.append(Timed(label, workers, failure=missing))
    for count in worker_counts(options.workers):
        result.feeds.append(side("feed", "fastfeed", count))


def _missing(name: str) -> str | None:
    """Say what a peer lacks here, if anything."""
    for module, remedy in (("PIL", "pip install pillow"), ("torch", "pip install torch")):
        if (module == "PIL" or name == "dataloader") and importlib.util.find_spec(module) is None:
            return f"{module} is not installed ({remedy})"
    return None


def _measure(sides: list[Side], options: Options, result: Comparison, progress: Progress) -> None:
    steps = len(sides) * (options.rounds + 1) + 2
    done = 0

    def step(what: str) -> None:
        nonlocal done
        progress(what, done, steps)
        done += 1

    progress("importing", 0, steps)
    ready = start_all(sides, lambda name: step(f"starting {name}"))
    result.pil = next((side.pil for side in ready if side.timed in result.peers), "")
    step("comparing the images")
    result.difference = _check(ready)
    interleave(ready, options.rounds, options.seconds / (len(sides) * options.rounds), step)
    step("asking for the verdict")
    feed = next((side for side in reversed(ready) if side.timed in result.feeds), None)
    if feed is not None and feed.timed.failure is None:
        with contextlib.suppress(SideError):
            answer = feed.ask(do="verdict", seconds=min(1.0, options.seconds / 10))
            result.verdict, result.sentence = answer["verdict"], answer["sentence"]


def _check(sides: Sequence[Side]) -> float | None:
    """Compare the images' means of the first feed with those of the first peer."""
    means: dict[str, list[float]] = {}
    for side in sides:
        kind = {"fastfeed": "feed", "plain generator": "peer"}.get(side.timed.name)
        if kind is not None and kind not in means:
            try:
                means[kind] = side.ask(do="check")["means"]
                side.settle()
            except SideError as error:
                side.timed.failure = str(error)
    if len(means) < 2:
        return None
    return max(abs(ours - theirs) for ours, theirs in zip(means["feed"], means["peer"], strict=True))


def _is_jpeg(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_JPEG_START)) == _JPEG_START
    except OSError:
        return False


def as_dict(result: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON has it."""
    floor = result.floor.rate if result.floor is not None else None
    plain = next((side.rate for side in result.peers if side.workers == 1), None)
    single = next((side.rate for side in result.feeds if side.workers == 1), None)
    options = result.options
    return {
        "work": {
            "files": result.files,
            "median_bytes": result.bytes_per_file,
            "not_jpeg": result.left_out,
            "size": options.size,
            "batch_size": options.batch_size,
            "crop": options.crop,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "workers": options.workers,
        },
        "pil": result.pil,
        "sides": [
            {
                "name": side.name,
                "workers": side.workers,
                "images_per_second": side.rate,
                "windows": side.rates,
                "over_floor": _over(side.rate, floor),
                "over_generator": _over(side.rate, plain),
                "over_one_worker": _over(side.rate, single) if side in result.feeds else None,
                "cpu_seconds_per_image": side.cpu,
                "first_batch_seconds": side.first_batch,
                "memory_bytes": side.memory or None,
                "worker_memory_bytes": side.worker_memory,
                "failure": side.failure,
            }
            for side in result.sides()
        ],
        "other_processes_share": result.disturbed(),
        "largest_mean_difference": result.difference,
        "verdict": result.verdict,
        "sentence": result.sentence,
        "complete": result.complete,
    }


def _over(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None
