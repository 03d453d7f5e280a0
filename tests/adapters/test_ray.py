"""Batches from a cluster of Ray: the local feed's bytes and states, whatever dies meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import fastfeed as ff

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="Ray is not installed; `make test-frameworks` installs it")

from ray.cluster_utils import Cluster  # noqa: E402

from examples import u_ray  # noqa: E402
from examples.shapes import draw  # noqa: E402

STORE = 80 * 2**20  # bytes of shared memory for each node's objects; Ray takes no less than 75 MB


quietly = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data reads its own old options


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def makers() -> list[psutil.Process]:
    """The actors that there are, with their workers."""
    actors = [each for each in descendants() if b"MakerActor" in cmdline(each)]
    return actors + [worker for actor in actors for worker in children(actor)]


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:  # it has ended meanwhile
        return []


def cmdline(process: psutil.Process) -> bytes:
    try:
        return Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that makes nothing, and two nodes of a processor each; nothing is left of it afterwards."""
    before = set(os.listdir("/dev/shm"))
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    processes = descendants()
    ray.shutdown()
    cluster.shutdown()
    assert psutil.wait_procs(processes, timeout=30)[1] == []
    assert set(os.listdir("/dev/shm")) <= before


@pytest.fixture(autouse=True)
def nothing_left_behind(cluster: Any) -> Iterator[None]:
    """Fail a test that leaves an actor or one of its workers; Ray's own processes, files and mappings come and go."""
    yield
    left = psutil.wait_procs(makers(), timeout=30)[1]
    assert left == []


@pytest.fixture
def fed() -> Iterator[Callable[..., Any]]:
    """``fed(plan, ...)`` is ``ff.ray.feed`` of two actors, closed after the test."""
    feeds: list[Any] = []

    def make(plan: Any, **given: Any) -> Any:
        feeds.append(ff.ray.feed(plan, **{"actors": 2, **given}))
        return feeds[-1]

    yield make
    while feeds:
        feeds.pop().close()


def local(folder: Any, **given: Any) -> ff.Feed:
    options: dict[str, Any] = {"labels": os.path.basename, "dtype": "uint8", "batch_size": 4, "num_workers": 0}
    transforms = [ff.RandomResizedCrop(16), ff.RandomHorizontalFlip()]
    return ff.images(folder, **{"transforms": transforms, "shuffle": True, "seed": 3, **options, **given})


def digest(batch: Any) -> str:
    images, labels = batch
    return hashlib.sha256(images.tobytes() + repr((images.shape, list(labels))).encode()).hexdigest()


def digests(feed: Any, epochs: int = 1) -> list[str]:
    return [digest(batch) for batch in feed.repeat(epochs)]


# ---- the same feed ---------------------------------------------------------------------------------------------------


def test_epochs_are_those_of_one_machine_and_may_be_written_to(photos: Path, fed: Any) -> None:
    here = local(photos)
    feed = fed(here.plan())
    assert len(feed) == len(here) == 13
    for _ in range(2):
        assert digests(feed) == digests(here)
    feed.set_epoch(9)
    here.set_epoch(9)
    for batch in feed:
        assert batch[0].flags.writeable
        batch[0][:] = 0
    assert feed.state_dict()["epoch"] == 10
    stats = feed.stats()
    assert (stats.batches, stats.samples, stats.workers, stats.deaths) == (39, 150, 2, 0)
    assert stats.work_s > 0
    assert stats.bytes_read > 0
    assert "smaller images" in stats.sentence or "way from the actors" in stats.sentence or stats.verdict == "consumer"
    late = replace(stats, wait_s=9.0, first_waits_s=0.0, consumer_s=1.0, pull_s=0.0, read_s=0.5, work_s=2.0, idle_s=7.5)
    assert late.sentence == (
        "The way from the actors is the slow side: the consumer waited 9.00 s of 10.00 s, and their workers were idle "
        "for 7.50 s against 2.50 s of work; send fewer bytes (dtype='uint8', normalised on the device), raise window, "
        "or put the actors behind a faster network."
    )
    assert late.since(replace(late, wait_s=0.0)).sentence.startswith("The workers are the slow side")
    assert replace(late, idle_s=2.0).sentence.startswith("The workers are the slow side")
    assert replace(late, consumer_s=99.0).sentence.startswith("The consumer is the slow side")


