"""show: which samples a sheet has, in which colours, over which words; and what it leaves alone."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from drive import MEAN, STD, encode, picture
from numpy.typing import NDArray
from PIL import Image
from user_functions import square

import fastfeed as ff
from fastfeed.tools import show as show_module
from fastfeed.tools.pixels import pixels_of
from fastfeed.tools.sheet import Sheet

PAGE = Path(__file__).parents[2] / "docs" / "seeing.md"
SIDE = 96  # at which a small picture is drawn
AUGMENTED = (ff.RandomResizedCrop(48), ff.RandomHorizontalFlip())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two classes of six photographs each."""
    for number in range(12):
        folder = tmp_path / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.jpg").write_bytes(encode(picture(number), quality=90))
    return tmp_path / "photos"


def drawn(sheet: Sheet, count: int, times: int) -> NDArray[np.uint8]:
    """The pictures of a sheet, cut out of it; each pixel of theirs is so many pixels wide."""
    columns = int(np.ceil(np.sqrt(count)))
    pixels = np.asarray(sheet.image)
    step_y = 8 + SIDE + 14 * max(map(len, sheet.captions))
    corners = ((8 + number // columns * step_y, 8 + number % columns * (SIDE + 8)) for number in range(count))
    return np.stack([pixels[y : y + SIDE : times, x : x + SIDE : times] for y, x in corners])


def refused(*given: Any, **options: Any) -> str:
    with pytest.raises(ff.ConfigError) as error:
        ff.show(*given, **options)
    return str(error.value)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "normalised"])
def test_a_feed_is_shown_in_the_colours_from_before_its_normalize(photos: Path, dtype: str, layout: str) -> None:
    options: dict[str, Any] = {"batch_size": 5, "shuffle": True, "num_workers": 0}
    plain = ff.images(photos, transforms=AUGMENTED, dtype="uint8", **options)
    transforms = [*AUGMENTED, ff.Normalize(MEAN, STD)] if dtype == "normalised" else AUGMENTED
    stored = "float32" if dtype == "normalised" else dtype
    feed = ff.images(photos, transforms=transforms, dtype=stored, layout=layout, **options)
    images, labels = next(iter(plain))
    sheet = ff.show(feed)
    found = drawn(sheet, 5, 2)
    assert np.abs(found.astype(int) - images).max() <= 1
    assert [lines[0] for lines in sheet.captions] == [("cat", "dog")[label] for label in labels]


def test_each_picture_has_its_position_in_the_source_below_it(photos: Path) -> None:
    feed = ff.images(photos, 16, batch_size=5, shuffle=True, with_index=True, num_workers=0)
    _, labels, index = next(iter(feed))
    feed.set_epoch(0)
    expected = [[feed.classes[label], f"#{at}"] for label, at in zip(labels, index, strict=True)]  # type: ignore[index]
    assert ff.show(feed).captions == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_feed_in_the_middle_of_an_epoch_is_left_as_it_is(photos: Path, workers: int) -> None:
    options: dict[str, Any] = {"batch_size": 4, "shuffle": True, "num_workers": workers}
    with ff.images(photos, transforms=AUGMENTED, **options) as feed:
        expected = [images.tobytes() for _ in range(2) for images, _ in feed]
        feed.set_epoch(0)
        before = ff.show(feed)
        assert not feed.stats().copies
        got = []
        for _ in range(2):
            for images, _ in feed:
                got.append(images.tobytes())
                state, samples = feed.state_dict(), feed.stats().samples
                shown = ff.show(feed)
                assert (feed.state_dict(), feed.stats().samples) == (state, samples)
        assert got == expected
        assert shown.captions != before.captions  # of the third epoch


def test_no_worker_is_started(photos: Path) -> None:
    ff.show(ff.images(photos, 16, batch_size=4, num_workers=2))
    assert not psutil.Process().children()


def test_a_feed_of_arrays_and_what_is_made_of_a_feed_are_shown_too() -> None:
    images = np.arange(6 * 48 * 48 * 3, dtype=np.uint8).reshape(6, 48, 48, 3)
    feed = ff.arrays({"image": images, "age": np.arange(6) * 1.5}, batch_size=4, num_workers=0)

    class Loader:  # as what to_torch() and its siblings return
        def __init__(self) -> None:
            self.feed = feed

    for shown in (feed, Loader()):
        sheet = ff.show(shown)
        assert drawn(sheet, 4, 2).tolist() == images[:4].tolist()
        assert sheet.captions == [["age: 0", "#0"], ["age: 1.5", "#1"], ["age: 3", "#2"], ["age: 4.5", "#3"]]


def test_of_a_batch_what_there_is_for_each_sample_is_written_below() -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    batch = {
        "name": ["a", "b"],
        "image": images,
        "box": np.array([[1, 2], [3, 4]]),
        "mask": np.zeros((2, 8, 8)),
        "n": 2,
    }
    assert ff.show(batch).captions == [
        ["name: a", "box: 1 2", "mask: float64 (8, 8)"],
        ["name: b", "box: 3 4", "mask: float64 (8, 8)"],
    ]
    assert ff.show([images, np.array([0.25, np.nan])]).captions == [["0.25"], ["nan"]]
    assert ff.show(images, n=1).captions == [[]]


class Tensor:
    """As PyTorch's on a GPU, in bfloat16 and with a gradient: NumPy reads it once that is all undone."""

    def __init__(self, values: NDArray[np.float32], undone: tuple[str, ...] = ()) -> None:
        self.values, self.undone = values, undone

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[np.float32]:
        assert self.undone == ("detach", "cpu", "float")
        return self.values

    def detach(self) -> Tensor:
        return Tensor(self.values, (*self.undone, "detach"))

    def cpu(self) -> Tensor:
        return Tensor(self.values, (*self.undone, "cpu"))

    def float(self) -> Tensor:
        return Tensor(self.values, (*self.undone, "float"))

    def is_floating_point(self) -> bool:
        return True


