"""Folders of images are read as Keras' own functions of these names read them: files, labels, parts and pixels."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drive import encode

import fastfeed as ff

keras = pytest.importorskip("keras", reason="Keras is not installed; `make test-frameworks` installs it")

from examples import shapes, w_keras_folder  # noqa: E402
from fastfeed.adapters.keras import flow_from_directory, image_dataset_from_directory  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def folder(make_folder: Callable[[dict[str, bytes]], Path]) -> Path:
    """Files of one grey each, which is their number."""
    names = [*(f"cat/{k}.jpg" for k in range(12)), *(f"bird/{k}.png" for k in range(7)), "cat/00/x.jpg"]
    names += [".hidden/x.jpg", "cat/x.webp", "x.jpg"]  # of which Keras takes none
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
    order["cat/00/x.jpg"] = 19
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
    assert of(None).shape == (21, 8, 9, 3)
    assert of("int", labels=list(range(21)))[1].tolist() == list(range(21))
    assert of("int", data_format="channels_first")[0].shape == (20, 3, 8, 9)
    assert 94 < images.max() < 96  # levels of 0 to 255
    assert 94 / 255 < of("int", transforms=[ff.Normalize(0.0, 1.0)])[0].max() < 96 / 255


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
        ({"color_mode": "grayscale"}, "color_mode='grayscale': pass 'rgb', which all images become; for grey"),
        ({"interpolation": "gaussian"}, "interpolation='gaussian': pass one of 'nearest', 'bilinear'"),
        ({"label_mode": "multi"}, "label_mode='multi': pass one of 'int', 'categorical', 'binary'"),
        ({"labels": "auto"}, "labels='auto': pass one of 'inferred'"),
        ({"labels": [1, 2]}, "labels='2 labels': pass one for each of the 21 images"),
        (
            {"labels": None, "class_names": ["cat"]},
            r"class_names=\['cat'\]: leave it out: labels are not made of class",
        ),
        ({"class_names": ["dog"]}, r"class_names=\['dog'\]: pass a list of names of sub-folders of .* has bird, cat"),
        ({"class_names": "cat"}, "class_names='cat': pass a list of names of sub-folders"),
        ({"data_format": "rgb"}, "data_format='rgb': pass one of 'channels_last', 'channels_first'"),
        ({"image_size": (0, 8)}, r"image_size=\(0, 8\): pass a whole number of pixels"),
        ({"transforms": ff.RandomHorizontalFlip()}, "transforms=RandomHorizontalFlip.*: pass a list of them"),
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


# ---- flow_from_directory ---------------------------------------------------------------------------------------------


def flow(folder: Path, generator: dict[str, Any], **options: Any) -> Any:
    """What Keras' own class gives."""
    legacy = pytest.importorskip("keras.src.legacy.preprocessing.image", reason="this Keras has no ImageDataGenerator")
    return legacy.ImageDataGenerator(**generator).flow_from_directory(str(folder), **options)


@pytest.fixture
def classes(folder: Path) -> Path:
    """The same without a hidden folder, which Keras' class would take for a class."""
    (folder / ".hidden/x.jpg").unlink()
    (folder / ".hidden").rmdir()
    return folder


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", None])
@pytest.mark.parametrize(
    ("generator", "options"),
    [
        ({}, {}),
        ({"rescale": 1 / 255}, {"target_size": (10, 15), "interpolation": "box"}),
        ({"data_format": "channels_first", "rescale": 2.0}, {"classes": ["cat", "bird"], "target_size": (9, 8)}),
        ({"validation_split": 0.3}, {"subset": "training"}),
        ({"validation_split": 0.3}, {"subset": "validation"}),
        ({"validation_split": 0.3}, {}),
    ],
    ids=str,
)
def test_batches_are_those_of_image_data_generator(
    classes: Path, class_mode: str | None, generator: dict[str, Any], options: dict[str, Any]
) -> None:
    common = {"class_mode": class_mode, "shuffle": False, "batch_size": 5, "target_size": (20, 30), **options}
    theirs = flow(classes, generator, **common)
    data = flow_from_directory(classes, **generator, **common, num_workers=0)
    batches = list(data.feed)
    assert len(data) == len(batches) == len(theirs)
    for ours, expected in zip(batches, (theirs[number] for number in range(len(theirs))), strict=True):
        pairs = [(ours, expected)] if class_mode is None else list(zip(ours, expected, strict=True))
        for array, keras_array in pairs:
            assert (array.shape, array.dtype) == (keras_array.shape, keras_array.dtype)
        np.testing.assert_allclose(pairs[0][0], pairs[0][1], rtol=0, atol=1.5 * (generator.get("rescale") or 1.0))
        assert class_mode is None or pairs[1][0].tolist() == pairs[1][1].tolist()
    for name in ("samples", "n", "num_classes", "class_indices", "filenames", "class_mode", "target_size"):
        assert getattr(data, name) == getattr(theirs, name), name
    assert (data.color_mode, data.image_shape, data.batch_size) == (theirs.color_mode, theirs.image_shape, 5)
    assert data.classes.dtype == theirs.classes.dtype
    assert data.classes.tolist() == theirs.classes.tolist() == data.labels.tolist()
    assert [str(classes / name) for name in data.filenames] == data.filepaths == theirs.filepaths


