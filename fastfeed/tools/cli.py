"""The command line: ``fastfeed bench``, ``doctor`` and ``show``; arguments in, an exit status out.

Exit status: 0 done, 1 doctor found something to change or bench could not run a feed, 2 it cannot be done (stderr says
why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfeed import __version__
from fastfeed.errors import ConfigError, FastfeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastfeed.tools.bench.compare import Comparison, Progress

_QUICK_SECONDS = 7.0
_DEFAULT_SECONDS = 36.0
_SIZE = 224


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return 2
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except FastfeedError as error:
        print(f"fastfeed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastfeed: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone (| head); what Python flushes at exit must not complain about it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastfeed", description="Measure data loading, or look at it.")
    parser.add_argument("--version", action="version", version=f"fastfeed {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="command")
    bench = commands.add_parser(
        "bench",
        help="images per second here, beside other loaders and the decoder alone",
        description="Images per second at 1, 2, ... workers beside a plain generator, multiprocessing.Pool.map and "
        "PyTorch's DataLoader on the same files, and beside the floor: libjpeg-turbo's decode alone on every core.",
    )
    bench.set_defaults(run=_bench)
    bench.add_argument(
        "source", nargs="?", help="folder, glob or file of JPEG photographs (default: some made here, and cached)"
    )
    bench.add_argument("--workers", type=_positive, help="most workers (default: the processors allowed)")
    bench.add_argument("--size", type=_positive, default=224, help="height and width of an image (default: 224)")
    bench.add_argument("--batch-size", type=_positive, default=64, help="images in a batch (default: 64)")
    bench.add_argument("--crop", action="store_true", help="random resized crops in place of whole frames")
    bench.add_argument(
        "--seconds", type=_seconds, help=f"seconds of measuring, of all sides together (default: {_DEFAULT_SECONDS:g})"
    )
    bench.add_argument("--quick", action="store_true", help="one short round: rougher figures in about ten seconds")
    bench.add_argument("--json", action="store_true", help="print JSON and nothing else")
    bench.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the rates into a file (needs matplotlib)")
    doctor = commands.add_parser(
        "doctor",
        help="what fastfeed finds here, and what to change",
        description="Versions, SIMD, processors, memory and limits that fastfeed finds here, and what to change.",
    )
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("--json", action="store_true", help="print JSON and nothing else")
    show = commands.add_parser(
        "show",
        help="what transforms make of some images, as a picture",
        description="Draw images as they come out of the transforms, chosen at random, with labels and positions.",
    )
    show.set_defaults(run=_show)
    show.add_argument("source", help="folder (its class folders give labels) or glob of images")
    show.add_argument("-o", "--output", metavar="FILE.png", required=True, help="the file to draw into")
    show.add_argument(
        "--transforms", metavar="TEXT", help="as in a program: 'RandomResizedCrop(224), RandomHorizontalFlip()'"
    )
    show.add_argument(
        "--size", type=_positive, help="resize whole frames to this first (default without transforms: 224)"
    )
    show.add_argument("-n", type=_positive, default=16, metavar="COUNT", help="how many images (default: 16)")
    show.add_argument("--seed", type=int, default=0, help="decides which images, and what is random (default: 0)")
    return parser


def _bench(options: argparse.Namespace) -> int:
    # Not at the top: these need NumPy and psutil, and doctor must be able to say that they are missing.
    compare = importlib.import_module("fastfeed.tools.bench.compare")
    photos = importlib.import_module("fastfeed.tools.bench.photos")
    report = importlib.import_module("fastfeed.tools.bench.report")
    machine = importlib.import_module("fastfeed.machine")
    if options.plot is not None:
        report.require_matplotlib()
        if not options.plot.absolute().parent.is_dir():
            raise ConfigError(
                f"--plot {options.plot}: there is no folder {options.plot.absolute().parent}; make it first"
            )
        report.require_format(options.plot)
    seconds = options.seconds or (_QUICK_SECONDS if options.quick else _DEFAULT_SECONDS)
    asked = compare.Options(
        workers=options.workers or machine.available_cpus(),
        size=options.size,
        batch_size=options.batch_size,
        seconds=seconds,
        rounds=1 if options.quick else compare.ROUNDS,
        crop=options.crop,
    )
    with _progress(hidden=options.json) as progress:
        if options.source is None:
            paths = photos.photographs(progress=lambda done, count: progress("making photographs", done, count))
            files, left_out = [str(path) for path in paths], 0
        else:
            files, left_out = compare.jpeg_files(options.source)
        result: Comparison = compare.compare(files, asked, progress, left_out)
    print(json.dumps(compare.as_dict(result), indent=2) if options.json else report.text(result), flush=True)
    if options.plot is not None:
        report.plot(result, options.plot)
    if not result.complete:
        return 130
    return 1 if any(side.failure is not None for side in result.feeds) else 0


def _doctor(options: argparse.Namespace) -> int:
    doctor = importlib.import_module("fastfeed.tools.doctor")
    examined = doctor.examine()
    print(json.dumps(examined.as_dict(), indent=2) if options.json else doctor.text(examined), flush=True)
    return 1 if examined.advice else 0


def _show(options: argparse.Namespace) -> int:
    sheet = importlib.import_module("fastfeed.tools.sheet")
    sheet.require_pil()
    sheet.check_path(options.output)
    size = options.size or (None if options.transforms else _SIZE)
    written = importlib.import_module("fastfeed.tools.written")
    transforms = None if options.transforms is None else written.transforms_of(options.transforms)
    images = importlib.import_module("fastfeed.image.images").images
    given = {"batch_size": options.n, "shuffle": True, "seed": options.seed, "shard": (0, 1), "num_workers": 0}
    feed = images(options.source, size, transforms=transforms, **given)
    drawn = importlib.import_module("fastfeed.tools.show").show(feed, options.output, n=options.n)
    print(f"{options.output}: {drawn!r}", flush=True)
    return 0


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress]:
    """Show a progress bar on stderr, where that is a terminal and rich is installed."""
    try:
        rich: Any = importlib.import_module("rich.progress")
        console: Any = importlib.import_module("rich.console").Console(stderr=True)
    except ImportError:
        rich = console = None
    if hidden or rich is None or not sys.stderr.isatty():
        yield lambda what, done, count: None
        return
    columns = (rich.TextColumn("{task.description:36}"), rich.BarColumn(), rich.TimeElapsedColumn())
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda what, done, count: bar.update(task, description=what, completed=done, total=count)


def _positive(word: str) -> int:
    number = int(word) if word.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 1")
    return number


def _seconds(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0.0 < number < 86400.0:
        raise argparse.ArgumentTypeError(f"{word} is not a number of seconds above 0")
    return number
