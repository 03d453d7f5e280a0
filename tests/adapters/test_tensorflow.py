"""TensorFlow's datasets from a feed: whose memory tensors are, what is known of them, and loops that look or leave."""

from __future__ import annotations

import collections
import dataclasses
import gc
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from drive import encode, picture

import fastfeed as ff
from fastfeed import _native

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed; `make test-frameworks` installs it")

from examples import o_tensorflow, shapes  # noqa: E402
from fastfeed.adapters.tensorflow import tensors_of  # noqa: E402

list(tf.data.Dataset.range(2).map(lambda x: x))  # what TensorFlow opens then stays open, and is no test's doing

FEEDS: dict[str, Callable[..., ff.Feed]] = {
    "rows": lambda **options: ff.arrays(np.arange(84.0).reshape(42, 2), np.arange(42), batch_size=8, **options),
    "payloads": lambda **options: ff.map(float, range(42), batch_size=8, **options),
}


def flat(batches: Any) -> list[list[Any]]:
    return [[np.asarray(leaf).tolist() for leaf in tf.nest.flatten(batch)] for batch in batches]


def expected(made: Callable[..., ff.Feed], epochs: int = 1) -> list[list[Any]]:
    with made(num_workers=0) as feed:
        return flat(itertools.chain.from_iterable(feed for _ in range(epochs)))


def address(tensor: Any) -> int:
    return np.frombuffer(memoryview(tensor), np.uint8).ctypes.data


# ---- tensors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_a_dataset_has_the_feeds_batches_epoch_after_epoch(kind: str, workers: int) -> None:
    with FEEDS[kind](num_workers=workers) as feed:
        dataset = feed.to_tf()
        assert flat(dataset) + flat(dataset) == expected(FEEDS[kind], epochs=2)


@pytest.mark.parametrize("rows", [1, 5, 16])
def test_no_column_of_images_labels_or_index_is_copied(rows: int) -> None:
    masks = [np.full((3, 3), number, np.uint8) for number in range(32)]
    labels = {"class": list(range(32)), "mask": masks}
    options = {"labels": labels, "batch_size": rows, "with_index": True, "num_workers": 2}
    with ff.images([encode(picture(0))] * 32, 16, **options) as feed:
        dataset = feed.to_tf()
        given: list[list[int]] = []
        assemble = feed.job.assemble

        def noted(arrays: Any, indices: Any) -> Any:
            batch = assemble(arrays, indices)
            given.append([leaf.ctypes.data for leaf in tf.nest.flatten(batch)])
            return batch

        feed.job.assemble = noted
        for number, batch in enumerate(dataset):
            memory = feed.shared_memory()
            start = _native.address(memory)
            assert [address(leaf) for leaf in tf.nest.flatten(batch)] == given[number]
            assert start <= address(batch[0]) < start + memory.nbytes
            assert [int(each) for each in (batch[1]["mask"][0, 0, 0], batch[1]["class"][0], batch[2][0])] == [
                number * rows
            ] * 3
            del memory, batch
        assert feed.stats().copies == 0


def test_a_loop_has_slots_for_what_tensorflow_lets_go_of_late() -> None:
    with ff.arrays(np.arange(4000).reshape(1000, 4), batch_size=4, num_workers=2, prefetch=2) as feed:
        before = None
        for batch in feed.to_tf():
            assert before is None or batch[0, 0] == before[0, 0] + 16
            before = batch
        assert feed.stats().copies == 0


def test_a_tensor_that_is_kept_is_never_overwritten() -> None:
    data = np.arange(400.0).reshape(200, 2)
    with ff.arrays(data, batch_size=8, num_workers=2) as feed:
        kept = list(feed.to_tf())
    assert tf.concat(kept, 0).numpy().tolist() == data.tolist()


# ---- what is known beforehand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"batch_size": 8}, None),
        ({"batch_size": 8, "drop_last": True}, 8),
        ({"batch_size": 6}, 6),
        ({"batch_size": 6, "on_error": "skip"}, None),
    ],
)
def test_shapes_are_static_except_where_a_batch_may_be_short(options: dict[str, Any], rows: int | None) -> None:
    with ff.images([encode(picture(0))] * 18, (16, 12), labels=list("ab" * 9), num_workers=1, **options) as feed:
        images, labels = feed.to_tf().element_spec
        assert images == tf.TensorSpec((rows, 16, 12, 3), tf.float32)
        assert labels == tf.TensorSpec((rows,), tf.string)
        assert feed.stats().batches == 0


Pair = collections.namedtuple("Pair", "image label")


@dataclasses.dataclass
class Views:
    first: Any
    second: Any


