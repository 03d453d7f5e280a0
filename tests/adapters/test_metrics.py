"""Feeds in Prometheus and OpenTelemetry: what is shown, under which names, and for how long."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import fastfeed as ff

REASON = "{} is not installed; `make test-frameworks` installs it"
client = pytest.importorskip("prometheus_client", reason=REASON.format("prometheus_client"))
sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason=REASON.format("opentelemetry-sdk"))

from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # noqa: E402


class Prometheus:
    """A registry that is scraped."""

    def __init__(self) -> None:
        self.registry = client.CollectorRegistry()

    def register(self, **feeds: object) -> None:
        ff.prometheus.register(self.registry, **feeds)

    def read(self) -> dict[tuple[str, str], float]:
        """By metric and feed."""
        return {
            (sample.name, sample.labels["feed"]): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if "le" not in sample.labels and not sample.name.startswith("fastfeed_batch_wait_seconds")
        }


# What an exporter to Prometheus makes of a unit.
UNITS = {"s": "_seconds", "By": "_bytes", "1": "_ratio", "": ""}


class OpenTelemetry:
    """A meter that is exported; names are put together as an exporter to Prometheus does."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = sdk.MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")

    def register(self, **feeds: object) -> None:
        ff.opentelemetry.register(self.meter, **feeds)

    def read(self) -> dict[tuple[str, str], float]:
        """By metric and feed."""
        data = self.reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else []:
            for metric in resource.scope_metrics[0].metrics:
                total = "_total" if getattr(metric.data, "is_monotonic", False) else ""
                name = metric.name.replace(".", "_") + UNITS[metric.unit] + total
                for point in metric.data.data_points:
                    found[name, point.attributes["feed"]] = point.value
        return found


@pytest.fixture(params=[Prometheus, OpenTelemetry])
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


def numbers(feed: Any) -> dict[str, float]:
    metrics = feed.metrics()
    del metrics["fastfeed_rank"]
    return metrics


def fed(**options: Any) -> ff.Feed:
    """A feed that has been gone through, and is closed: its workers count no more time."""
    with ff.arrays(np.arange(40), batch_size=4, num_workers=1, **options) as feed:
        for _ in feed:
            pass
        return feed


def test_every_number_of_every_feed_is_shown_as_it_is_when_it_is_read(face: Any) -> None:
    train = fed()
    with ff.prefetch([1, 2, 3]) as validation:
        face.register(train=train, validation=validation)
        for _ in range(2):
            list(validation)
            assert face.read() == {
                **{(name, "train"): value for name, value in numbers(train).items()},
                **{(name, "validation"): value for name, value in numbers(validation).items()},
            }


def test_feeds_may_be_added_one_by_one_and_a_name_goes_to_the_new_feed(face: Any) -> None:
    first = fed()
    with ff.map(abs, [1, 2, 3], num_workers=0) as second, ff.prefetch([1]) as third:
        face.register(a=first)
        face.register(b=first)
        assert face.read()["fastfeed_batches_total", "b"] == 10
        face.register(b=second)
        list(second)
        face.register(c=third)
        read = face.read()
        assert [read["fastfeed_batches_total", name] for name in "ab"] == [10, 3]
        assert ("fastfeed_source_seconds_total", "c") in read


def test_a_feed_that_is_closed_is_still_shown_and_one_that_is_dropped_is_not(face: Any) -> None:
    feed = fed()
    face.register(train=feed)
    assert face.read()["fastfeed_batches_total", "train"] == 10
    del feed
    gc.collect()
    assert face.read() == {}


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"register\(\) was given no feed: pass each by the name to show it by, register\(train=feed\)"),
        ({"train": 5}, r"train=5: pass a feed \(of what to_torch\(\) returns, its \.feed\) or a prefetch"),
    ],
)
def test_what_is_no_feed_is_refused(face: Any, feeds: dict[str, object], message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        face.register(**feeds)
    assert face.read() == {}


# ---- what each has of its own ----


def test_prometheus_gets_counters_gauges_and_a_histogram_in_its_own_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    prometheus = Prometheus()
    feed = fed(shard=(0, 1))
    prometheus.register(train=feed)
    text = client.openmetrics.exposition.generate_latest(prometheus.registry).decode()
    stats = feed.stats()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(
        sample.labels["feed"] == "train" and sample.labels["rank"] == "3"
        for family in families.values()
        for sample in family.samples
    )
    assert families["fastfeed_wait_seconds"].type == "counter"
    assert families["fastfeed_wait_p99_seconds"].type == "gauge"
    assert families["fastfeed_wait_p99_seconds"].samples[0].value == stats.wait_p99_s
    waits = {
        sample.labels.get("le", sample.name): sample.value for sample in families["fastfeed_batch_wait_seconds"].samples
    }
    assert waits["+Inf"] == waits["fastfeed_batch_wait_seconds_count"] == 9
    assert waits["fastfeed_batch_wait_seconds_sum"] == pytest.approx(stats.wait_s - stats.first_waits_s)
    for bound in (1e-05, 0.001, 10.0):
        assert waits[str(bound)] == sum(count for length, count in stats.waits.lengths.items() if length <= bound * 1e9)


def test_two_registries_and_two_meters_are_apart() -> None:
    feed = fed()
    for kind in (Prometheus, OpenTelemetry):
        first, second = kind(), kind()
        first.register(a=feed)
        second.register(b=feed)
        assert {name for _, name in first.read()} == {"a"}
        assert {name for _, name in second.read()} == {"b"}


def test_the_meter_and_the_registry_of_the_program_are_taken_where_none_is_named() -> None:
    feed = fed()
    ff.prometheus.register(train=feed)
    assert client.REGISTRY.get_sample_value("fastfeed_batches_total", {"feed": "train", "rank": "0"}) == 10
    ff.opentelemetry.register(train=feed)  # before the program has a provider
    from opentelemetry import metrics

    reader = InMemoryMetricReader()
    metrics.set_meter_provider(sdk.MeterProvider([reader], shutdown_on_exit=False))
    (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
    assert scope.scope.name == "fastfeed"
    (batches,) = (metric for metric in scope.metrics if metric.name == "fastfeed.batches")
    assert batches.data.data_points[0].value == 10