def test_an_iterator_that_is_never_stepped_hires_nobody(photos: Path, fed: Any) -> None:
    feed = fed(local(photos).plan())
    iter(feed)
    assert makers() == []
    assert feed.state_dict()["epoch"] == 0
    feed.close()


def test_a_loop_may_break_and_go_on_from_its_state(photos: Path, fed: Any) -> None:
    plan = local(photos).plan()
    whole = digests(plan.feed(), 2)
    feed = fed(plan, actors=2, cpus_per_actor=1, window=3)
    first = [digest(batch) for batch in itertools.islice(feed, 5)]
    state = json.loads(json.dumps(feed.state_dict()))
    feed.load_state_dict(state)
    assert first + digests(feed, 2) == whole
    other = plan.feed(num_workers=0)
    other.load_state_dict(state)
    assert first + digests(other, 2) == whole


def test_ranks_go_on_from_one_state_whatever_their_number(photos: Path, fed: Any) -> None:
    feed = fed(local(photos).plan())
    seen = [name for _, names in itertools.islice(feed, 4) for name in names]
    feed.close()
    parts = [fed(local(photos, shard=(k, 2), batch_size=3, uneven="keep").plan(), actors=1) for k in range(2)]
    for part in parts:
        part.load_state_dict(feed.state_dict())
        seen += [name for _, names in part for name in names]
    assert sorted(seen) == sorted(os.listdir(photos))


def test_unordered_batches_come_once_each_and_their_state_says_which(photos: Path, fed: Any) -> None:
    plan = local(photos).plan()
    feed = fed(plan, ordered=False)
    first = [digest(batch) for batch in itertools.islice(feed, 6)]
    feed.load_state_dict(feed.state_dict())
    assert sorted(first + digests(feed)) == sorted(digests(plan.feed()))


def test_copied_arrays_are_writable_and_aligned(photos: Path, fed: Any) -> None:
    for images, _ in fed(local(photos, size=224, transforms=None).plan()):
        assert images.flags.writeable
        assert images.__array_interface__["data"][0] % 64 == 0


def test_without_a_copy_arrays_lie_in_the_object_store(photos: Path, fed: Any) -> None:
    plan = local(photos, size=224, transforms=None).plan()
    kept = list(fed(plan, writable=False))
    assert not any(images.flags.writeable or images.flags.owndata for images, _ in kept)
    assert list(map(digest, kept)) == digests(plan.feed())


def test_arrays_and_ranks_too(fed: Any) -> None:
    given = {"x": np.arange(80.0).reshape(40, 2), "y": np.arange(40)}
    feed = ff.arrays(given, batch_size=8, shuffle=True, shard=(1, 2), num_workers=0)
    there = list(fed(feed.plan()))
    for one, other in zip(there, feed, strict=True):
        assert {key: value.tolist() for key, value in one.items()} == {
            key: value.tolist() for key, value in other.items()
        }


# ---- what dies -------------------------------------------------------------------------------------------------------


def test_an_actor_that_is_killed_costs_nothing(photos: Path, fed: Any) -> None:
    plan = local(photos).plan()
    feed = fed(plan)
    seen = []
    for batch in feed.repeat(3):
        seen.append(digest(batch))
        if len(seen) in (4, 20):
            makers()[0].kill()
    assert seen == digests(plan.feed(), 3)
    assert feed.stats().deaths >= 1  # one that was still to begin may not be missed


@pytest.mark.parametrize("ordered", [True, False])
def test_a_node_that_is_lost_in_mid_epoch_costs_nothing(photos: Path, cluster: Any, fed: Any, ordered: bool) -> None:
    plan = local(photos, size=224, transforms=None).plan()  # in the object store, and not in the answer itself
    lost = cluster.add_node(num_cpus=1, resources={"lost": 1}, object_store_memory=STORE)
    stays = cluster.add_node(num_cpus=1, resources={"lost": 1}, object_store_memory=STORE)
    try:
        feed = fed(plan, ordered=ordered, actor_options={"resources": {"lost": 1}})
        while len(makers()) < 4:  # two actors, and a worker of each: both have been asked for something
            assert len(list(feed)) == 13
        feed.set_epoch(0)
        batches = iter(feed.repeat(2))
        seen = [digest(next(batches)) for _ in range(8)]
        cluster.remove_node(lost, allow_graceful=False)
        seen += map(digest, batches)
        feed.close()
    finally:
        cluster.remove_node(stays)
    whole = digests(plan.feed(), 2)
    assert (seen if ordered else sorted(seen)) == (whole if ordered else sorted(whole))
    assert feed.stats().deaths == 1