def views(number: int) -> dict[str, Any]:
    return {
        "pair": Pair(np.full((2, 3), number, np.uint8), np.int16(number)),
        "views": Views(np.full(2, number, ">f4"), f"name {number}"),
        "numbers": (number, number / 2, number > 1, b"bytes"),
    }


def test_structures_stay_text_becomes_text_and_a_dataclass_a_dict() -> None:
    with ff.map(views, range(7), batch_size=3, num_workers=0) as feed:
        dataset = feed.to_tf()
        spec = dataset.element_spec
        assert type(spec["pair"]) is Pair
        assert spec["pair"].image == tf.TensorSpec((None, 2, 3), tf.uint8)
        assert spec["views"] == {
            "first": tf.TensorSpec((None, 2), tf.float32),
            "second": tf.TensorSpec((None,), tf.string),
        }
        assert [each.dtype for each in spec["numbers"]] == [tf.int64, tf.float64, tf.bool, tf.string]
        assert dataset.cardinality() == 3
        last = list(dataset)[-1]
    assert last["pair"].image.numpy().tolist() == [[[6] * 3] * 2]
    assert last["pair"].label.numpy().tolist() == [6]
    assert last["views"]["first"].numpy().tolist() == [[6, 6]]
    assert last["views"]["second"].numpy().tolist() == [b"name 6"]
    assert [each.numpy().tolist() for each in last["numbers"]] == [[6], [3.0], [True], [b"bytes"]]


def test_single_items_have_no_batch_axis() -> None:
    with ff.map(lambda number: np.full((4, 5), number), range(5), num_workers=1) as feed:
        dataset = feed.to_tf()
        assert dataset.element_spec == tf.TensorSpec((4, 5), tf.int64)
        assert [batch.shape.as_list() for batch in dataset.batch(2)] == [[2, 4, 5], [2, 4, 5], [1, 4, 5]]


def test_an_axis_that_varies_between_the_first_two_batches_is_not_static() -> None:
    with ff.map(lambda number: [1] * (number + 1), range(7), batch_size=2, collate=ff.pad(), num_workers=1) as feed:
        dataset = feed.to_tf()
        assert dataset.element_spec.shape.as_list() == [None, None]
        assert [batch.shape.as_list() for batch in dataset] == [[2, 2], [2, 4], [2, 6], [1, 7]]


def test_an_axis_that_varies_later_is_refused_with_the_remedy_which_helps() -> None:
    with ff.map(lambda number: np.ones(max(2, number)), range(5), num_workers=1) as feed:
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"float64 \(3,\) .* float64 \(2,\): pass to_tf\(output"
        ):
            list(feed.to_tf())
        dataset = feed.to_tf(output_signature=tf.TensorSpec([None], tf.float64))
        assert [len(batch) for batch in dataset] == [2, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            (np.ones(2), [np.ones(2), np.ones(3)]),
            r"the batch\[1\] is a list of ndarray of different lengths, .*ff.pad",
        ),
        (
            {"when": np.array(["2026-01-01"], "datetime64[D]")},
            r"the batch\['when'\] is an array of datetime64\[D\], which",
        ),
        ([None, "a"], r"the batch is a list of NoneType, str, which no tensor holds"),
        ({"a": (None,)}, r"the batch\['a'\]\[0\] is of type NoneType, which"),
        (np.array([{}], object), "the batch is an array of object"),
    ],
)
def test_what_no_tensor_holds_is_refused_by_its_place(batch: Any, message: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        tensors_of(batch)


def test_labels_that_no_tensor_holds_are_refused_before_any_work() -> None:
    feed = ff.images([encode(picture(0))] * 2, 8, labels=[[1, 2], [3]])
    with pytest.raises(ff.ConfigError, match=r"the batch\[1\] is a list of list of different lengths"):
        feed.to_tf()


def test_text_of_any_length_and_alphabet_arrives_whole() -> None:
    texts = ["", "é", "a\0", "longer than the others", "a"]
    with ff.images([encode(picture(0))] * 5, 8, labels=texts, batch_size=2, num_workers=1) as feed:
        assert [text for _, labels in feed.to_tf() for text in labels.numpy()] == [text.encode() for text in texts]


# ---- epochs ----------------------------------------------------------------------------------------------------------


def test_the_length_is_known_where_no_sample_can_be_skipped() -> None:
    with FEEDS["rows"]() as feed:
        assert len(feed.to_tf()) == 6
    with ff.images([encode(picture(0))] * 4, 8, batch_size=2, on_error="skip") as feed:
        assert feed.to_tf().cardinality() == tf.data.UNKNOWN_CARDINALITY


@pytest.mark.parametrize("workers", [0, 2])
def test_a_state_goes_on_where_the_loop_stood(workers: int) -> None:
    whole = expected(FEEDS["rows"], epochs=2)
    with FEEDS["rows"](num_workers=workers) as feed:
        batches = iter(feed.to_tf())
        seen = flat(next(batches) for _ in range(4))
        state = feed.state_dict()
        del batches
    with FEEDS["rows"](num_workers=workers) as feed:
        feed.load_state_dict(state)
        dataset = feed.to_tf()
        assert dataset.cardinality() == tf.data.UNKNOWN_CARDINALITY
        assert seen + flat(dataset) + flat(dataset) == whole


def test_a_state_that_is_loaded_too_late_for_the_length_is_said() -> None:
    with FEEDS["rows"](num_workers=0) as feed:
        next(itertools.islice(feed, 3, None))
        state = feed.state_dict()
        dataset = feed.to_tf()
        feed.load_state_dict(state)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"has had 2 of its 6 .* load_state_dict before to_tf"):
            list(dataset)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_looks_and_iterators_that_are_never_stepped_change_nothing(kind: str, workers: int) -> None:
    with FEEDS[kind](num_workers=workers) as feed:
        dataset = feed.to_tf()
        for _ in range(10):
            iter(dataset)
        for _ in range(3):
            assert flat(dataset.take(1)) == flat(dataset.take(2))[:1] == expected(FEEDS[kind])[:1]
        assert flat(dataset) + flat(dataset) == expected(FEEDS[kind], epochs=2)


