"""Transforms as they are written on a command line, and the command that takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from drive import encode, picture
from PIL import Image

import fastfeed as ff
from fastfeed.tools import cli
from fastfeed.tools.written import transforms_of


def test_a_text_is_read_as_a_program_would_have_it() -> None:
    assert transforms_of("RandomResizedCrop(224), RandomHorizontalFlip()") == [
        ff.RandomResizedCrop(224),
        ff.RandomHorizontalFlip(),
    ]
    assert transforms_of(" [Resize((8, 16), fit='cover'), RandomAffine(degrees=(-5, 5)), Normalize(0.5, .5)] ") == [
        ff.Resize((8, 16), fit="cover"),
        ff.RandomAffine(degrees=(-5, 5)),
        ff.Normalize(0.5, 0.5),
    ]
    assert transforms_of("CenterCrop(8),") == [ff.CenterCrop(8)]
    assert transforms_of("CenterCrop(8)") == [ff.CenterCrop(8)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Resize(64", "transforms='Resize(64': pass transforms as in \"RandomResizedCrop(224), "),
        ("", "transforms='': pass transforms as in"),
        ("Resize", "transforms='Resize': pass Resize(...), with its arguments"),
        ("Rezise(3)", "transforms='Rezise(3)': pass one of CenterCrop, ColorJitter, Normalize, "),
        ("Resize(x)", "pass numbers, strings and tuples of them as arguments, and not x"),
        ("Resize(2 ** 70)", "and not 2 ** 70"),
        ("Resize(*[8])", "and not *[8]"),
        ("Resize(64, bar=1)", "pass the arguments of Resize: Resize got an unexpected keyword argument 'bar'"),
        ("Resize(64, fit='x')", "Resize(fit='x'): pass one of 'stretch', 'cover', 'contain'"),
        ("__import__('os').abort()", "pass transforms as in"),
        ("Resize(__import__('os').abort())", "and not __import__('os').abort()"),
        ("(" * 1000 + ")" * 1000, "pass transforms as in"),
    ],
)
def test_what_names_no_transforms_is_refused_and_never_run(text: str, said: str) -> None:
    with pytest.raises(ff.ConfigError) as error:
        transforms_of(text)
    assert said in str(error.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of five photographs."""
    (tmp_path / "photos").mkdir()
    for number in range(5):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(encode(picture(number), quality=90))
    return tmp_path


def test_the_command_draws_into_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(folder / "sheet.png")
    arguments = ["--transforms", "RandomResizedCrop(48), RandomHorizontalFlip()", "-n", "4", "-o", output]
    assert cli.main(["show", str(folder / "photos"), *arguments]) == 0
    assert capsys.readouterr().out == f"{output}: <Sheet of 4 samples, 216x244 pixels>\n"
    feed = ff.images(
        folder / "photos",
        transforms=[ff.RandomResizedCrop(48), ff.RandomHorizontalFlip()],
        batch_size=4,
        shuffle=True,
        num_workers=0,
    )
    with Image.open(output) as sheet:
        assert sheet.tobytes() == ff.show(feed).image.tobytes()


def test_without_transforms_whole_frames_are_drawn(folder: Path) -> None:
    output = folder / "sheet.png"
    assert cli.main(["show", str(folder / "photos"), "-o", str(output)]) == 0
    with Image.open(output) as sheet:
        assert sheet.size == (3 * (224 + 8) + 8, 2 * (224 + 8 + 14) + 8)


def test_what_cannot_be_shown_is_said_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source, output, transforms, said in (
        ("nowhere", "sheet.png", "Resize(8)", "there is no folder"),
        ("photos", "nowhere/sheet.png", "Resize(8)", "make the folder"),
        ("photos", "sheet.png", "Foo()", "transforms='Foo()': pass one of CenterCrop, "),
        ("photos", "sheet.png", "RandomHorizontalFlip()", "size=None: pass a size, or Resize, CenterCrop or"),
    ):
        arguments = [str(folder / source), "-o", str(folder / output), "--transforms", transforms]
        assert cli.main(["show", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("fastfeed: ")
        assert said in captured.err
