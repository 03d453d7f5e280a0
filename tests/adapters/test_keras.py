"""Feeds in Keras' fit, evaluate and predict, on the backend that KERAS_BACKEND names: which batches arrive when."""

from __future__ import annotations

import gc
import importlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode, picture

import fastfeed as ff

keras = pytest.importorskip("keras", reason="Keras is not installed; `make test-frameworks` installs it")

from examples import n_keras, shapes  # noqa: E402
from fastfeed.adapters import keras as adapter  # noqa: E402

# Keras and the backends use each other, and NumPy, in ways that these no longer like.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BACKEND = keras.backend.backend()
X = np.arange(42, dtype=np.float32).reshape(42, 1)
FEEDS: dict[str, Callable[..., ff.Feed]] = {
    "rows": lambda **options: ff.arrays(X, X[:, 0], batch_size=8, **options),
    "payloads": lambda **options: ff.map(lambda x: (x, x[0]), X, batch_size=8, **options),
}


class Seen(keras.losses.Loss):  # type: ignore[misc]
    """A loss that is the mean of the targets, as long as model and targets are of the same samples."""

    def call(self, targets: Any, outputs: Any) -> Any:
        return keras.ops.reshape(targets, (-1,)) + 1000 * keras.ops.abs(
            keras.ops.reshape(targets, (-1,)) - keras.ops.reshape(outputs, (-1,))
        )


class Losses(keras.callbacks.Callback):  # type: ignore[misc]
    """The mean target of each batch, by epoch, from the running means that Keras gives."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[list[float]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append([])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.epochs[-1].append(round(float(logs["loss"]), 3))


@keras.saving.register_keras_serializable("fastfeed")
class Same(keras.layers.Layer):  # type: ignore[misc]
    """Outputs that are the inputs, with a weight that has no part in them."""

    def build(self, shape: Any) -> None:
        self.unused = self.add_weight(shape=(1,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        return inputs + 0 * self.unused


def model(**options: Any) -> Any:
    made = keras.Sequential([Same()])
    made.compile(optimizer=keras.optimizers.SGD(0.0), loss=Seen(), **options)
    return made


def losses(data: Any, **options: Any) -> list[list[float]]:
    """Run ``fit``: Keras' running mean of the targets after each batch, by epoch."""
    seen = Losses()
    model().fit(data, verbose=0, callbacks=[seen], shuffle=False, **options)
    return seen.epochs


def running(epoch: list[np.ndarray]) -> list[float]:
    """What `losses` gives for these targets."""
    return [round(float(np.concatenate(epoch[: number + 1]).mean()), 3) for number in range(len(epoch))]


def targets(made: Callable[..., ff.Feed], epochs: int, **options: Any) -> list[list[np.ndarray]]:
    with made(num_workers=0, **options) as feed:
        return [[batch[1] for batch in feed] for _ in range(epochs)]


def close(ours: list[list[float]], theirs: list[list[float]]) -> bool:
    return [len(epoch) for epoch in ours] == [len(epoch) for epoch in theirs] and np.allclose(
        list(itertools.chain(*ours)), list(itertools.chain(*theirs)), rtol=1e-4
    )


@pytest.fixture(scope="module", autouse=True)
def backend_is_warm() -> None:
    """Let the backend open what it keeps open, and is no test's doing."""
    model().fit(X, X[:, 0], verbose=0)


