"""What a notebook shows of the stats: the sentence, and a table of the numbers with what each of them is."""

from __future__ import annotations

from html import escape
from typing import Any

from fastfeed.engine.metrics import METRICS, Metric
from fastfeed.machine import said_bytes


def html_of(stats: Any) -> str:
    """Return a record, `Stats` or `PrefetchStats`, as HTML."""
    rows = "".join(
        f"<tr><td><code>{metric.attribute}</code></td>"
        f"<td>{_said(metric, getattr(stats, metric.attribute))}</td>"
        f'<td style="text-align: left">{escape(metric.says)}</td></tr>'
        for metric in METRICS
        if hasattr(stats, metric.attribute)
    )
    return f"<div><p>{escape(stats.sentence)}</p><table>{rows}</table></div>"


def _said(metric: Metric, value: float) -> str:
    """Write a number with its unit, which the metric's name says."""
    unit = metric.name.removesuffix("_total").rpartition("_")[2]
    if unit == "seconds":
        return f"{value:,.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"
    if unit == "bytes":
        return said_bytes(int(value))
    if unit == "ratio":
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