def ended(pixels: np.ndarray) -> np.ndarray:
    os.kill(os.getppid(), 9)  # the actor, whose worker this is
    return pixels


def test_a_batch_that_every_actor_dies_over_is_named(photos: Path, fed: Any) -> None:
    feed = fed(local(photos, transforms=[ff.Resize(16), ended]).plan(), actors=1)
    with pytest.raises(
        ff.WorkerDied, match="batch 0 of epoch 0 was lost 3 times, with the actor that made it"
    ) as caught:
        next(iter(feed))
    assert caught.value.sample == "batch 0 of epoch 0"


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_a_bad_sample_reaches_the_loop_as_itself(make_folder: Any, photos: Path, fed: Any) -> None:
    good = (photos / "000.jpg").read_bytes()
    folder = make_folder({f"{k}.jpg": b"not an image" if k == 5 else good for k in range(10)})
    feed = fed(local(folder, shuffle=False, batch_size=2).plan())
    batches = iter(feed)
    assert [names for _, names in itertools.islice(batches, 2)] == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"]]
    with pytest.raises(ff.SampleError, match=r"5\.jpg \(index 5\)"):
        next(batches)
    feed.close()
    skipping = fed(local(folder, shuffle=False, batch_size=2, on_error="skip").plan())
    assert [len(names) for _, names in skipping] == [2, 2, 1, 2, 2]
    assert [error.index for error in skipping.errors] == [5]


def test_a_node_that_sees_other_files_is_refused_by_name(make_folder: Any, photos: Path, fed: Any) -> None:
    folder = make_folder({file.name: file.read_bytes() for file in photos.iterdir()})
    feed = fed(local(folder, labels="auto").plan())
    (folder / "000.jpg").unlink()
    with pytest.raises(ff.ConfigError, match=r"^node .* \(.*\) sees other samples than this .*: 49 there and 50 here"):
        next(iter(feed))


def test_a_node_without_the_files_is_refused_by_name(make_folder: Any, photos: Path, fed: Any) -> None:
    folder = make_folder({"in/0.jpg": (photos / "000.jpg").read_bytes()}) / "in"
    feed = fed(local(folder, labels="auto").plan())
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(ff.ConfigError, match=r"^node .* cannot make the batches of this plan: ConfigError: .*in"):
        next(iter(feed))


def test_actors_that_cannot_begin_are_said(photos: Path, fed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastfeed.adapters import ray_crew

    monkeypatch.setattr(ray_crew, "_PATIENCE_S", 0.2)
    feed = fed(local(photos).plan(), actors=1, cpus_per_actor=2)
    caught: list[BaseException] = []

    def loop() -> None:
        try:
            with pytest.warns(RuntimeWarning, match=r"no actor has begun in .* 1 are asked for with 2 CPU each"):
                next(iter(feed))
        except BaseException as error:
            caught.append(error)

    begun = threading.Event()
    monkeypatch.setattr(ray_crew.RayCrew, "_warn_of_nobody", warned(ray_crew.RayCrew._warn_of_nobody, begun))
    thread = threading.Thread(target=loop)
    thread.start()
    assert begun.wait(60)
    feed.close()
    thread.join(60)
    assert [type(error) for error in caught] == [ff.FeedClosed]


def warned(warn: Callable[[Any], None], begun: threading.Event) -> Callable[[Any], None]:
    def noted(crew: Any) -> None:
        warn(crew)
        begun.set()

    return noted


def test_options_that_cannot_work_are_refused_in_words(photos: Path) -> None:
    plan = local(photos).plan()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"actors": 0}, "actors=0: pass a whole number"),
        ({"actors": 1, "cpus_per_actor": 0}, "cpus_per_actor=0"),
        ({"actors": 1, "window": 0}, "window=0"),
        ({"actors": 1, "ordered": 1}, "ordered=1: pass True or False"),
        ({"actors": 1, "writable": None}, "writable=None: pass True or False"),
        ({"actors": 1, "actor_options": 3}, "actor_options=3: pass a dict"),
        ({"actors": 1, "actor_options": {"num_cpus": 2}}, "leave out num_cpus, which the feed sets; cpus"),
        (
            {"actors": 1, "actor_options": {"cpus": 2}},
            "actor_options=.*: pass what ray.remote.. takes for actors: .*cpus",
        ),
    ]
    for given, text in wrong:
        with pytest.raises(ff.ConfigError, match=text):
            ff.ray.feed(plan, **given)
    with pytest.raises(ff.ConfigError, match=r"plan=.*: pass what plan\(\) of a feed"):
        ff.ray.feed(local(photos), actors=1)


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_a_feed_that_is_dropped_ends_its_actors(photos: Path) -> None:
    feed = ff.ray.feed(local(photos).plan(), actors=1)
    next(iter(feed))
    there = makers()
    assert len(there) == 2
    del feed
    assert psutil.wait_procs(there, timeout=30)[1] == []


