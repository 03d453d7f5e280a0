"""Keras' functions that feed a folder of images: the same arguments, files, labels and division."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastfeed import options
from fastfeed.errors import ConfigError
from fastfeed.image.images import images
from fastfeed.image.transforms import Normalize, RandomHorizontalFlip, RandomVerticalFlip, Resize
from fastfeed.sources.choose import files
from fastfeed.sources.listing import class_folders, is_folder

# What either function takes for an image, by the end of its name.
_DATASET_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_FLOW_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff")
_MODES = ("int", "categorical", "binary")
# Keras' names of filters, and ours.
_DATASET_FILTERS = {
    "nearest": "nearest", "bilinear": "bilinear", "bicubic": "bicubic", "area": "box", "lanczos3": "lanczos"
}  # fmt: skip
_FLOW_FILTERS = {name: name for name in ("nearest", "bilinear", "bicubic", "box", "lanczos")}

_IN_TRANSFORMS = "leave it out, and pass transforms="
_IN_MODEL = "leave it out, and begin the model with"
# Arguments of ImageDataGenerator that change pixels and are not taken, with what does it instead.
_ELSEWHERE = {
    "rotation_range": f"{_IN_TRANSFORMS}[fastfeed.RandomAffine(degrees=...)]",
    "width_shift_range": f"{_IN_TRANSFORMS}[fastfeed.RandomAffine(translate=(width, height))], in parts of the sides",
    "height_shift_range": f"{_IN_TRANSFORMS}[fastfeed.RandomAffine(translate=(width, height))], in parts of the sides",
    "shear_range": f"{_IN_TRANSFORMS}[fastfeed.RandomAffine(shear=...)], in degrees",
    "zoom_range": f"{_IN_TRANSFORMS}[fastfeed.RandomAffine(scale=(low, high))], where above 1 the content grows",
    "brightness_range": f"{_IN_TRANSFORMS}[fastfeed.ColorJitter(brightness=(low, high))]",
    "channel_shift_range": f"{_IN_TRANSFORMS}[fastfeed.ColorJitter(...)], or a function of one uint8 image",
    "preprocessing_function": f"{_IN_MODEL} it, or pass it as transforms=[...] if it takes and returns uint8 images",
    "featurewise_center": f"{_IN_TRANSFORMS}[fastfeed.Normalize(mean, std)], in the scale where white is 1",
    "featurewise_std_normalization": f"{_IN_TRANSFORMS}[fastfeed.Normalize(mean, std)], in the scale where white is 1",
    "samplewise_center": f"{_IN_MODEL} a layer that subtracts keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)",
    "samplewise_std_normalization": f"{_IN_MODEL} LayerNormalization(axis=(1, 2, 3), center=False, scale=False)",
    "zca_whitening": f"{_IN_MODEL} a layer that whitens",
    "save_to_dir": "leave it out, and save what a loop over it gives",
}
# Those that say how the others do it, and nothing without them.
_IDLE = ("fill_mode", "cval", "interpolation_order", "zca_epsilon", "save_prefix", "save_format")


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
        Options of `fastfeed.images` besides, such as ``num_workers`` and ``transforms``; a `Normalize` at their end
        takes the place of 0 to 255.

    Returns
    -------
    KerasFeed, or two of them for ``subset="both"``
        What ``fit`` takes, with ``class_names``.

    Raises
    ------
    ConfigError
        An argument that cannot work, or that this does not take.
    """
    _check_color_mode(color_mode)
    options.one_of("interpolation", interpolation, _DATASET_FILTERS)
    size = options.size("image_size", image_size)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise options.wrong("crop_to_aspect_ratio", True, "pass one of the two", pad_to_aspect_ratio=True)
    if label_mode is not None:
        options.one_of("label_mode", label_mode, _MODES)
    if isinstance(labels, str):
        options.one_of("labels", labels, ("inferred",))
    numbers: Any = None
    names: list[str] | None = None
    if isinstance(labels, str) and label_mode is not None:
        paths, numbers, names = _classified(directory, "class_names", class_names, _DATASET_SUFFIXES)
    else:
        if class_names is not None:
            raise options.wrong("class_names", class_names, "leave it out: labels are not made of class folders")
        paths = _listed(directory)
        if labels is not None and label_mode is not None:
            numbers = np.asarray(labels, np.int64)
            if numbers.shape != (len(paths),):
                raise options.wrong("labels", f"{len(labels)} labels", f"pass one for each of the {len(paths)} images")
    if label_mode == "binary" and names is not None and len(names) != 2:
        raise options.wrong("label_mode", "binary", f"pass 'int' or 'categorical': there are {len(names)} classes")
    order = np.arange(len(paths))
    if shuffle:  # as Keras orders files before it divides them
        order = np.array(_shuffled(len(paths), seed, validation_split))
    parts = _divided(order, validation_split, subset)
    fit = "cover" if crop_to_aspect_ratio else "contain" if pad_to_aspect_ratio else "stretch"
    chain = _chain(Resize(size, fit, _DATASET_FILTERS[interpolation]), feed.pop("transforms", None))
    layout = _layout(data_format)
    common: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed, "layout": layout}
    made = []
    for part in parts:
        chosen = None if numbers is None else _in_mode(numbers[part], label_mode, names)
        data = images([paths[index] for index in part], labels=chosen, transforms=chain, **common, **feed).to_keras()
        data.class_names = names
        made.append(data)
    return made[0] if len(made) == 1 else tuple(made)


