"""torchvision: an ImageFolder and its transforms, as a source and transforms of fastfeed's own where there are such.

Everything is told by the names of classes and attributes, so that torchvision is not imported, and need not be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch.utils.data import Subset

from fastfeed.errors import ConfigError
from fastfeed.image import transforms
from fastfeed.image.images import images
from fastfeed.image.plan import compile_plan

if TYPE_CHECKING:
    from fastfeed.engine.feed import Feed

_FOLDER = "torchvision.datasets.folder"
_GET_ITEM = "DatasetFolder.__getitem__"
_LOADERS = ("default_loader", "pil_loader")
_TRANSFORMS = "torchvision.transforms."


@dataclass(frozen=True)
class Folder:
    """The samples of an ImageFolder, in its order, and what is done to each.

    Attributes
    ----------
    samples : sequence of (str, int)
        Path and number of the class.
    transforms : list of Transform
    dtype : str
    """

    samples: Sequence[tuple[str, int]]
    transforms: list[transforms.Transform]
    dtype: str

    @property
    def is_shifted(self) -> bool:
        """Whether pictures are shifted by up to half a pixel.

        torchvision rounds the size of a picture whose shorter side it resizes, and the place of the crop that follows.
        """
        return any(isinstance(each, transforms.Resize) and each.fit == "cover" for each in self.transforms)

    def feed(self, **options: Any) -> Feed:
        """Feed images of shape (rows, 3, height, width), and labels; the options are those of `fastfeed.images`."""
        paths, labels = zip(*self.samples, strict=True)
        return images(
            paths,
            labels=labels,
            transforms=self.transforms,
            dtype=self.dtype,
            layout="NCHW",
            shard=(0, 1),  # the sampler has dealt them
            **options,
        )


def found(dataset: Any) -> Folder | str:
    """Return the folder that a dataset is, or why it cannot be read as one."""
    if type(dataset) is Subset:
        whole = found(dataset.dataset)
        if isinstance(whole, str):
            return whole
        return replace(whole, samples=[whole.samples[index] for index in dataset.indices])
    method = getattr(type(dataset), "__getitem__", None)
    if (getattr(method, "__module__", ""), getattr(method, "__qualname__", "")) != (_FOLDER, _GET_ITEM):
        return "the dataset is no ImageFolder of torchvision's, or reads its samples in its own way"
    if (dataset.loader.__module__, dataset.loader.__name__) not in [(_FOLDER, name) for name in _LOADERS]:
        return "the dataset has a loader= of its own"
    if dataset.target_transform is not None:
        return "the dataset has a target_transform"
    try:
        made, dtype = translated(dataset.transform)
        compile_plan(None, made, dtype, "NCHW")
    except ConfigError as error:
        return str(error)
    return Folder(dataset.samples, made, dtype)


def translated(transform: Any) -> tuple[list[transforms.Transform], str]:
    """Return the same transforms as fastfeed's own, and the dtype in which they leave an image.

    Raises
    ------
    ConfigError
        Naming the first that has no like here.
    """
    steps = list(_steps(transform))
    made: list[transforms.Transform] = []
    while steps and _name(steps[0]) in _LIKE:
        step = steps.pop(0)
        if _name(step) == "Resize" and len(_sides(step.size)) == 1:  # the shorter side: its like cuts off the rest
            crop = steps[0] if steps and _name(steps[0]) == "CenterCrop" else None
            if crop is None or max(_sides(crop.size)) > _sides(step.size)[0]:
                raise ConfigError(f"{step} keeps the shape of each image, and no CenterCrop of its size follows")
        made.append(_LIKE[_name(step)](step))
    dtype = _dtype(steps)
    if steps and _name(steps[0]) == "Normalize" and dtype == "float32":
        step = steps.pop(0)
        made.append(transforms.Normalize(*(tuple(map(float, values)) for values in (step.mean, step.std))))
    if steps:
        raise ConfigError(f"{steps[0]} has no like here, or not at its place")
    return made, dtype


def _steps(transform: Any) -> Iterator[Any]:
    if _name(transform) == "Compose":
        for each in transform.transforms:
            yield from _steps(each)
    elif transform is not None:
        yield transform


def _name(transform: Any) -> str:
    """Return the name of a class of torchvision's, "" for any other."""
    kind = type(transform)
    return kind.__name__ if kind.__module__.startswith(_TRANSFORMS) else ""


def _dtype(steps: list[Any]) -> str:
    """Take away the steps that make a tensor of an image; the dtype of its elements."""
    name = _name(steps[0]) if steps else ""
    if name not in ("ToTensor", "PILToTensor", "ToImage"):
        what = f"{steps[0]} comes where ToTensor has to" if steps else "no ToTensor ends the transforms"
        raise ConfigError(what)
    del steps[0]
    if name == "ToTensor":
        return "float32"
    if steps and _name(steps[0]) in ("ToDtype", "ConvertImageDtype"):
        step = steps.pop(0)
        if str(step.dtype) != "torch.float32" or not getattr(step, "scale", True):
            raise ConfigError(f"{step} has no like here")
        return "float32"
    return "uint8"


def _sides(size: Any) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _filter(step: Any) -> str:
    return str(getattr(step.interpolation, "value", step.interpolation))


def _resize(step: Any) -> transforms.Transform:
    if step.max_size is not None:
        raise ConfigError(f"{step} has a max_size")
    sides = _sides(step.size)
    if len(sides) == 1:
        return transforms.Resize(sides[0], fit="cover", filter=_filter(step))
    return transforms.Resize(sides, filter=_filter(step))


def _jitter(step: Any) -> transforms.Transform:
    return transforms.ColorJitter(step.brightness or 0, step.contrast or 0, step.saturation or 0, step.hue or 0)


def _affine(step: Any) -> transforms.Transform:
    if step.center is not None:
        raise ConfigError(f"{step} has a center")
    return transforms.RandomAffine(
        step.degrees, step.translate, step.scale, step.shear, filter=_filter(step), fill=step.fill
    )


_LIKE: dict[str, Callable[[Any], transforms.Transform]] = {
    "CenterCrop": lambda step: transforms.CenterCrop(step.size),
    "ColorJitter": _jitter,
    "RandomAffine": _affine,
    "RandomHorizontalFlip": lambda step: transforms.RandomHorizontalFlip(step.p),
    "RandomResizedCrop": lambda step: transforms.RandomResizedCrop(step.size, step.scale, step.ratio, _filter(step)),
    "RandomVerticalFlip": lambda step: transforms.RandomVerticalFlip(step.p),
    "Resize": _resize,
}