def test_a_loop_that_is_left_in_the_middle_begins_the_next_epoch() -> None:
    options = {"batch_size": 8, "shuffle": True, "num_workers": 2}
    with ff.arrays(np.arange(40), **options) as feed:
        epochs = [flat(feed) for _ in range(3)]
    with ff.arrays(np.arange(40), **options) as feed:
        dataset = feed.to_tf()
        assert flat(dataset.take(3)) == epochs[0][:3]
        assert flat(dataset.prefetch(2)) == epochs[1]
        assert flat(dataset) == epochs[2]


def test_a_newer_iteration_ends_an_older_one_in_words() -> None:
    with FEEDS["rows"](num_workers=2) as feed:
        dataset = feed.to_tf()
        older, newer = iter(dataset), iter(dataset)
        for _ in range(3):
            next(older)
        next(newer)
        with pytest.raises(tf.errors.UnknownError, match=r"FeedClosed: .* newer iteration"):
            next(older)
        assert len(list(newer)) == 5


def test_a_dataset_that_is_dropped_keeps_no_slot_and_no_feed() -> None:
    with FEEDS["rows"](num_workers=2) as feed:
        first = next(iter(feed.to_tf().prefetch(1)))
        assert flat([first]) == expected(FEEDS["rows"])[:1]
        del first
        gc.collect()
        assert flat(feed.to_tf()) == expected(FEEDS["rows"])
        assert feed.stats().copies == 0


def test_a_dataset_that_is_dropped_lets_a_feed_go_that_nobody_has_closed() -> None:
    dataset = FEEDS["rows"](num_workers=2).to_tf().map(lambda values, labels: (labels, values)).prefetch(1)
    assert [labels for labels, _ in flat(dataset)] == [labels for _, labels in expected(FEEDS["rows"])]
    dataset.take(1)
    children = psutil.Process().children()
    assert len(children) == 2
    del dataset
    gc.collect()
    assert psutil.wait_procs(children, timeout=10)[1] == []


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_samples_error_is_in_tensorflows_and_in_the_feeds_errors(workers: int) -> None:
    encoded = [encode(picture(0))] * 6 + [b"no image"] + [encode(picture(0))] * 9
    with ff.images(encoded, 8, batch_size=4, num_workers=workers) as feed:
        batches = iter(feed.to_tf())
        next(batches)
        with pytest.raises(tf.errors.UnknownError, match=r"SampleError: sample 6 \(index 6\): .* on_error="):
            next(batches)
        (error,) = feed.errors
        assert error.index == 6


def test_a_closed_feed_says_so() -> None:
    feed = FEEDS["rows"](num_workers=1)
    dataset = feed.to_tf()
    feed.close()
    with pytest.raises(tf.errors.UnknownError, match="FeedClosed"):
        list(dataset)


def test_a_feed_of_nothing_needs_a_signature() -> None:
    with ff.map(abs, [], num_workers=1) as feed:
        with pytest.raises(ff.ConfigError, match=r"^output_signature=None: pass one: this feed yields nothing"):
            feed.to_tf()
        assert list(feed.to_tf(tf.TensorSpec((), tf.int64))) == []


# ---- the program of the page -----------------------------------------------------------------------------------------


def test_the_example_learns(tmp_path: Path) -> None:
    shapes.draw(tmp_path, 100)
    losses = o_tensorflow.train(tmp_path)
    assert losses[-1] < losses[0] / 2