def flow_from_directory(
    directory: Any,
    target_size: tuple[int, int] = (256, 256),
    color_mode: str = "rgb",
    classes: Sequence[str] | None = None,
    class_mode: str | None = "categorical",
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int | None = None,
    *,
    follow_links: bool = False,
    subset: str | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
    rescale: float | None = None,
    horizontal_flip: bool = False,
    vertical_flip: bool = False,
    validation_split: float = 0.0,
    data_format: str | None = None,
    **feed: Any,
) -> Any:
    """Feed the images of class folders to Keras as `ImageDataGenerator` does, by worker processes.

    The arguments are those of ``ImageDataGenerator`` and of its method of this name, and choose the same files, labels
    and parts.  Pixels are 0 to 255 times `rescale`, in float32.

    Parameters
    ----------
    directory, target_size, classes, batch_size, subset, rescale, horizontal_flip, vertical_flip, validation_split, \
data_format
        As for Keras: of each class the first files are the validation, and `rescale` is a factor above 0.
    color_mode : {"rgb"}
        Images of other modes become RGB.
    class_mode : {"categorical", "binary", "sparse"} or None
        Rows of 0 and 1 in float32, one for each class; numbers of classes in float32; or images alone.
    shuffle, seed
        Each epoch has an order of its own, which is not that of Keras for the same seed; without `shuffle` it is that
        of ``filenames``.
    interpolation : {"nearest", "bilinear", "bicubic", "box", "lanczos"}
        The filter; Pillow's, as for Keras, but for "hamming".
    keep_aspect_ratio : bool
        Cut off what is too much on two sides.
    follow_links
        Taken, and without effect: links are followed.
    **feed
        Options of `fastfeed.images` besides, such as ``num_workers`` and ``transforms``; a `Normalize` at their end
        takes the place of `rescale`.  What else ``ImageDataGenerator`` takes is refused with what does it here.

    Returns
    -------
    KerasFeed
        What ``fit`` takes, with Keras' ``samples``, ``n``, ``num_classes``, ``class_indices``, ``classes``, ``labels``,
        ``filenames``, ``filepaths``, ``directory``, ``class_mode``, ``color_mode``, ``target_size`` and
        ``image_shape``.

    Raises
    ------
    ConfigError
        An argument that cannot work, or that this does not take.
    """
    _check_color_mode(color_mode)
    options.one_of("interpolation", interpolation, _FLOW_FILTERS)
    if class_mode == "input":
        remedy = "pass None, and let the model compare its outputs with its inputs, by train_step or add_loss"
        raise options.wrong("class_mode", class_mode, remedy)
    if class_mode is not None:
        options.one_of("class_mode", class_mode, ("categorical", "binary", "sparse"))
    for name, remedy in _ELSEWHERE.items():
        if value := feed.pop(name, None):
            raise options.wrong(name, value, remedy)
    for name in _IDLE:
        feed.pop(name, None)
    size, layout = options.size("target_size", target_size), _layout(data_format)
    paths, numbers, names = _classified(directory, "classes", classes, _FLOW_SUFFIXES)
    part = _share_of_each_class(numbers, validation_split, subset)
    paths, numbers = [paths[index] for index in part], numbers[part].astype(np.int32)
    flips: list[Any] = [RandomHorizontalFlip()] if options.flag("horizontal_flip", horizontal_flip) else []
    flips += [RandomVerticalFlip()] if options.flag("vertical_flip", vertical_flip) else []
    resize = Resize(size, "cover" if keep_aspect_ratio else "stretch", _FLOW_FILTERS[interpolation])
    chain = _chain(resize, feed.pop("transforms", None), flips, rescale)
    common: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed, "layout": layout}
    labels: Any = None
    if class_mode == "categorical":
        labels = np.eye(len(names), dtype=np.float32)[numbers]
    elif class_mode is not None:
        labels = numbers.astype(np.float32)
    data = images(paths, labels=labels, transforms=chain, **common, **feed).to_keras()
    data.directory, data.filepaths = directory, paths
    data.filenames = [os.path.relpath(path, directory) for path in paths]
    data.samples = data.n = len(paths)
    data.classes = data.labels = numbers
    data.class_indices, data.num_classes = {name: number for number, name in enumerate(names)}, len(names)
    data.class_mode, data.color_mode = class_mode, color_mode
    data.target_size, data.image_shape = size, (*size, 3) if layout == "NHWC" else (3, *size)
    return data


def _check_color_mode(color_mode: str) -> None:
    if color_mode != "rgb":
        remedy = "pass 'rgb', which all images become; for grey, put keras.ops.image.rgb_to_grayscale into the model"
        raise options.wrong("color_mode", color_mode, remedy)