def test_a_tensor_is_brought_to_where_numpy_can_read_it() -> None:
    values = np.arange(192, dtype=np.float32).reshape(1, 8, 8, 3)
    assert drawn(ff.show({"x": Tensor(values)}), 1, 12).tolist() == values.tolist()


def test_floats_are_levels_or_fractions_by_their_range_or_as_mean_and_std_say() -> None:
    levels = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    fractions = levels.astype(np.float32) / 255
    assert pixels_of(levels.astype(np.int64), None, None).tolist() == levels.tolist()
    assert pixels_of(levels.astype(np.float32), None, None).tolist() == levels.tolist()
    assert pixels_of(fractions.astype(np.float16), None, None).tolist() == levels.tolist()
    normalised = (fractions - np.float32(MEAN)) / np.float32(STD)
    sheet = ff.show(normalised.transpose(0, 3, 1, 2), mean=MEAN, std=STD)
    assert drawn(sheet, 1, 12).tolist() == levels.tolist()
    assert "pass mean= and std= of the Normalize that they went through" in refused(normalised)
    assert "these go from -2.12 to " in refused(normalised)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (np.zeros((2, 8, 8, 1)), "float64 (2, 8, 8, 1)': pass images with 3 channels"),
        (np.zeros((2, 8, 8, 1)), "np.repeat(images, 3, axis=-1) makes them of grey ones"),
        (np.zeros((2, 1, 8, 8)), "np.repeat(images, 3, axis=1) makes them of grey ones"),
        (np.zeros((2, 8, 8, 7)), "of more channels choose three, as in images[..., [3, 2, 1]]"),
        (np.zeros((8, 8, 3)), "image[None] makes one of a single image"),
        (np.zeros((0, 8, 8, 3)), "pass at least one image"),
        (np.full((1, 8, 8, 3), np.nan), "these have nan or infinity in them"),
        (np.zeros((1, 8, 8, 3), bool), "bool (1, 8, 8, 3)': pass uint8, float32 or float16"),
        ((np.zeros(4), ["a"]), "float64 (4,), list': pass a batch of images, of shape (n, height, width, 3)"),
        (None, "NoneType': pass a batch of images"),
    ],
)
def test_what_is_no_batch_of_pictures_is_told_what_is_needed(batch: Any, said: str) -> None:
    assert said in refused(batch)


def test_a_feed_that_cannot_make_a_batch_by_its_number_is_left_alone() -> None:
    feed = ff.map(square, iter([1, 2]), num_workers=0)
    assert "'map of square over a list_iterator; made in this process; next epoch 0': pass a batch" in refused(feed)
    assert list(feed) == [1, 4]


def test_a_first_batch_without_a_good_sample_is_told_with_the_first_error() -> None:
    feed = ff.images([b"\xff\xd8 no", encode(picture(0))], 8, batch_size=1, on_error="skip", num_workers=0)
    assert "pass a feed whose first batch has a sample: sample 0" in refused(feed)
    assert feed.errors == []


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    batch = np.zeros((1, 8, 8, 3), np.uint8)
    assert refused(batch, n=0) == "n=0: pass a whole number, 1 or more"
    assert refused(batch, mean=0.5) == "mean=0.5: pass std with it"
    assert refused(batch, std=0.5) == "std=0.5: pass mean with it"
    assert refused(batch, mean=0.5, std=0.5).startswith("mean=0.5: leave mean and std out")
    assert "pass a name that ends in .png" in refused(batch, tmp_path / "sheet.nonsense")
    assert f"make the folder {tmp_path / 'none'} first" in refused(batch, tmp_path / "none" / "sheet.png")
    (tmp_path / "folder.png").mkdir()
    assert "pass a file that can be written: Is a directory" in refused(batch, tmp_path / "folder.png")
    assert refused(batch, 3) == "path=3: pass the name of a file, such as 'sheet.png'"


def test_without_pil_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr(show_module, "_next_of", lambda feed: pytest.fail("a batch was made"))
    said = refused(ff.images(photos, 16, num_workers=0))
    assert said.startswith("show() needs PIL, which is not installed: pip install fastfeed[pillow]")


def test_a_sheet_is_a_png_in_a_notebook_and_in_its_file(tmp_path: Path) -> None:
    sheet = ff.show(np.zeros((3, 48, 48, 3), np.uint8), tmp_path / "sheet.png")
    assert repr(sheet) == "<Sheet of 3 samples, 216x216 pixels>"
    for png in (sheet._repr_png_(), (tmp_path / "sheet.png").read_bytes()):
        with Image.open(io.BytesIO(png)) as image:
            assert (image.format, image.size) == ("PNG", (216, 216))
            assert np.asarray(image).tolist() == np.asarray(sheet.image).tolist()


def test_large_pictures_are_reduced_and_long_words_cut() -> None:
    batch = np.zeros((1, 1024, 512, 3), np.uint8), ["caption " * 40 + "\u732b"]
    sheet = ff.show(batch)
    assert sheet.image.size == (128 + 16, 256 + 16 + 14)
    assert (np.asarray(sheet.image)[264:, -8:] == 255).all()


def test_the_program_of_the_page_runs(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)), names)
    assert len(names["sheet"].captions) == 4
    with Image.open("sheet.png") as sheet, Image.open("batch.png") as batch:
        assert sheet.width == batch.width == 4 * (224 + 8) + 8
