"""What a feed says of itself in a line: what is fed, in what batches, who makes them, and where the loop stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastfeed.engine.job import Job, Outline


def summary_of(job: Job, makers: str, waiting: int) -> str:
    """Return the line; `makers` says who makes the batches, and `waiting` is what `Job.standing` is told."""
    parts = job.contents(), _batches(job.outline()), makers, job.standing(waiting)
    return "; ".join(part for part in parts if part)


def said_workers(workers: int) -> str:
    """Say how many workers there are, or will be."""
    return "1 worker" if workers == 1 else f"{workers} workers" if workers else "made in this process"


def said_batch(batch: Any) -> str:
    """Say what a batch is made of: ``float32 (64, 224, 224, 3), int64 (64,)``."""
    if isinstance(batch, Mapping):
        return f"{{{', '.join(f'{key!r}: {said_batch(part)}' for key, part in batch.items())}}}"
    if isinstance(batch, tuple):
        return ", ".join(f"({said_batch(part)})" if isinstance(part, tuple) else said_batch(part) for part in batch)
    if hasattr(batch, "dtype") and hasattr(batch, "shape"):
        return f"{batch.dtype} {tuple(batch.shape)}"
    return type(batch).__name__


def _batches(outline: Outline) -> str:
    if outline.batch is not None:
        return f"batches of {said_batch(outline.batch)}"
    return f"batches of {outline.rows} results" if outline.rows else ""
