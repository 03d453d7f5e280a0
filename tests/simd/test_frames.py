"""The loops of the JPEG decoder: the same bytes in every variant, at any length, and nothing touched beside them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from fastfeed import _native

ROOT = Path(__file__).parents[2]
ARM = Path("/usr/aarch64-linux-gnu")  # where Debian's cross compiler has its libraries


def variants(compiler: str, target: Path, *runner: str) -> list[str]:
    """The variants that frames.c has found to be the same."""
    if shutil.which(compiler) is None or any(shutil.which(name) is None for name in runner[:1]):
        pytest.skip(f"needs {' and '.join([compiler, *runner[:1]])}")
    sources = [Path(__file__).with_name("frames.c"), *sorted(ROOT.glob("csrc/simd/*.c"))]
    flags = ["-std=c11", "-O1", "-ffp-contract=off", f"-I{ROOT}/csrc", f"-I{ROOT}/tests/fuzz"]
    subprocess.run([compiler, *flags, *sources, "-o", target, "-lm"], check=True)
    return subprocess.run([*runner, target], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def test_every_variant_of_this_processor_gives_the_bytes_of_the_plain_loops(tmp_path: Path) -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))[0]
    assert variants(compiler, tmp_path / "frames") == _native.simd_variants()


def test_those_of_arm_do_so_under_emulation(tmp_path: Path) -> None:
    """With Debian's gcc-aarch64-linux-gnu and qemu-user; on an Arm processor the test above is the one."""
    found = variants("aarch64-linux-gnu-gcc", tmp_path / "frames", "qemu-aarch64", "-L", str(ARM))
    assert found == ["neon", "baseline"]
