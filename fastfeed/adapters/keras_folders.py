"""`keras.utils.image_dataset_from_directory` as a feed: the same arguments, files, labels and division."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastfeed import options
from fastfeed.image.images import images
from fastfeed.image.transforms import Normalize, Resize
from fastfeed.sources.choose import files

_MODES = ("int", "categorical", "binary")
_OURS = {"nearest": "nearest", "bilinear": "bilinear", "bicubic": "bicubic", "area": "box", "lanczos3": "lanczos"}


def image_dataset_from_directory(
    directory: Any,
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "fastfeed",
    verbose: bool = True,
    **feed: Any,
) -> Any:
    """Feed the images of a folder to Keras, as its function of this name does, by worker processes.

    The arguments are Keras', and choose the same files for training and validation.  Pixels are 0 to 255 in float32;
    they are resized with antialiasing, which Keras' are not, so they differ where images are made smaller.

    Parameters
    ----------
    directory, labels, label_mode, class_names, batch_size, image_size, shuffle, seed, validation_split, subset, \
crop_to_aspect_ratio, pad_to_aspect_ratio, data_format
        As for Keras.  With ``shuffle`` each epoch has an order of its own over all images, not within a buffer.
    color_mode : {"rgb"}
        Images of other modes become RGB.
    interpolation : {"bilinear", "nearest", "bicubic", "area", "lanczos3"}
        The filter.
    follow_links, format, verbose
        Taken, and without effect: links are followed, and nothing is printed.
    **feed
        Options of `fastfeed.images` besides, such as ``num_workers`` and ``transforms``.

    Returns
    -------
    KerasFeed, or two of them for ``subset="both"``
        What ``fit`` takes, with ``class_names``.

    Raises
    ------
    ConfigError
        An argument that cannot work, or that this does not take.
    """
    options.one_of("color_mode", color_mode, ("rgb",))
    if interpolation not in _OURS:
        raise options.wrong("interpolation", interpolation, f"pass one of {', '.join(map(repr, _OURS))}")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise options.wrong("crop_to_aspect_ratio", True, "pass one of the two", pad_to_aspect_ratio=True)
    if label_mode is not None:
        options.one_of("label_mode", label_mode, _MODES)
    inferred = isinstance(labels, str)
    if inferred:
        options.one_of("labels", labels, ("inferred",))
    paths, numbers, names = _listed(directory, labels if label_mode is not None else None, class_names, inferred)
    if label_mode == "binary" and names is not None and len(names) != 2:
        raise options.wrong("label_mode", "binary", f"pass 'int' or 'categorical': there are {len(names)} classes")
    order = np.arange(len(paths))
    if shuffle:  # as Keras orders files before it divides them
        order = np.array(_shuffled(len(paths), seed, validation_split))
    parts = _divided(order, validation_split, subset)
    fit = "cover" if crop_to_aspect_ratio else "contain" if pad_to_aspect_ratio else "stretch"
    layout = "NCHW" if (data_format or _data_format()) == "channels_first" else "NHWC"
    resize = Resize(image_size, fit=fit, filter=_OURS[interpolation])
    chain = [resize, *feed.pop("transforms", ()), Normalize(0.0, 1 / 255)]
    made = []
    for part in parts:
        chosen = None if numbers is None else _in_mode(numbers[part], label_mode, names)
        data = images(
            [paths[index] for index in part],
            transforms=chain,
            labels=chosen,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            layout=layout,
            **feed,
        ).to_keras()
        data.class_names = names
        made.append(data)
    return made[0] if len(made) == 1 else tuple(made)


def _listed(
    directory: Any, labels: Any, class_names: Sequence[str] | None, inferred: bool
) -> tuple[list[str], Any, list[str] | None]:
    """The files in Keras' order, their labels, and the names of the classes."""
    if not inferred or labels is None:
        found = files(directory, labels=None)
        numbers = None if labels is None else np.asarray(labels, np.int64)
        if numbers is not None and numbers.shape != (len(found),):
            raise options.wrong("labels", f"{len(numbers)} labels", f"pass one for each of the {len(found)} images")
        return found.paths, numbers, None
    if not Path(directory).is_dir():
        files(directory)  # says what is wrong with it
    if class_names is None:
        class_names = sorted(folder.name for folder in Path(directory).iterdir() if folder.is_dir())
    found = files(directory, classes=class_names)
    assert found.labels is not None
    numbers = found.labels.gather(range(len(found)))
    order = np.argsort(numbers, kind="stable")
    return [found.paths[index] for index in order], numbers[order], list(class_names)


def _data_format() -> str:
    import keras

    return str(keras.config.image_data_format())


def _shuffled(count: int, seed: int | None, validation_split: float | None) -> list[int]:
    if seed is None:
        if validation_split is not None:
            remedy = "pass a seed, or shuffle=False: without, training and validation would have images in common"
            raise options.wrong("seed", None, remedy, validation_split=validation_split)
        return list(range(count))  # each epoch is shuffled in any case
    order = list(range(count))
    np.random.RandomState(seed).shuffle(order)
    return order


def _divided(order: Any, validation_split: float | None, subset: str | None) -> list[Any]:
    if validation_split is None:
        if subset is not None:
            raise options.wrong("subset", subset, "pass validation_split with it, the share of the validation")
        return [order]
    options.one_of("subset", subset, ("training", "validation", "both"))
    share = options.number("validation_split", validation_split, 0.0, 1.0, "pass the validation's share, such as 0.2")
    count = int(share * len(order))
    if not 0 < count < len(order):
        remedy = f"pass another share: of {len(order)} images the validation would have {count}"
        raise options.wrong("validation_split", validation_split, remedy)
    parts = {"training": order[:-count], "validation": order[-count:]}
    return list(parts.values()) if subset == "both" else [parts[str(subset)]]


def _in_mode(numbers: Any, label_mode: str | None, names: list[str] | None) -> Any:
    if label_mode == "categorical":
        classes = len(names) if names is not None else int(numbers.max()) + 1
        return np.eye(classes, dtype=np.float32)[numbers]
    if label_mode == "binary":
        return numbers.astype(np.float32)[:, None]
    return numbers.astype(np.int32)
