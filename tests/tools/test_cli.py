"""Tests of the command line, of the comparison behind ``fastfeed bench`` and of its report."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

import fastfeed
from fastfeed.errors import ConfigError
from fastfeed.tools import cli, doctor
from fastfeed.tools.bench import compare, environment, peers, report
from fastfeed.tools.bench.compare import Comparison, Options
from fastfeed.tools.bench.side import Side, SideError, Timed, start_all

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three JPEG files, one of them in a sub-folder, and one other file."""
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "b.jpeg", "sub/c"):
        (tmp_path / name).write_bytes(doctor.tiny_jpeg())
    (tmp_path / "notes.jpg").write_text("not an image")
    return tmp_path


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the DataLoader: importing torch takes seconds."""
    found = compare.importlib.util.find_spec
    monkeypatch.setattr(compare.importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))


def silent(what: str, done: int, count: int) -> None:
    pass


# ---- arguments


def test_a_path_that_is_not_there_is_named_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "/no/such/folder"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "/no/such/folder: no such file or folder" in captured.err
    assert "leave it out" in captured.err


def test_an_empty_folder_is_named_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", str(tmp_path)]) == 2
    assert f"{tmp_path}: 0 files, none of them a JPEG; name a folder that has some" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["bench", "--workers", "0"], ["bench", "--size", "big"], ["bench", "--seconds", "-1"]],
)
def test_arguments_that_cannot_be_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: fastfeed" in capsys.readouterr().err


def test_without_a_command_the_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: fastfeed" in captured.err
    assert "what fastfeed finds here, and what to change" in captured.err


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(compare, "compare", lambda *arguments: pytest.fail("measured"))
    assert cli.main(["bench", str(folder), "--plot", "rates.png"]) == 2
    assert "pip install 'fastfeed[plot]'" in capsys.readouterr().err


def test_a_plot_into_a_folder_that_is_not_there_is_refused_before_anything_is_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "require_matplotlib", lambda: None)
    monkeypatch.setattr(compare, "compare", lambda *arguments: pytest.fail("measured"))
    assert cli.main(["bench", str(folder), "--plot", str(folder / "none/rates.png")]) == 2
    assert "make it first" in capsys.readouterr().err


def test_a_plot_of_a_format_that_is_none_is_refused_before_anything_is_measured(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    # In a process of its own: matplotlib keeps the files of its fonts open.
    command = [sys.executable, "-m", "fastfeed", "bench", str(folder), "--plot", str(folder / "rates.nonsense")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "rates.nonsense: .nonsense is no format that can be drawn; name a file that ends in .png" in done.stderr


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"fastfeed {fastfeed.__version__}\n"


def test_python_m_fastfeed_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastfeed", "bench", "/no"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fastfeed: /no: no such file or folder")


# ---- files


def test_jpeg_files_are_known_by_their_first_bytes(folder: Path) -> None:
    files, left_out = compare.jpeg_files(str(folder))
    assert files == [str(folder / name) for name in ("a.jpg", "b.jpeg", "sub/c")]
    assert left_out == 1


def test_a_glob_and_a_single_file_are_sources_too(folder: Path) -> None:
    assert compare.jpeg_files(str(folder / "*.jp*g")) == ([str(folder / "a.jpg"), str(folder / "b.jpeg")], 1)
    assert compare.jpeg_files(str(folder / "a.jpg")) == ([str(folder / "a.jpg")], 0)


def test_workers_rise_by_doubling_up_to_the_largest() -> None:
    assert [compare.worker_counts(largest) for largest in (1, 2, 4, 6)] == [[1], [1, 2], [1, 2, 4], [1, 2, 4, 6]]


# ---- the comparison


def test_a_whole_comparison_runs_and_prints_json_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL")
    arguments = ["--quick", "--seconds", "0.3", "--workers", "2", "--size", "16", "--batch-size", "8", "--json"]
    assert cli.main(["bench", str(folder), *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert result["complete"] is True
    assert result["work"]["files"] == 3
    assert result["work"]["not_jpeg"] == 1
    sides = {(side["name"], side["workers"]): side for side in result["sides"]}
    assert sides["PyTorch DataLoader", 2].pop("failure") == "torch is not installed (pip install torch)"
    measured = [side for name, side in sides.items() if name[0] != "PyTorch DataLoader"]
    assert [side["failure"] for side in measured] == [None] * 5
    assert all(side["images_per_second"] > 0 for side in measured)
    assert all(side["memory_bytes"] > 1_000_000 for side in measured)
    assert {name for name in sides if name[0] == "fastfeed"} == {("fastfeed", 1), ("fastfeed", 2)}
    assert result["largest_mean_difference"] < 0.01
    assert result["verdict"] in ("consumer", "workers", "source")
    assert psutil.Process().children(recursive=True) == []


def test_an_interrupt_keeps_what_was_measured_and_leaves_no_process(folder: Path) -> None:
    def interrupt(what: str, done: int, count: int) -> None:
        if what == "plain generator":  # the second of the windows
            raise KeyboardInterrupt

    files, _ = compare.jpeg_files(str(folder))
    options = Options(workers=1, size=16, batch_size=4, seconds=0.1, rounds=2)
    result = compare.compare(files, options, interrupt)
    assert result.complete is False
    assert result.floor is not None
    assert len(result.floor.rates) == 1
    assert "Interrupted" in report.text(result)
    assert compare.as_dict(result)["complete"] is False
    assert psutil.Process().children(recursive=True) == []


NO_TABLE = doctor.tiny_jpeg().replace(b"\x01\x01\x11\x00", b"\x01\x01\x11\x03")  # its header can be read


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0", NO_TABLE])
def test_the_floor_names_the_file_that_it_cannot_decode(folder: Path, content: bytes) -> None:
    (folder / "sub" / "c").write_bytes(content)
    files, _ = compare.jpeg_files(str(folder))
    side = Side("floor", "floor", peers.Workload(files, batch_size=2, workers=2))
    try:
        side.load()
        with pytest.raises(SideError, match=r"sub/c: .*; remove it, or measure other files"):
            side.start()
    finally:
        side.close()
    assert psutil.Process().children(recursive=True) == []


def test_sides_find_the_package_and_no_module_of_its_under_the_name_of_a_framework(tmp_path: Path) -> None:
    code = "import fastfeed, importlib.util as u; print(fastfeed.__file__, (u.find_spec('torch') or u).__name__)"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
    found = done.stdout.strip()
    assert found == f"{fastfeed.__file__} importlib.util"


def test_a_side_that_fails_keeps_its_last_words_and_stops_no_other(folder: Path) -> None:
    work = peers.Workload([str(folder / "notes.jpg")] * 4, batch_size=2)
    side = Side("generator", "reads no image", work)
    try:
        assert start_all([side]) == []
        assert side.timed.failure is not None
        assert "notes.jpg" in side.timed.failure
    finally:
        side.close()
    side.close()
    assert psutil.Process().children(recursive=True) == []


def test_an_interpreter_that_cannot_run_a_side_is_a_failure_of_that_side(folder: Path) -> None:
    side = Side("generator", "no interpreter", peers.Workload([str(folder / "a.jpg")]), python="/bin/false")
    assert start_all([side]) == []
    assert side.timed.failure == "ended with status 1"
    side.close()


def test_peers_make_normalised_images(folder: Path) -> None:
    pytest.importorskip("PIL")
    work = peers.Workload([str(folder / "a.jpg")], size=12, batch_size=2)
    image = peers.prepare(work.paths[0], work)
    assert image.shape == (12, 12, 3)
    assert image.dtype == "float32"
    wanted = [(128 / 255 - mean) / std for mean, std in zip(peers.MEAN, peers.STD, strict=True)]
    assert image[5, 5].tolist() == pytest.approx(wanted, abs=1e-5)


def test_random_boxes_lie_inside_the_frame() -> None:
    for size in ((500, 375), (30, 400), (1, 1), (400, 30)):
        for _ in range(50):
            left, top, right, bottom = peers.random_box(size)
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]


# ---- the report


def comparison() -> Comparison:
    result = Comparison(Options(workers=4), files=10, bytes_per_file=111_000, left_out=2, pil="pillow 12.0")
    result.floor = Timed("floor: libjpeg-turbo's decode", 4, rates=[3200.0])
    result.peers = [
        Timed("plain generator", 1, [320.0], [0.004], 0.3, 90_000_000),
        Timed("PyTorch DataLoader", 4, failure="torch is not installed (pip install torch)"),
    ]
    result.feeds = [
        Timed("fastfeed", 1, [760.0], [0.0013], 0.1, 60_000_000),
        Timed("fastfeed", 4, [2900.0, 3000.0, 2000.0], [0.0014], 0.1, 99_000_000),
    ]
    result.difference = 0.001
    result.verdict, result.sentence = "workers", "The workers are the slow side."
    result.complete = True
    return result


def test_the_table_has_ratios_to_the_floor_and_to_the_generator() -> None:
    lines = report.text(comparison()).splitlines()
    row = next(line for line in lines if line.startswith("fastfeed") and "2900" in line)
    assert row.split() == ["fastfeed", "4", "2900", "0.91", "9.1", "1.40", "0.10", "s", "99", "MB"]
    assert "PyTorch DataLoader: torch is not installed (pip install torch)" in lines
    assert "4 workers make 3.82 times the batches of one." in lines
    assert "Verdict: workers. The workers are the slow side." in lines
    assert "left out, being no JPEG: 2" in lines[0]


def test_columns_line_up() -> None:
    assert report.table([["", "a"], ["long name", "1"], ["x", "100"]]).splitlines() == [
        "             a",
        "---------  ---",
        "long name    1",
        "x          100",
    ]


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    # In a process of its own: matplotlib keeps the files of its fonts open.
    code = """
import sys
from pathlib import Path
from fastfeed.tools.bench import report
from fastfeed.tools.bench.compare import Comparison, Options
from fastfeed.tools.bench.side import Timed
feeds = [Timed("fastfeed", 1, [760.0]), Timed("fastfeed", 2)]
result = Comparison(Options(workers=2), 10, 111_000, 0, floor=Timed("floor", 2, [1600.0]), feeds=feeds)
report.plot(result, Path(sys.argv[1]))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "rates.png")], check=True)
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_of_unknown_kind_is_refused_in_words(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        report.plot(comparison(), tmp_path / "rates.nonsense")
