"""What ``fastfeed doctor`` looks at: this machine, this interpreter, their limits; and what should be changed.

Every probe answers for itself: one that fails says why in its place, and the others still run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import resource
import select
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfeed import __version__, machine
from fastfeed.engine.memory import sealed
from fastfeed.image.decode import which_pil
from fastfeed.machine import said_bytes
from fastfeed.rank import launched

if TYPE_CHECKING:
    from collections.abc import Callable

Value = str | int | float | bool | list[str] | None

_FEW_FILES = 1024
_LITTLE_MEMORY = 512 << 20
_SLOW_START_S = 0.5
_ROOT = Path("/")
# Packages with a random generator of their own that feeds do not seed: each worker would draw the same from it.
_NOT_SEEDED = ("cv2", "tensorflow", "imgaug", "cupy")


@dataclass
class Examination:
    """Facts by section and name, and one sentence for each thing to change."""

    facts: dict[str, dict[str, Value]] = field(default_factory=dict)
    advice: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"facts": self.facts, "advice": self.advice}


def examine(root: Path = _ROOT, *, start_worker: bool = True) -> Examination:
    """Look at everything.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie; another folder in tests.
    start_worker : bool
        Whether to measure how long a worker takes to start.
    """
    result = Examination()
    result.facts["versions"] = _versions(result.advice)
    result.facts["image kernel"] = _kernel(result.advice)
    result.facts["processors"] = _processors(root)
    result.facts["memory"] = _memory(root, result.advice)
    result.facts["shared memory"] = _shared_memory(root, result.advice)
    result.facts["processes"] = _processes(result.advice)
    result.facts["random numbers"] = _random_numbers()
    if start_worker and result.facts["versions"]["libjpeg-turbo"] is not None:
        result.facts["worker"] = _worker(result.advice)
    return result


def text(examined: Examination) -> str:
    """Return the facts as lines for people, and the advice."""
    width = max(len(name) for facts in examined.facts.values() for name in facts)
    lines = []
    for section, facts in examined.facts.items():
        lines.append(section)
        lines += [f"  {name.ljust(width)}  {_said(value)}" for name, value in facts.items()]
    lines.append("")
    if examined.advice:
        lines.append("to change")
        lines += [f"  {number}. {advice}" for number, advice in enumerate(examined.advice, start=1)]
    else:
        lines.append("nothing to change")
    return "\n".join(lines)


def tiny_jpeg() -> bytes:
    """Return the smallest usual JPEG, a grey square of 8x8, made of its parts: it needs no encoder."""
    table = bytes([1]) + bytes(15) + bytes([0])  # one code of one bit, for symbol 0: no difference, end of block
    return b"".join(
        (
            b"\xff\xd8",
            b"\xff\xdb\x00\x43\x00" + bytes([1]) * 64,  # quantiser steps
            b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00",  # baseline, 8 bits, 8x8, one component
            b"\xff\xc4\x00\x14\x00" + table,
            b"\xff\xc4\x00\x14\x10" + table,
            b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00",
            b"\x3f",  # two codes of a zero bit, filled up with ones
            b"\xff\xd9",
        )
    )


def _versions(advice: list[str]) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "fastfeed": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Linux": platform.release() if sys.platform == "linux" else f"none: this is {sys.platform}",
    }
    for name, remedy in (("numpy", "pip install numpy"), ("psutil", "pip install psutil")):
        try:
            facts[name] = str(importlib.import_module(name).__version__)
        except ImportError as error:
            facts[name] = None
            advice.append(f"{name} cannot be imported ({error}): {remedy}.")
    try:
        native: Any = importlib.import_module("fastfeed._native")
        facts["libjpeg-turbo"] = str(native.libjpeg_version())
    except ImportError as error:
        facts["libjpeg-turbo"] = None
        advice.append(f"fastfeed's compiled part cannot be imported ({error}): install fastfeed again with pip.")
    pil = which_pil()
    facts["PIL"] = None if pil is None else f"{pil.name} {pil.version}, {'with' if pil.simd else 'without'} SIMD"
    if pil is None:
        advice.append(
            "There is no PIL, so only JPEG files can be read: pip install 'fastfeed[pillow]' (for files that you do "
            "not trust, its security fixes come first) or 'fastfeed[simd]' (faster)."
        )
    return facts


def _kernel(advice: list[str]) -> dict[str, Value]:
    try:
        native: Any = importlib.import_module("fastfeed._native")
    except ImportError:
        return {"SIMD in use": None}
    used = str(native.simd_name())
    available = list(native.simd_variants())
    asked = os.environ.get("FASTFEED_SIMD")
    if asked and available and used != available[0]:
        advice.append(f"FASTFEED_SIMD={asked} keeps {available[0]} from being used: unset it.")
    elif asked and asked not in (*available, "auto"):
        advice.append(f"FASTFEED_SIMD={asked} names no variant of this machine, so it changes nothing: unset it.")
    return {"SIMD in use": used, "SIMD available": available}


def _processors(root: Path) -> dict[str, Value]:
    return {
        "workers by default": machine.available_cpus(root),
        "allowed by affinity": len(os.sched_getaffinity(0)),
        "cgroup quota": machine.cpu_quota(root),
        "online": os.cpu_count(),
    }


def _memory(root: Path, advice: list[str]) -> dict[str, Value]:
    limit = machine.memory_limit(root)
    cgroup = machine.cgroup_memory_limit(root)
    facts: dict[str, Value] = {
        "limit": said_bytes(limit),
        "cgroup limit": None if cgroup is None else said_bytes(cgroup),
    }
    overcommit = _first_line(root / "proc/sys/vm/overcommit_memory")
    facts["vm.overcommit_memory"] = overcommit
    if limit < _LITTLE_MEMORY:
        advice.append(
            f"Only {said_bytes(limit)} of memory may be used: give the container more, or lower prefetch and "
            f"batch_size, or take dtype='uint8'."
        )
    if overcommit == "2":
        advice.append(
            "vm.overcommit_memory is 2, so memory is refused long before it is full: sysctl vm.overcommit_memory=0, or "
            "raise vm.overcommit_ratio."
        )
    return facts


def _shared_memory(root: Path, advice: list[str]) -> dict[str, Value]:
    facts: dict[str, Value] = {"memfd with seals": _try(_probe_memfd)}
    if facts["memfd with seals"] is not True:
        advice.append(
            "A sealed memfd cannot be made, and batches live in one: use Linux 3.17 or later and a seccomp profile "
            "that allows memfd_create."
        )
    facts["huge pages for it"] = _chosen(_first_line(root / "sys/kernel/mm/transparent_hugepage/shmem_enabled"))
    with suppress(OSError):
        facts["/dev/shm (not used)"] = said_bytes(shutil.disk_usage("/dev/shm").total)
    return facts


def _processes(advice: list[str]) -> dict[str, Value]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    facts: dict[str, Value] = {"pidfd": _try(_probe_pidfd), "eventfd": _try(_probe_eventfd), "open files": soft}
    if facts["pidfd"] is not True:
        advice.append(
            "pidfd_open does not work, and the death of a worker is noticed by it: use Linux 5.3 or later and a "
            "seccomp profile that allows it."
        )
    if facts["eventfd"] is not True:
        advice.append("eventfd does not work, and workers are woken by it: use a seccomp profile that allows it.")
    if 0 <= soft < _FEW_FILES:
        wanted = 4096 if hard < 0 else min(4096, hard)
        if wanted > soft:
            advice.append(f"A process may open only {soft} files: ulimit -n {wanted}.")
        else:
            advice.append(
                f"A process may open only {soft} files, and root alone may raise that: nofile in "
                f"/etc/security/limits.conf, LimitNOFILE= of a service, or --ulimit nofile=4096 of a container."
            )
    return facts


def _random_numbers() -> dict[str, Value]:
    found = launched()
    return {
        "rank": None if found is None else f"{found[0]} ({found[1]})",
        "seeded in functions": ["random", "numpy.random", "torch on the processor", "generators that functions hold"],
        "installed, not seeded": [name for name in _NOT_SEEDED if PathFinder.find_spec(name) is not None] or None,
    }


def _worker(advice: list[str]) -> dict[str, Value]:
    """Start a feed of one worker on one tiny image, and take its only batch."""
    try:
        psutil: Any = importlib.import_module("psutil")
        from fastfeed.image.images import images

        before = {child.pid for child in psutil.Process().children()}
        began = time.perf_counter()
        with images([tiny_jpeg()], 8, labels=None, batch_size=1, shard=(0, 1), num_workers=1) as feed:
            for _ in feed:
                took = time.perf_counter() - began
                mine = [child for child in psutil.Process().children() if child.pid not in before]
                memory = max((child.memory_full_info().uss for child in mine), default=0)
    except Exception as error:
        advice.append(f"A worker cannot be started: {type(error).__name__}: {error}")
        return {"start to first batch": None}
    if took > _SLOW_START_S:
        advice.append(
            f"A worker takes {took:.2f} s to start: move the Python installation to a local disk, or look for what its "
            f"start-up imports (python -X importtime)."
        )
    return {"start to first batch": f"{took * 1000:.0f} ms", "private memory": said_bytes(memory)}


def _try(probe: Callable[[], None]) -> Value:
    """Return True, or in words why not."""
    try:
        probe()
    except (OSError, AttributeError) as error:
        return f"no: {error}"
    return True


def _probe_memfd() -> None:
    os.close(sealed("doctor", lambda fd: os.posix_fallocate(fd, 0, 4096), writable=True))


def _probe_pidfd() -> None:
    fd = os.pidfd_open(os.getpid())
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(0)
    finally:
        os.close(fd)


def _probe_eventfd() -> None:
    os.close(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE))


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip().splitlines()[0]
    except (OSError, IndexError):
        return None


def _chosen(line: str | None) -> str | None:
    """Return the word in brackets of a list of choices such as ``always [never]``."""
    return line.partition("[")[2].partition("]")[0] or line if line is not None else None


def _said(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