def test_a_closed_feed_keeps_its_batches_and_says_that_it_is_closed(photos: Path) -> None:
    with ff.ray.feed(local(photos).plan(), actors=1) as feed:
        batch = next(iter(feed))
    assert digest(batch) == digest(local(photos).plan().make(0, 0))
    with pytest.raises(ff.FeedClosed):
        next(iter(feed))
    feed.close()


def test_a_network_learns_from_what_actors_prepare(tmp_path: Path) -> None:
    draw(tmp_path, 60)
    losses = u_ray.train(tmp_path, 8)
    assert losses[-1] < 0.8 * losses[0]


@quietly
def test_ray_train_goes_on_with_fewer_workers(tmp_path: Path, cluster: Any) -> None:
    pytest.importorskip("torch", reason="Ray Train's example needs PyTorch as well")
    from examples import v_ray_train

    node = cluster.add_node(num_cpus=4, object_store_memory=STORE)
    try:
        folder = tmp_path / "shapes"
        folder.mkdir()
        draw(folder, 24)
        first = v_ray_train.run(folder, 2, 2, stop=4)
        assert first.metrics["epoch"] == 1  # 3 steps are an epoch, and every fourth step is reported
        second = v_ray_train.run(folder, 1, 2, checkpoint=first.checkpoint)
        assert second.metrics["epoch"] == 2
    finally:
        cluster.remove_node(node)


# ---- Ray Data --------------------------------------------------------------------------------------------------------


def rows_of(dataset: Any) -> list[dict[str, Any]]:
    return sorted(dataset.take_all(), key=lambda row: (row["__epoch__"], row["__batch__"]))


@quietly
def test_a_dataset_has_the_batches_with_their_epoch_and_number(photos: Path) -> None:
    plan = local(photos).plan()
    source = ff.ray.datasource(plan, range(1, 3), first_batch=4, columns=["image", "name"])
    rows = rows_of(ray.data.read_datasource(source, override_num_blocks=3))
    expected = [(epoch, k) for epoch in (1, 2) for k in range(4 if epoch == 1 else 0, 13)]
    have = [where for where, _ in itertools.groupby(rows, lambda row: (row["__epoch__"], row["__batch__"]))]
    assert have == expected
    for epoch, k in expected:
        images, names = plan.make(epoch, k)
        found = {row["name"]: row["image"] for row in rows if (row["__epoch__"], row["__batch__"]) == (epoch, k)}
        assert sorted(found) == sorted(names)
        assert all(np.array_equal(found[name], image) for name, image in zip(names, images, strict=True))


@quietly
def test_columns_are_named_by_where_they_stand(photos: Path) -> None:
    labels = {"size": np.ones((50, 2), np.float32), "number": np.arange(50)}
    plan = local(photos, shuffle=False, labels=labels).plan()
    rows = rows_of(ray.data.read_datasource(ff.ray.datasource(plan, 1)))
    assert list(rows[0]) == ["0", "1.size", "1.number", "__epoch__", "__batch__"]
    assert [row["1.number"] for row in rows] == list(range(50))
    for columns in (["a"], ["a", "b", "b"], ["a", "b", "__epoch__"], "abc"):
        with pytest.raises(ff.ConfigError, match=r"columns=.*: pass 3 names, for 0, 1\.size, 1\.number"):
            ff.ray.datasource(plan, 1, columns=columns)
    for epochs in (0, [], [-1], "2"):
        with pytest.raises(ff.ConfigError, match=r"epochs=.*: pass a number of epochs"):
            ff.ray.datasource(plan, epochs)
    with pytest.raises(ff.ConfigError, match="first_batch=14"):
        ff.ray.datasource(plan, 1, first_batch=14)