@pytest.fixture(params=["DataAdapter", "PyDataset"])
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both faces, whichever this version of Keras would be given."""
    if request.param == "PyDataset":
        monkeypatch.setattr(adapter, "_DataAdapter", None)
    yield str(request.param)
    for left in gc.get_objects():  # TensorFlow keeps every function that Keras makes a dataset of, and what that keeps
        if type(left) is adapter.KerasDataset:
            vars(left).clear()


# ---- epochs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", FEEDS)
def test_fit_sees_every_batch_of_every_epoch(kind: str, workers: int, face: str) -> None:
    with FEEDS[kind](num_workers=workers) as feed:
        assert close(losses(feed.to_keras(), epochs=3), [running(epoch) for epoch in targets(FEEDS[kind], 3)])
        assert feed.stats().copies == 0


def test_each_epoch_of_fit_is_the_feeds_next_one_and_set_epoch_goes_with_initial_epoch(face: str) -> None:
    epochs = [running(epoch) for epoch in targets(FEEDS["rows"], 6, shuffle=True)]
    assert len({str(epoch) for epoch in epochs}) == 6
    with FEEDS["rows"](shuffle=True, num_workers=2) as feed, feed.to_keras() as data:
        assert close(losses(data, epochs=2), epochs[:2])
        assert close(losses(data, epochs=1), epochs[2:3])
        data.set_epoch(4)
        assert close(losses(data, initial_epoch=4, epochs=6), epochs[4:6])


def test_the_wait_for_batches_is_in_the_logs_of_each_epoch() -> None:
    def slow(x: np.ndarray) -> tuple[np.ndarray, np.float32]:
        time.sleep(0.01)
        return x, x[0]

    with ff.map(slow, X[:16], batch_size=8, num_workers=0) as feed:
        data = feed.to_keras()
        history = model().fit(data, verbose=0, epochs=2, callbacks=[adapter.DataWait(data)]).history
        assert len(history["data_wait_ms"]) == 2
        # Of the first epoch, Keras may have looked at all batches before it began.
        assert history["data_wait_ms"][0] >= 0
        assert 80 < history["data_wait_ms"][1] < 60_000


def test_steps_per_epoch_cuts_the_feeds_epochs_and_goes_on_behind_the_cut(face: str) -> None:
    whole = targets(FEEDS["rows"], 1)[0]
    with FEEDS["rows"](num_workers=1) as feed:
        seen = losses(feed.to_keras(), epochs=3, steps_per_epoch=2)
    assert close(seen, [running(whole[first : first + 2]) for first in (0, 2, 4)])


def test_validation_data_is_another_feed_seen_whole_each_time(face: str) -> None:
    with FEEDS["rows"](num_workers=1) as feed, FEEDS["payloads"](num_workers=1) as other:
        history = (
            model().fit(feed.to_keras(), validation_data=other.to_keras(), epochs=3, verbose=0, shuffle=False).history
        )
    np.testing.assert_allclose(history["val_loss"], [X.mean()] * 3, rtol=1e-5)


def test_evaluate_and_predict_see_every_sample_once_and_in_order(face: str) -> None:
    with FEEDS["rows"](num_workers=2) as feed:
        data = feed.to_keras()
        assert model().evaluate(data, verbose=0) == pytest.approx(X.mean(), rel=1e-5)
        assert model().predict(data, verbose=0).tolist() == X.tolist()
    with ff.map(lambda x: x, X, batch_size=8, num_workers=1) as feed:
        assert model().predict(feed.to_keras(), verbose=0).tolist() == X.tolist()


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # so Keras says at the end of what has no length
def test_an_iterable_that_can_be_gone_through_once_is_seen_whole() -> None:
    with ff.map(lambda x: (x, x[0]), iter(X), batch_size=8, num_workers=1) as feed:
        assert close(losses(feed.to_keras()), [running(targets(FEEDS["rows"], 1)[0])])


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_feed_that_does_not_know_its_length_is_run_to_its_end_and_a_second_time() -> None:
    def pairs() -> Iterator[Any]:
        for first in range(0, 42, 8):
            yield X[first : first + 8], X[first : first + 8, 0]

    whole = running(targets(FEEDS["rows"], 1)[0])
    with ff.parallel(pairs)() as feed:
        data = feed.to_keras()
        assert data.num_batches is None
        assert close(losses(data, epochs=2), [whole, whole])


def state_before(epoch: int) -> dict[str, Any]:
    with FEEDS["rows"](num_workers=0) as feed:
        feed.set_epoch(epoch)
        return feed.state_dict()


def test_a_state_in_the_middle_of_an_epoch_goes_on_there() -> None:
    whole = targets(FEEDS["rows"], 2)
    with FEEDS["rows"](num_workers=0) as feed:
        next(itertools.islice(feed, 3, None))
        state = feed.state_dict()
    with FEEDS["rows"](num_workers=1) as feed:
        data = feed.to_keras()
        data.load_state_dict(state)
        data.set_epoch(0)  # as a program that counts epochs says after loading, too
        with pytest.warns(UserWarning, match="ran out of data"):
            seen = losses(data, epochs=2)
        assert feed.state_dict() == state_before(2)
    assert close(seen, [running(whole[0][4:]), running(whole[1])])


def test_the_feeds_state_after_an_epoch_is_the_beginning_of_the_next() -> None:
    with FEEDS["rows"](num_workers=2) as feed:
        losses(feed.to_keras(), epochs=2)
        assert feed.state_dict() == state_before(2)


# ---- what Keras is told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 8}, (6, 8, True, 2)),
        ({"batch_size": 7}, (6, 7, False, None)),
        ({"batch_size": 8, "drop_last": True}, (5, 8, False, None)),
        ({"batch_size": 50}, (1, 42, False, None)),
    ],
)
def test_batches_are_told_by_number_and_size(options: dict[str, Any], told: tuple[Any, ...]) -> None:
    data = ff.arrays(X, **options).to_keras()
    assert (data.num_batches, data.batch_size, data.has_partial_batch, data.partial_batch_size) == told
    assert len(data) == told[0]


def test_of_a_function_only_the_rows_are_known() -> None:
    data = FEEDS["payloads"]().to_keras()
    assert (data.num_batches, data.batch_size, data.has_partial_batch, data.partial_batch_size) == (6, 8, None, None)


def test_the_hooks_of_an_epoch_may_be_called_again() -> None:
    with FEEDS["rows"](num_workers=1) as feed:
        data = feed.to_keras()
        for hook in (data.on_epoch_begin, data.on_epoch_end) * 3:
            hook()
        assert feed.stats().batches == 0


@pytest.mark.skipif(BACKEND != "torch", reason="of the torch backend")
def test_torch_gets_tensors_over_the_ring() -> None:
    with ff.arrays(X, num_workers=1) as feed:
        for tensor in feed.to_keras().get_torch_dataloader():
            memory = np.frombuffer(feed.shared_memory(), np.uint8)
            assert 0 <= tensor.data_ptr() - memory.ctypes.data < memory.nbytes
            del tensor, memory


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of the TensorFlow backend")
def test_tensorflow_gets_a_dataset_with_static_shapes() -> None:
    import tensorflow as tf

    with ff.arrays(X, X[:, 0], batch_size=7, num_workers=1) as feed:
        spec = feed.to_keras(class_weight={0: 2.0}).get_tf_dataset().element_spec
    assert [each.shape.as_list() for each in spec] == [[7, 1], [7], [7]]
    assert isinstance(spec[0], tf.TensorSpec)


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([0, 1, 2, 1]), [5, 0.5, 1, 0.5]),
        (np.array([[0], [1], [2], [0]], np.float32), [5, 0.5, 1, 5]),
        (np.array([[1, 0, 0], [0, 0.9, 0.1], [0, 0, 1]]), [5, 0.5, 1]),
        (np.zeros(0), []),
    ],
)
def test_class_weights_are_those_of_the_targets_classes(given: np.ndarray, expected: list[float]) -> None:
    made = adapter.class_weights(given, {0: 5, 1: 0.5, 7: 3.0})
    assert made.dtype == np.float32
    assert made.tolist() == expected
    if len(given):
        ours = keras.src.trainers.data_adapters.data_adapter_utils.class_weight_to_sample_weights(given, {0: 5, 1: 0.5})
        assert made.tolist() == ours.tolist()


@pytest.mark.parametrize("how", ["class_weight", "sample_weight"])
def test_weights_count_in_the_loss(how: str, face: str) -> None:
    weights = np.where(X[:, 0] == 3, 20.0, 1.0).astype(np.float32)
    if how == "class_weight":
        feed = ff.arrays(X, X[:, 0], batch_size=8, num_workers=1)
        data = feed.to_keras(class_weight={3: 20.0})
    else:
        feed = ff.arrays(X, X[:, 0], weights, batch_size=8, num_workers=1)
        data = feed.to_keras()
    with feed:
        ours = model().evaluate(data, verbose=0)
    theirs = model().evaluate(X, X[:, 0], sample_weight=weights, batch_size=8, verbose=0)
    assert ours == pytest.approx(theirs, rel=1e-5)


# ---- mistakes --------------------------------------------------------------------------------------------------------


def test_a_bare_feed_leads_to_to_keras() -> None:
    with FEEDS["rows"]() as feed, pytest.raises(ValueError, match=r"Unrecognized data type: x=<.* feed\.to_keras\(\)"):
        model().fit(feed)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: ff.arrays(X, X, with_index=True), r"third part of a batch is int64, .* pass with_index=False"),
        (lambda: ff.arrays(X, X, X, X), r"a batch has 4 parts, and Keras takes inputs, targets and sample weights"),
    ],
)
def test_batches_that_keras_would_misread_are_refused_at_once(made: Any, message: str, face: str) -> None:
    with pytest.raises(ff.ConfigError, match=message):
        made().to_keras()


@pytest.mark.parametrize("weights", [[1, 2], {"cat": 2}, {0: "2"}, 3])
def test_class_weights_that_are_none_are_refused(weights: Any) -> None:
    with pytest.raises(ff.ConfigError, match=r"^class_weight=.*: pass a dict of class numbers to weights"):
        FEEDS["rows"]().to_keras(class_weight=weights)


@pytest.mark.parametrize("made", [lambda: ff.arrays(X), lambda: ff.arrays(X, X, X)])
def test_class_weights_need_one_array_of_targets(made: Any) -> None:
    with pytest.raises(ff.ConfigError, match=r"^class_weight=\{0: 2\}: pass None: batches are not \(inputs, targets\)"):
        made().to_keras(class_weight={0: 2})


def test_a_dataset_refuses_an_order_that_is_not_the_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_DataAdapter", None)
    with FEEDS["rows"](num_workers=0) as feed:
        data = feed.to_keras()
        with pytest.raises(ff.ConfigError, match=r"^shuffle=True: pass fit\(shuffle=False\)"):
            data[3]


def test_a_bad_sample_is_told_by_keras_and_kept_by_the_feed() -> None:
    encoded = [encode(picture(0))] * 6 + [b"no image"] + [encode(picture(0))] * 9
    with ff.images(encoded, 8, labels=[0.0] * 16, batch_size=4, num_workers=1) as feed:
        with pytest.raises(Exception, match=r"sample 6 \(index 6\): .* on_error="):
            keras_model_of_images().fit(feed.to_keras(), verbose=0)
        assert [error.index for error in feed.errors] == [6]


def keras_model_of_images() -> Any:
    made = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    made.compile(loss="mse")
    return made


def test_versions_that_pass_no_adapter_through_get_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(FEEDS["rows"]().to_keras(), adapter.KerasFeed)
    monkeypatch.delattr("keras.src.trainers.data_adapters.data_adapter.DataAdapter")
    try:
        hidden = importlib.reload(adapter)
        assert isinstance(hidden.keras_feed(FEEDS["rows"]()), hidden.KerasDataset)
    finally:
        monkeypatch.undo()
        importlib.reload(adapter)


# ---- the program of the page -----------------------------------------------------------------------------------------


def test_the_example_learns(tmp_path: Path) -> None:
    shapes.draw(tmp_path, 100)
    history = n_keras.train(tmp_path)
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["val_accuracy"][-1] > 0.8
