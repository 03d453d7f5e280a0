"""A feed that is asked for its batches one by one: the plan's own, whoever asks and in whatever order."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode
from PIL import Image

import fastfeed as ff
from fastfeed.adapters.maker import Answer, Maker, heard, identity_of, unlike
from fastfeed.schedule.rest import Rest
from fastfeed.schedule.schedule import ALL


@pytest.fixture
def made() -> Iterator[Any]:
    """``made(plan, workers)`` is a Maker, which is closed after the test."""
    makers: list[Maker] = []

    def make(plan: Any, workers: int = 2) -> Maker:
        makers.append(Maker(plan, workers))
        return makers[-1]

    yield make
    while makers:
        makers.pop().close()


def plan_of(folder: Path, **given: Any) -> Any:
    return ff.images(
        folder, 16, **{"labels": None, "dtype": "uint8", "batch_size": 8, "num_workers": 0, **given}
    ).plan()


def test_batches_are_the_plans_in_whatever_order_they_are_asked_for(photos: Path, made: Any) -> None:
    plan = plan_of(photos, shuffle=True, transforms=[ff.RandomHorizontalFlip()], labels=os.path.basename)
    maker = made(plan)
    asked = [(epoch, k) for k in (6, 0, 3) for epoch in (5, 0)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda where: maker.make((*where, ALL)), asked))
    for where, answer in zip(asked, answers, strict=True):
        images, labels = plan.make(*where)
        assert np.array_equal(answer.batch[0], images)
        assert list(answer.batch[1]) == list(labels)
    assert sum(answer.samples for answer in answers) == 2 * (2 + 8 + 8)
    assert max(answer.totals["bytes_read"] for answer in answers) > 0


def test_what_is_left_of_an_epoch_may_be_asked_for(photos: Path, made: Any) -> None:
    answer = made(plan_of(photos, with_index=True)).make((0, 1, Rest(20, ((3, 5),))))
    assert answer.batch[1].tolist() == list(range(26, 34))


def held_by_a_file(pixels: np.ndarray) -> np.ndarray:
    if pixels[0, 0, 0] == 255:
        with open(os.environ["FASTFEED_TEST_FIFO"], "rb") as file:  # until somebody writes
            file.read()
    return pixels


def test_what_is_asked_for_later_does_not_wait_for_what_is_being_made(
    tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    monkeypatch.setenv("FASTFEED_TEST_FIFO", fifo)
    pictures = [encode(Image.new("RGB", (20, 20), (level,) * 3), quality=95) for level in (255, 0, 0)]
    maker = made(plan_of(pictures, batch_size=1, transforms=[held_by_a_file]))
    with ThreadPoolExecutor(3) as threads:
        slow = threads.submit(maker.make, (0, 0, ALL))
        quick = [threads.submit(maker.make, (0, k, ALL)).result().batch for k in (1, 2)]
        assert [batch.max() for batch in quick] == [0, 0]
        assert not slow.done()
        with open(fifo, "wb"):
            pass
        assert slow.result().batch.max() == 255


def refused(pixels: np.ndarray) -> np.ndarray:
    raise LookupError("not this one")


def test_a_bad_sample_is_in_the_answer_and_ends_nothing(make_folder: Any, photos: Path, made: Any) -> None:
    good = (photos / "000.jpg").read_bytes()
    folder = make_folder({"a.jpg": good, "b.jpg": b"not an image", "c.jpg": good})
    maker = made(plan_of(folder, batch_size=1))
    bad: Answer = pickle.loads(pickle.dumps(maker.make((0, 1, ALL))))
    assert bad.batch is None
    assert bad.failure is not None
    error = heard(bad.failure)
    assert isinstance(error, ff.SampleError)
    assert (Path(error.path).name, error.index) == ("b.jpg", 1)
    assert maker.make((0, 2, ALL)).failure is None

    skipping = made(plan_of(folder, batch_size=3, on_error="skip"))
    answer = skipping.make((0, 0, ALL))
    assert (len(answer.batch), answer.samples, list(answer.errors)) == (2, 2, [1])
    assert made(plan_of(folder, batch_size=1, on_error="skip")).make((0, 1, ALL)).batch is None


def test_what_a_function_raised_stays_the_cause(photos: Path, made: Any) -> None:
    answer = pickle.loads(pickle.dumps(made(plan_of(photos, transforms=[refused])).make((0, 0, ALL))))
    error = heard(answer.failure)
    assert isinstance(error, ff.SampleError)
    assert isinstance(error.__cause__, LookupError)
    assert "in refused" in error.__cause__.__notes__[0]


def no_worker() -> None:
    os._exit(3)


def test_whoever_asks_is_told_why_the_feed_cannot_go_on(photos: Path, made: Any) -> None:
    answer = made(plan_of(photos, transforms=[refused], initializer=no_worker)).make((0, 0, ALL))
    error = heard(pickle.loads(pickle.dumps(answer.failure)))
    assert isinstance(error, ff.WorkerDied)
    assert error.pid > 0


def test_identities_differ_where_the_batches_would(photos: Path, make_folder: Any) -> None:
    def identity(folder: Path) -> Any:
        return identity_of(plan_of(folder).feed(num_workers=0).job)

    copy = make_folder({file.name: file.read_bytes() for file in photos.iterdir()})
    here = identity(photos)
    assert unlike(identity(copy), here) == ""
    (copy / "000.jpg").unlink()
    assert "sees other samples than this process: 49 there and 50 here" in unlike(identity(copy), here)
    assert "has fastfeed 9, and this process has" in unlike(here._replace(version="fastfeed 9"), here)
