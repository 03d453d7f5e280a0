"""torchvision's ImageFolder fed natively: the same samples in the same order, and pixels that are close."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drive import encode, picture

import fastfeed as ff

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")
pytest.importorskip("torchvision", reason="torchvision is not installed; `make test-frameworks` installs it")

from torch.utils import data  # noqa: E402
from torchvision import transforms as T  # noqa: E402, N812
from torchvision.datasets import DatasetFolder, ImageFolder  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from fastfeed.adapters import torchvision  # noqa: E402
from fastfeed.adapters.torch import DataLoader  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("classes")
    for number in range(24):
        path = root / "abc"[number % 3] / f"{number:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(picture(number, (70 + number % 7, 60 + number % 5)), quality=90))
    return root


KNOWN: dict[str, Any] = {
    "stretched": T.Compose([T.Resize((40, 32)), T.ToTensor()]),
    "bicubic": T.Compose([T.Resize((40, 32), T.InterpolationMode.BICUBIC), T.ToTensor()]),
    "cropped": T.Compose([T.CenterCrop(50), T.Compose([T.ToTensor(), T.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])])]),
    "mirrored": T.Compose([T.Resize((40, 32)), T.RandomHorizontalFlip(1), T.RandomVerticalFlip(1.0), T.ToTensor()]),
    "second version": v2.Compose([v2.Resize((40, 32)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    "bytes": T.Compose([T.Resize((40, 32)), T.PILToTensor()]),
    "converted": T.Compose([T.Resize((40, 32)), T.PILToTensor(), T.ConvertImageDtype(torch.float32)]),
}


def loops(dataset: Any, workers: int = 0, **options: Any) -> list[list[Any]]:
    """Two epochs through PyTorch, and the same natively."""
    seen = []
    for kind, more in ((data.DataLoader, {}), (DataLoader, {"native": True, "num_workers": workers})):
        # PyTorch's order would depend on what the transforms draw, were it drawn from the global generator.
        loader = kind(dataset, **options, **more, generator=torch.Generator().manual_seed(2))
        seen.append([batch for _ in range(2) for batch in loader])
    return seen


def assert_close(theirs: list[Any], ours: list[Any], most: float) -> None:
    assert len(ours) == len(theirs)
    for (images, labels), (their_images, their_labels) in zip(ours, theirs, strict=True):
        assert labels.dtype == their_labels.dtype
        assert labels.tolist() == their_labels.tolist()
        assert images.dtype == their_images.dtype
        assert images.shape == their_images.shape
        assert (images.float() - their_images.float()).abs().max() <= most


@pytest.mark.parametrize("known", KNOWN)
def test_a_folder_is_fed_natively_in_the_order_of_pytorch(known: str, folder: Path) -> None:
    theirs, ours = loops(ImageFolder(folder, KNOWN[known]), batch_size=5, shuffle=True)
    assert_close(theirs, ours, {"bytes": 2, "cropped": 10 / 255}.get(known, 2 / 255))


def test_workers_make_the_same_natively(folder: Path) -> None:
    dataset = data.Subset(ImageFolder(folder, KNOWN["stretched"]), range(3, 20))
    for options in ({"drop_last": True}, {"shuffle": True}):
        assert_close(*loops(dataset, workers=2, batch_size=4, **options), 2 / 255)


def test_the_shorter_side_is_resized_where_a_crop_follows(folder: Path) -> None:
    transform = T.Compose([T.Resize(40), T.CenterCrop(32), T.ToTensor()])
    theirs, ours = loops(ImageFolder(folder, transform), batch_size=24)
    # A shift of up to a pixel: close on the whole.
    assert (ours[0][0] - theirs[0][0]).abs().mean() < 0.02
    assert ours[0][1].tolist() == theirs[0][1].tolist()


def test_every_transform_that_is_known_keeps_its_options() -> None:
    steps = [
        T.RandomResizedCrop((40, 32), (0.2, 0.9), (0.8, 1.2), T.InterpolationMode.BICUBIC),
        T.ColorJitter(0.1, (0.5, 2.0), 0.3, 0.05),
        T.RandomAffine((5, 10), (0.1, 0.2), (0.9, 1.1), (1, 2, 3, 4), T.InterpolationMode.BILINEAR, 7),
    ]
    made, dtype = torchvision.translated(T.Compose([*steps, T.ToTensor()]))
    assert dtype == "float32"
    assert made == [
        ff.RandomResizedCrop((40, 32), (0.2, 0.9), (0.8, 1.2), "bicubic"),
        ff.ColorJitter((0.9, 1.1), (0.5, 2.0), (0.7, 1.3), (-0.05, 0.05)),
        ff.RandomAffine([5.0, 10.0], (0.1, 0.2), (0.9, 1.1), [1.0, 2.0, 3.0, 4.0], "bilinear", 7),
    ]


class Own(ImageFolder):
    def __getitem__(self, index: int) -> Any:
        return index


class Louder(T.Normalize):
    pass


def read(path: str) -> Any:
    return path


def unknown(folder: Path) -> dict[str, tuple[Any, str]]:
    tensor = T.ToTensor()
    folders = {
        "Grayscale": T.Compose([T.Resize((9, 9)), T.Grayscale(), tensor]),
        "max_size": T.Compose([T.Resize(9, max_size=20), T.CenterCrop(9), tensor]),
        "keeps the shape": T.Compose([T.Resize(9), tensor]),
        "no ToTensor": T.Resize((9, 9)),
        "no ToTensor ends": None,
        "Louder.* has no like": T.Compose([T.Resize((9, 9)), tensor, Louder([0.5], [0.5])]),
        "RandomErasing.* not at its place": T.Compose([T.Resize((9, 9)), tensor, T.RandomErasing()]),
        "size": T.Compose([T.RandomHorizontalFlip(), tensor]),
        "center": T.Compose([T.Resize((9, 9)), T.RandomAffine(5, center=(0, 0)), tensor]),
    }
    made: dict[str, tuple[Any, str]] = {name: (ImageFolder(folder, each), name) for name, each in folders.items()}
    known = KNOWN["stretched"]
    made["own"] = Own(folder, known), "reads its samples in its own way"
    made["loader"] = DatasetFolder(str(folder), read, (".jpg",), known), "has a loader= of its own"
    made["target"] = ImageFolder(folder, known, target_transform=str), "has a target_transform"
    return made


def test_what_is_not_known_stays_with_pytorch_and_native_true_says_why(folder: Path) -> None:
    for dataset, why in unknown(folder).values():
        DataLoader(dataset, native="auto")
        with pytest.raises(ff.ConfigError, match=f"native=True: pass 'auto' or False: .*{why}"):
            DataLoader(dataset, native=True)
    dataset = ImageFolder(folder, KNOWN["stretched"])
    for options in ({"collate_fn": list}, {"batch_size": None}, {"batch_sampler": [[0], [1, 2]]}):
        with pytest.raises(ff.ConfigError, match="batches are not made by batch_size="):
            DataLoader(dataset, **options, native=True)


def test_the_move_is_told_once_and_can_be_declined(folder: Path) -> None:
    dataset = ImageFolder(folder, KNOWN["stretched"])
    with pytest.warns(UserWarning, match="this ImageFolder is decoded .* native=False leaves") as told:
        loader = DataLoader(dataset, 8)
    assert told[0].filename == __file__
    ours = [list(loader) for _ in range(2)]
    theirs = list(data.DataLoader(dataset, 8))
    assert_close(theirs, ours[0], 2 / 255)
    assert_close(theirs, list(DataLoader(dataset, 8, native=False)), 0)


def test_a_native_loop_goes_on_where_its_state_was_taken(folder: Path) -> None:
    dataset = ImageFolder(folder, T.Compose([T.RandomResizedCrop(16), T.ToTensor()]))
    options = {"batch_size": 5, "shuffle": True, "native": True}
    torch.manual_seed(2)
    loader = DataLoader(dataset, **options)
    states, batches = [], []
    for batch in loader:
        batches.append(batch)
        states.append(json.loads(json.dumps(loader.state_dict())))
    for k, state in enumerate(states[:-1], 1):
        other = DataLoader(dataset, **options)
        other.load_state_dict(state)
        assert_close(list(other), batches[k:], 0)
    with pytest.raises(ff.ConfigError, match="native=True, and here it is False"):
        DataLoader(dataset, 5, shuffle=True, native=False).load_state_dict(states[0])
