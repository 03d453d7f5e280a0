"""`image_dataset_from_directory` chooses the files, labels and parts that Keras' function of this name chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode

import fastfeed as ff

keras = pytest.importorskip("keras", reason="Keras is not installed; `make test-frameworks` installs it")

from fastfeed.adapters.keras import image_dataset_from_directory  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def folder(make_folder: Callable[[dict[str, bytes]], Path]) -> Path:
    """Files of one grey each, which is their number."""
    names = [*(f"cat/{k}.jpg" for k in range(12)), *(f"bird/{k}.png" for k in range(7)), "cat/deep/x.jpg"]
    grey = [np.full((20, 30, 3), 5 * k, np.uint8) for k in range(len(names))]
    return make_folder({name: encode(pixels, quality=95) for name, pixels in zip(names, grey, strict=True)})


def chosen(data: Any) -> tuple[list[int], Any]:
    """Which files a feed gives, by their grey, and their labels."""
    greys, labels = [], []
    for images, *rest in data.feed:
        greys += [round(float(image.mean()) / 5) for image in images]
        labels += [np.asarray(part).tolist() for part in rest]
    return greys, [label for part in labels for label in part]


def indexed(folder: Path, **options: Any) -> tuple[list[int], list[int], list[str]]:
    """The same by Keras' own listing."""
    from keras.src.utils.dataset_utils import index_directory

    paths, labels, names = index_directory(str(folder), "inferred", formats=(".jpg", ".png"), verbose=False, **options)
    order = {f"cat/{k}.jpg": k for k in range(12)} | {f"bird/{k}.png": 12 + k for k in range(7)}
    order["cat/deep/x.jpg"] = 19
    return [order[str(Path(path).relative_to(folder))] for path in paths], [int(label) for label in labels], names


def test_files_labels_and_names_are_keras_own(folder: Path) -> None:
    for options in ({}, {"class_names": ["cat", "bird"]}):
        greys, labels, names = indexed(folder, shuffle=False, **options)
        data = image_dataset_from_directory(folder, shuffle=False, image_size=(8, 8), num_workers=0, **options)
        assert chosen(data) == (greys, labels)
        assert data.class_names == names


@pytest.mark.parametrize("seed", [0, 7])
def test_training_and_validation_are_the_parts_that_keras_makes(folder: Path, seed: int) -> None:
    greys, labels, _ = indexed(folder, shuffle=True, seed=seed)
    options: dict[str, Any] = {"image_size": (8, 8), "seed": seed, "validation_split": 0.3, "num_workers": 0}
    training, validation = image_dataset_from_directory(folder, subset="both", **options)
    for data, part in ((training, slice(None, -6)), (validation, slice(-6, None))):
        assert sorted(zip(*chosen(data), strict=True)) == sorted(zip(greys[part], labels[part], strict=True))
    alone = image_dataset_from_directory(folder, subset="validation", shuffle=True, **options)
    assert sorted(chosen(alone)[0]) == sorted(greys[-6:])


def test_labels_come_in_the_form_that_was_asked_for(folder: Path) -> None:
    def of(mode: str | None, **options: Any) -> Any:
        batches = image_dataset_from_directory(
            folder, label_mode=mode, shuffle=False, image_size=(8, 9), num_workers=0, **options
        )
        return next(iter(batches.feed))

    images, labels = of("int")
    assert (images.shape, images.dtype, labels.dtype) == ((20, 8, 9, 3), np.float32, np.int32)
    assert of("categorical")[1][[0, -1]].tolist() == [[1, 0], [0, 1]]
    assert of("binary")[1][[0, -1]].tolist() == [[0], [1]]
    assert of(None).shape == (20, 8, 9, 3)
    assert of("int", labels=list(range(20)))[1].tolist() == list(range(20))
    assert of("int", data_format="channels_first")[0].shape == (20, 3, 8, 9)
    assert 94 < images.max() < 96  # levels of 0 to 255


def test_fit_takes_it(folder: Path) -> None:
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = image_dataset_from_directory(folder, image_size=(8, 8), batch_size=5, data_format="channels_last")
    with data:
        assert len(data) == 4
        assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"color_mode": "grayscale"}, "color_mode='grayscale': pass one of 'rgb'"),
        ({"interpolation": "gaussian"}, "interpolation='gaussian': pass one of 'nearest', 'bilinear'"),
        ({"label_mode": "multi"}, "label_mode='multi': pass one of 'int', 'categorical', 'binary'"),
        ({"labels": "auto"}, "labels='auto': pass one of 'inferred'"),
        ({"labels": [1, 2]}, "labels='2 labels': pass one for each of the 20 images"),
        ({"subset": "training"}, "subset='training': pass validation_split with it"),
        ({"validation_split": 0.2}, "subset=None: pass one of 'training', 'validation', 'both'"),
        ({"validation_split": 0.01, "subset": "both"}, "validation_split=0.01: pass another share: of 20 images"),
        ({"validation_split": 0.2, "subset": "both", "seed": None}, "seed=None, validation_split=0.2: pass a seed"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "pass one of the two"),
    ],
)
def test_what_cannot_work_is_refused_in_words(folder: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ff.ConfigError, match=text):
        image_dataset_from_directory(folder, **{"seed": 1, **options})
