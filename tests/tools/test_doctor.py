"""Tests of fastfeed.tools.doctor on made-up machines and on this one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fastfeed.tools import cli, doctor

if TYPE_CHECKING:
    from pathlib import Path


def machine_of(
    folder: Path, *, memory_kb: int = 8_000_000, overcommit: str = "0", huge: str = "always [never]"
) -> Path:
    (folder / "proc/sys/vm").mkdir(parents=True)
    (folder / "proc/meminfo").write_text(f"MemTotal: {memory_kb} kB\n")
    (folder / "proc/sys/vm/overcommit_memory").write_text(overcommit + "\n")
    (folder / "sys/kernel/mm/transparent_hugepage").mkdir(parents=True)
    (folder / "sys/kernel/mm/transparent_hugepage/shmem_enabled").write_text(huge + "\n")
    return folder


def test_a_usual_machine_has_nothing_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    monkeypatch.delenv("FASTFEED_SIMD", raising=False)
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda what: (4096, 8192))
    examined = doctor.examine(machine_of(tmp_path), start_worker=False)
    assert examined.advice == []
    assert doctor.text(examined).endswith("\nnothing to change")
    assert examined.facts["memory"]["limit"] == "7.6 GiB"
    assert examined.facts["shared memory"]["huge pages for it"] == "never"
    assert examined.facts["shared memory"]["memfd with seals"] is True
    assert examined.facts["processes"]["pidfd"] is True


def test_little_memory_and_strict_overcommit_are_said_with_remedies(tmp_path: Path) -> None:
    examined = doctor.examine(machine_of(tmp_path, memory_kb=100_000, overcommit="2"), start_worker=False)
    text = doctor.text(examined)
    assert "Only 97.7 MiB of memory may be used: give the container more" in text
    assert "sysctl vm.overcommit_memory=0" in text


def test_the_rank_and_what_is_not_seeded_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imgaug.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setenv("RANK", "3")
    facts = doctor.examine(machine_of(tmp_path), start_worker=False).facts["random numbers"]
    assert facts["rank"] == "3 (RANK)"
    assert facts["installed, not seeded"] == ["imgaug"]


def test_few_open_files_are_said_with_the_command_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda what: (256, 2048))
    examined = doctor.examine(machine_of(tmp_path), start_worker=False)
    assert "A process may open only 256 files: ulimit -n 2048." in examined.advice


def test_a_limit_of_open_files_that_only_root_can_raise_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda what: (256, 256))
    examined = doctor.examine(machine_of(tmp_path), start_worker=False)
    (advice,) = [advice for advice in examined.advice if "256 files" in advice]
    assert "limits.conf" in advice
    assert "ulimit -n" not in advice


def test_a_missing_pil_is_said_with_both_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "which_pil", lambda: None)
    examined = doctor.examine(machine_of(tmp_path), start_worker=False)
    assert examined.facts["versions"]["PIL"] is None
    assert any("fastfeed[pillow]" in advice and "fastfeed[simd]" in advice for advice in examined.advice)


def test_a_missing_compiled_part_stops_no_other_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastfeed._native", None)
    examined = doctor.examine(machine_of(tmp_path))
    assert examined.facts["versions"]["libjpeg-turbo"] is None
    assert any("compiled part" in advice for advice in examined.advice)
    assert examined.facts["processors"]["online"] is not None


def test_a_missing_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    examined = doctor.examine(machine_of(tmp_path), start_worker=False)
    assert any("pip install psutil" in advice for advice in examined.advice)


def test_a_forced_slower_variant_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native: Any = pytest.importorskip("fastfeed._native")
    used = native.simd_name()
    try:
        assert native.simd_select("baseline")
        monkeypatch.setenv("FASTFEED_SIMD", "baseline")
        examined = doctor.examine(machine_of(tmp_path), start_worker=False)
        assert examined.facts["image kernel"]["SIMD in use"] == "baseline"
        assert native.simd_name() == "baseline"
        if examined.facts["image kernel"]["SIMD available"] != ["baseline"]:
            assert any("FASTFEED_SIMD=baseline keeps" in advice for advice in examined.advice)
    finally:
        native.simd_select(used)


def test_a_worker_starts_and_its_time_and_memory_are_measured() -> None:
    worker = doctor.examine().facts["worker"]
    assert str(worker["start to first batch"]).endswith(" ms")
    assert str(worker["private memory"]).endswith(" MiB")


def test_the_tiny_jpeg_is_a_grey_square() -> None:
    native: Any = pytest.importorskip("fastfeed._native")
    assert native.jpeg_size(doctor.tiny_jpeg()) == (8, 8)
    out = bytearray(8 * 8 * 3)
    native.floor_decode(doctor.tiny_jpeg(), out)
    assert set(out) == {128}


def test_the_command_prints_json_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    examined = doctor.Examination({"memory": {"limit": "1 GiB"}}, ["Buy more."])
    monkeypatch.setattr(doctor, "examine", lambda: examined)
    assert cli.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"facts": {"memory": {"limit": "1 GiB"}}, "advice": ["Buy more."]}


def test_the_command_numbers_the_advice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    examined = doctor.Examination({"memory": {"limit": "1 GiB", "cgroup": None, "fits": True}}, ["Buy more."])
    monkeypatch.setattr(doctor, "examine", lambda: examined)
    cli.main(["doctor"])
    assert capsys.readouterr().out.splitlines() == [
        "memory",
        "  limit   1 GiB",
        "  cgroup  none",
        "  fits    yes",
        "",
        "to change",
        "  1. Buy more.",
    ]
