"""A comparison as a table for people, and as a picture; compare.as_dict has the JSON."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastfeed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fastfeed.tools.bench.compare import Comparison
    from fastfeed.tools.bench.side import Timed

NOTICEABLE = 0.05
"""Share of the processors beyond which other processes are worth a word."""


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows of cells, the first row being the head; the first column is left-aligned, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def text(result: Comparison) -> str:
    """Return the comparison as a table with its verdict."""
    options = result.options
    floor = result.floor.rate if result.floor is not None else None
    plain = next((side.rate for side in result.peers if side.workers == 1), None)
    head = ["", "workers", "images/s", "of floor", "x generator", "CPU ms/image", "first batch", "memory"]
    rows = [head, *(_row(side, floor, plain) for side in result.sides())]
    lines = [
        f"{result.files} JPEG files, median {result.bytes_per_file / 1000:.0f} kB; "
        f"{'random crop' if options.crop else 'whole frame'} to {options.size}x{options.size}, flipped at random, "
        f"normalised, float32; batches of {options.batch_size}, shuffled"
        + (f"; left out, being no JPEG: {result.left_out}" if result.left_out else "")
        + (f"; peers use {result.pil}" if result.pil else ""),
        "",
        table(rows),
        "",
    ]
    lines += [f"{side.name}: {side.failure}" for side in result.sides() if side.failure is not None]
    best = result.feeds[-1] if result.feeds else None
    single = result.feeds[0].rate if result.feeds else None
    if best is not None and best.rate is not None and single and best.workers > 1:
        lines.append(f"{best.workers} workers make {best.rate / single:.2f} times the batches of one.")
    if result.difference is not None:
        lines.append(
            f"Same images: the means of a batch's images differ from PIL's by at most {result.difference:.4f} "
            f"(normalised units)."
        )
    if result.sentence:
        lines.append(f"Verdict: {result.verdict}. {result.sentence}")
    if result.disturbed() > NOTICEABLE:
        lines.append(
            f"Other processes used {result.disturbed():.0%} of this machine's processors meanwhile: the rates are too "
            f"low, though the CPU times per image are not."
        )
    if not result.complete:
        lines.append("Interrupted: these are the figures of the windows that were finished.")
    return "\n".join(lines)


def plot(result: Comparison, path: Path) -> None:
    """Draw images per second against workers, with the floor as a line, into a file (PNG, or what its name ends in).

    Raises
    ------
    ConfigError
        Without matplotlib, or where the file cannot be written.
    """
    require_matplotlib()
    # The object-oriented interface: pyplot would look for a display.
    figure_module: Any = importlib.import_module("matplotlib.figure")
    figure = figure_module.Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    feeds = [side for side in result.feeds if side.rate is not None]
    axes.plot([side.workers for side in feeds], [side.rate for side in feeds], "o-", label="fastfeed", zorder=3)
    for side, mark in zip(result.peers, "s^Dv", strict=False):
        if side.rate is not None:
            axes.plot([side.workers], [side.rate], mark, label=side.name)
    if result.floor is not None and result.floor.rate is not None:
        axes.axhline(
            result.floor.rate,
            color="grey",
            linestyle="--",
            label=f"floor: decoding alone, {result.floor.workers} cores",
        )
    axes.set_xticks([side.workers for side in result.feeds])
    axes.set_xlabel("workers")
    axes.set_ylabel("images per second")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--plot {path}: {error}; name a file that ends in .png, in a folder that exists") from error


def require_matplotlib() -> None:
    """Raise ConfigError where there is no matplotlib: before measuring, not after."""
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib, which is not installed: pip install 'fastfeed[plot]'") from error


def require_format(path: Path) -> None:
    """Raise ConfigError where matplotlib writes no files of this name: before measuring, not after."""
    figure_module: Any = importlib.import_module("matplotlib.figure")
    formats = figure_module.Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in formats:
        raise ConfigError(f"--plot {path}: {path.suffix} is no format that can be drawn; name a file that ends in .png")


def _row(side: Timed, floor: float | None, plain: float | None) -> list[str]:
    name, workers = side.name, str(side.workers)
    if side.rate is None:
        return [name, workers, "-", "", "", "", "", ""] if side.failure else [name, workers, "", "", "", "", "", ""]
    return [
        name,
        workers,
        f"{side.rate:.0f}",
        f"{side.rate / floor:.2f}" if floor else "",
        f"{side.rate / plain:.1f}" if plain else "",
        f"{side.cpu * 1000:.2f}" if side.cpu is not None else "",
        f"{side.first_batch:.2f} s" if side.first_batch is not None else "",
        f"{side.memory / 1e6:.0f} MB" if side.memory else "",
    ]