def test_flips_and_transforms_go_before_the_scale(classes: Path) -> None:
    common = {"target_size": (8, 8), "shuffle": False, "num_workers": 0, "class_mode": None}
    (plain,) = flow_from_directory(classes, **common).feed
    mirrored = flow_from_directory(classes, horizontal_flip=True, vertical_flip=True, rescale=0.5, **common)
    np.testing.assert_allclose(next(iter(mirrored.feed)), plain / 2, atol=1.0)  # each image is of one grey
    dark = flow_from_directory(classes, transforms=[lambda image: image // 2], **common)
    np.testing.assert_allclose(next(iter(dark.feed)), plain // 2, atol=1.0)
    ends = flow_from_directory(classes, transforms=[ff.Normalize(0.5, 1.0)], **common)
    np.testing.assert_allclose(next(iter(ends.feed)), plain / 255 - 0.5, atol=1e-6)


def test_fit_takes_a_flow_shuffled_in_each_epoch(folder: Path) -> None:
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    with flow_from_directory(folder, (8, 8), rescale=1 / 255, batch_size=5, data_format="channels_last") as data:
        steps = data.samples // data.batch_size
        assert len(model.fit(data, epochs=2, steps_per_epoch=steps, verbose=0).history["loss"]) == 2
        assert data.class_indices == {"bird": 0, "cat": 1}
    orders = flow_from_directory(folder, (8, 8), seed=3, num_workers=0, class_mode="sparse")
    epochs = [chosen(orders)[0] for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(20))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"color_mode": "rgba"}, "color_mode='rgba': pass 'rgb'"),
        ({"interpolation": "hamming"}, "interpolation='hamming': pass one of 'nearest', 'bilinear'"),
        ({"class_mode": "input"}, "class_mode='input': pass None, and let the model compare its outputs"),
        ({"class_mode": "int"}, "class_mode='int': pass one of 'categorical', 'binary', 'sparse'"),
        ({"classes": ["dog"]}, r"classes=\['dog'\]: pass a list of names of sub-folders of .*, which has bird, cat"),
        ({"rotation_range": 20}, r"rotation_range=20: leave it out, and pass transforms=\[fastfeed.RandomAffine"),
        ({"zoom_range": 0.2}, r"zoom_range=0.2: leave it out, and pass transforms=\[fastfeed.RandomAffine\(scale"),
        ({"brightness_range": (0.5, 1)}, r"brightness_range=\(0.5, 1\): leave it out, .*fastfeed.ColorJitter"),
        ({"preprocessing_function": abs}, "preprocessing_function=.*: leave it out, and begin the model with it"),
        ({"featurewise_center": True}, "featurewise_center=True: leave it out, .*fastfeed.Normalize"),
        ({"samplewise_center": True}, "samplewise_center=True: leave it out, and begin the model with a layer"),
        ({"save_to_dir": "here"}, "save_to_dir='here': leave it out"),
        ({"subset": "training"}, "subset='training': pass validation_split with it"),
        ({"subset": "both", "validation_split": 0.5}, "subset='both': pass one of 'training', 'validation'"),
        ({"subset": "training", "validation_split": 0.01}, "validation_split=0.01: pass another share: of 20 images"),
        ({"validation_split": 2}, "validation_split=2: pass the validation's share"),
        ({"rescale": -1}, "rescale=-1: pass a factor above 0"),
        ({"rescale": 2, "transforms": [ff.Normalize(0, 1)]}, "rescale=2: leave it out: the Normalize in transforms"),
        ({"target_size": "large"}, "target_size='large': pass a whole number of pixels"),
        ({"horizontal_flip": "yes"}, "horizontal_flip='yes': pass True or False"),
    ],
)
def test_what_a_flow_does_not_take_is_refused_with_what_does_it(
    folder: Path, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ff.ConfigError, match=text):
        flow_from_directory(folder, **options)


def test_what_changes_nothing_is_taken(folder: Path) -> None:
    idle = {"rotation_range": 0, "zoom_range": 0.0, "brightness_range": None, "fill_mode": "nearest", "cval": 0.0}
    data = flow_from_directory(folder, **idle, follow_links=True, save_to_dir=None, save_prefix="", save_format="png")
    assert data.samples == 20


@pytest.mark.parametrize("read", [flow_from_directory, image_dataset_from_directory])
def test_folders_without_classes_or_without_keras_images_are_told(
    make_folder: Callable[[dict[str, bytes]], Path], read: Callable[[Any], Any]
) -> None:
    folder = make_folder({"cat/x.webp": b"", "cat/empty/y.txt": b""})
    with pytest.raises(ff.ConfigError, match=r"Keras takes files named .* none but others, such as .*x\.webp"):
        read(folder)
    with pytest.raises(ff.ConfigError, match=r"no sub-folders, .* the folder above it, with class\w*=\['empty'\]"):
        read(folder / "cat/empty")
    for none in (folder / "dog", folder / "cat/x.webp", [str(folder)], None):
        with pytest.raises(ff.ConfigError, match=r"^directory=.*: pass the path of a folder: there is none"):
            read(none)


def test_the_migration_table_has_every_argument_of_keras_and_names_tests() -> None:
    legacy = pytest.importorskip("keras.src.legacy.preprocessing.image", reason="this Keras has no ImageDataGenerator")
    page = (Path(__file__).parents[2] / "docs/migrating-keras.md").read_text()
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| `") and "`test_" in line]
    named = [set(re.findall(r"`(test_\w+)`", tests)) for *_, tests in rows]
    assert all(named)
    assert set().union(*named) - set(re.findall(r"(?m)^def (test_\w+)", Path(__file__).read_text())) == set()
    generator = legacy.ImageDataGenerator
    arguments = {*inspect.signature(generator).parameters, *inspect.signature(generator.flow_from_directory).parameters}
    assert arguments - {"self"} - set(re.findall(r"`(\w+)", " ".join(first for first, *_ in rows))) == set()


def test_the_example_learns(tmp_path: Path) -> None:
    shapes.draw(tmp_path, 100)
    history = w_keras_folder.train(tmp_path)
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["val_accuracy"][-1] > 0.8