def _classified(
    directory: Any, option: str, chosen: Sequence[str] | None, suffixes: tuple[str, ...]
) -> tuple[list[str], Any, list[str]]:
    """The files of class folders in Keras' order, their labels, and the names of the classes."""
    folder = _folder(directory)
    there = class_folders(folder)
    if not there:
        raise ConfigError(
            f"the folder {folder!r} has no sub-folders, each of which would be a class: pass the folder above it, with "
            f"{option}=[{Path(folder).name!r}]"
        )
    if chosen is not None and (not options.several(chosen) or not set(there).issuperset(chosen)):
        listed = ", ".join(there[:20]) + ", ..." * (len(there) > 20)
        raise options.wrong(option, chosen, f"pass a list of names of sub-folders of {folder!r}, which has {listed}")
    names = there if chosen is None else list(chosen)
    found = files(folder, classes=names)
    assert found.labels is not None
    paths, numbers = found.paths, found.labels.gather(range(len(found)))
    order = sorted(_of_suffixes(paths, suffixes), key=lambda index: (numbers[index], *_walked(paths[index])))
    return [paths[index] for index in order], numbers[order], names


def _folder(directory: Any) -> str:
    if not isinstance(directory, str | os.PathLike) or not is_folder(os.fsdecode(directory)):
        raise options.wrong("directory", directory, "pass the path of a folder: there is none of this name")
    return os.fsdecode(directory)


def _listed(directory: Any) -> list[str]:
    """The files of a folder, whatever the folders below it, in Keras' order."""
    paths = files(_folder(directory), labels=None).paths
    return sorted((paths[index] for index in _of_suffixes(paths, _DATASET_SUFFIXES)), key=_walked)


def _of_suffixes(paths: list[str], suffixes: tuple[str, ...]) -> list[int]:
    """The numbers of the files that Keras takes for images."""
    taken = [index for index, path in enumerate(paths) if path.lower().endswith(suffixes)]
    if not taken:
        raise ConfigError(
            f"Keras takes files named {', '.join(suffixes)} for images, and there is none but others, such as "
            f"{paths[0]!r}: pass the folder to fastfeed.images, and to_keras() of that to fit"
        )
    return taken


def _walked(path: str) -> tuple[str, str]:
    """What Keras sorts by: the folder, and the name in it."""
    return os.path.split(path)


def _layout(data_format: str | None) -> str:
    import keras

    formats = {"channels_last": "NHWC", "channels_first": "NCHW"}
    return formats[options.one_of("data_format", data_format or keras.config.image_data_format(), formats)]


def _chain(resize: Resize, given: Any, flips: Sequence[Any] = (), rescale: float | None = None) -> list[Any]:
    """All transforms: to the size, flips, what the user has besides, and to the scale of the pixels."""
    if given is not None and not options.several(given):
        raise options.wrong("transforms", given, "pass a list of them")
    more = list(given or ())
    ends = bool(more) and isinstance(more[-1], Normalize)
    if ends and rescale:
        raise options.wrong("rescale", rescale, "leave it out: the Normalize in transforms decides the scale")
    factor = options.number("rescale", rescale or 1.0, 1e-30, 1e30, "pass a factor above 0, such as 1 / 255")
    return [resize, *flips, *more, *([] if ends else [Normalize(0.0, 1 / (255 * factor))])]


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
        _check_no_subset(subset)
        return [order]
    options.one_of("subset", subset, ("training", "validation", "both"))
    count = int(_share(validation_split) * len(order))
    _check_parts(validation_split, count, len(order))
    parts = {"training": order[:-count], "validation": order[-count:]}
    return list(parts.values()) if subset == "both" else [parts[str(subset)]]


def _share_of_each_class(numbers: Any, validation_split: float, subset: str | None) -> Any:
    """The numbers of the files of a part, of each class: its first ones are the validation."""
    share = _share(validation_split)
    if subset is None:
        return np.arange(len(numbers))
    if not share:
        _check_no_subset(subset)
    options.one_of("subset", subset, ("training", "validation"))
    counts = np.bincount(numbers)
    rank = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)  # of a file in its class
    is_validation = rank < (share * counts).astype(np.int64)[numbers]
    _check_parts(validation_split, int(is_validation.sum()), len(numbers))
    return np.flatnonzero(is_validation == (subset == "validation"))


def _share(validation_split: float) -> float:
    return options.number("validation_split", validation_split, 0.0, 1.0, "pass the validation's share, such as 0.2")


def _check_no_subset(subset: str | None) -> None:
    if subset is not None:
        raise options.wrong("subset", subset, "pass validation_split with it, the share of the validation")


def _check_parts(validation_split: float, count: int, images: int) -> None:
    if not 0 < count < images:
        remedy = f"pass another share: of {images} images the validation would have {count}"
        raise options.wrong("validation_split", validation_split, remedy)


def _in_mode(numbers: Any, label_mode: str | None, names: list[str] | None) -> Any:
    if label_mode == "categorical":
        classes = len(names) if names is not None else int(numbers.max()) + 1
        return np.eye(classes, dtype=np.float32)[numbers]
    if label_mode == "binary":
        return numbers.astype(np.float32)[:, None]
    return numbers.astype(np.int32)
