"""Metrics: the names, stable and with their units, under which what a loop did is shown to other programs."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """One number.

    Attributes
    ----------
    name : str
        ``fastfeed_``, what it is, its unit, and ``_total`` where it only grows, as Prometheus wants it.
    attribute : str
        Where `Stats` or `PrefetchStats` has it.
    says : str
        What it is, in a line.
    """

    name: str
    attribute: str
    says: str

    @property
    def is_counter(self) -> bool:
        """Whether it only grows, so that the difference of two readings means something."""
        return self.name.endswith("_total")


RANK = Metric("fastfeed_rank", "rank", "The rank of this process.")
METRICS = (
    Metric("fastfeed_batches_total", "batches", "Batches delivered to the loop."),
    Metric("fastfeed_items_total", "items", "Items of a prefetch delivered to the loop."),
    Metric("fastfeed_samples_total", "samples", "Good samples delivered to the loop."),
    Metric("fastfeed_iterations_total", "iterations", "Iterations that have got their first batch."),
    Metric("fastfeed_wait_seconds_total", "wait_s", "The loop waited for batches, first ones included."),
    Metric("fastfeed_first_wait_seconds_total", "first_waits_s", "The loop waited for the first batch of iterations."),
    Metric("fastfeed_pull_seconds_total", "pull_s", "The source was asked for more in the loop's process."),
    Metric("fastfeed_first_pull_seconds_total", "first_pulls_s", "The same, while first batches were waited for."),
    Metric("fastfeed_consumer_seconds_total", "consumer_s", "The loop was busy with what it had got."),
    Metric("fastfeed_source_seconds_total", "source_s", "The source of a prefetch was busy making items."),
    Metric("fastfeed_worker_read_seconds_total", "read_s", "All workers together: reading the source."),
    Metric("fastfeed_worker_work_seconds_total", "work_s", "All workers together: decoding, transforming, computing."),
    Metric("fastfeed_worker_idle_seconds_total", "idle_s", "All workers together: waiting for work."),
    Metric("fastfeed_worker_deaths_total", "deaths", "Workers that died and were replaced."),
    Metric("fastfeed_read_bytes_total", "bytes_read", "Encoded bytes that the workers read."),
    Metric("fastfeed_copied_batches_total", "copies", "Batches handed out as copies, because the loop held too many."),
    Metric("fastfeed_failed_samples_total", "failed", "Samples that were bad."),
    Metric("fastfeed_wait_mean_seconds", "wait_mean_s", "The wait for a batch, first ones included: its mean."),
    Metric("fastfeed_wait_p50_seconds", "wait_p50_s", "The wait for a batch after the first: half waited no longer."),
    Metric("fastfeed_wait_p95_seconds", "wait_p95_s", "The same: 95 of 100 waited no longer."),
    Metric("fastfeed_wait_p99_seconds", "wait_p99_s", "The same: 99 of 100 waited no longer."),
    Metric("fastfeed_first_batch_seconds", "first_batch_s", "The wait for the first batch of the latest iteration."),
    Metric("fastfeed_ready_ratio", "ready_share", "Of the batches after the first: those ready when the loop asked."),
    Metric("fastfeed_ready_slots", "ready_slots", "Slots that were ready when the loop asked: their mean number."),
    Metric("fastfeed_workers", "workers", "Worker processes."),
    RANK,
)


def metrics_of(stats: object) -> dict[str, float]:
    """Return those that a record has, by their names."""
    return {metric.name: getattr(stats, metric.attribute) for metric in METRICS if hasattr(stats, metric.attribute)}


def counters_of(stats: object) -> list[str]:
    """Return the attributes of a record that only grow."""
    return [metric.attribute for metric in METRICS if metric.is_counter and hasattr(stats, metric.attribute)]
