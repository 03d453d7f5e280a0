"""What this process may use of the machine: processors and memory, by affinity, cgroup and hardware.

Containers limit a process through cgroups, which os.cpu_count() and the total memory know nothing of.  A limit may sit
on the process's own group or on any group above it, and inside a container the group's path may be one that only the
host can see.  So every group from the process's own up to the mount is asked, and the tightest answer counts.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_ROOT = Path("/")
_V2 = "cgroup2"
_V1 = "cgroup"


def available_cpus(root: Path = _ROOT, affinity: Collection[int] | None = None) -> int:
    """Count the processors that this process can keep busy at once; at least 1.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie; another folder in tests.
    affinity : collection of int, optional
        Processors that the scheduler allows; the kernel is asked where it is None.

    Returns
    -------
    int
        The smaller of the affinity's size and the cgroup quota.  A quota of 1.5 processors counts as 2: one worker
        could not use it up.
    """
    allowed = len(os.sched_getaffinity(0) if affinity is None else affinity)
    quota = cpu_quota(root)
    if quota is not None:
        allowed = min(allowed, math.ceil(quota))
    return max(1, allowed)


def said_bytes(number: int) -> str:
    """Write a size as messages have it: ``1.5 GiB``, ``97.7 MiB``, or ``1,024 bytes``."""
    if number >= 1 << 30:
        return f"{number / (1 << 30):,.1f} GiB"
    return f"{number / (1 << 20):.1f} MiB" if number >= 1 << 20 else f"{number:,} bytes"


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return how many processors' worth of time the cgroups grant, or None where they set no quota."""
    words = [_read(folder / "cpu.max").split() for folder in _groups(root, _V2, "")]
    words += [
        [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
        for folder in _groups(root, _V1, "cpu")
    ]
    quotas = (_ratio(*pair) for pair in words if len(pair) == 2)
    return min((quota for quota in quotas if quota > 0), default=None)


def memory_limit(root: Path = _ROOT) -> int:
    """Return the bytes of memory that this process may use: the physical memory, or less where a cgroup says so.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie; another folder in tests.
    """
    limits = [_physical_memory(root)]
    limit = cgroup_memory_limit(root)
    if limit is not None:
        limits.append(limit)
    return min(limits)


def cgroup_memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes that the cgroups grant, or None where they set no limit."""
    texts = [_read(folder / "memory.max") for folder in _groups(root, _V2, "")]
    texts += [_read(folder / "memory.limit_in_bytes") for folder in _groups(root, _V1, "memory")]
    limits = map(_integer, texts)
    # cgroup v1 writes "no limit" as the largest multiple of a page below 2**63.
    return min((limit for limit in limits if 0 < limit < 1 << 60), default=None)


def _physical_memory(root: Path) -> int:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return _integer(rest.split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _groups(root: Path, kind: str, controller: str) -> Sequence[Path]:
    """Return the folders of the process's group and of each group above it; controller is "" for version 2."""
    path = _group_path(root, controller)
    return () if path is None else _folders(root, kind, controller, path)


@functools.lru_cache(maxsize=64)
def _folders(root: Path, kind: str, controller: str, path: str) -> tuple[Path, ...]:
    """The folders of a group and of those above it; a process may be moved, and the mounts stay where they are."""
    folders: list[Path] = []
    for mount_root, mount_point in _mounts(root, kind, controller):
        # A container sees its own group as the mount's root, but may still read the host's path in proc.
        inside = os.path.relpath(path, mount_root) if mount_root != "/" else path.lstrip("/")
        parts = [] if inside.startswith("..") else [part for part in inside.split("/") if part not in ("", ".")]
        base = root / mount_point.lstrip("/")
        folders += [base.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return tuple(folders)


def _group_path(root: Path, controller: str) -> str | None:
    """Return the path after ``controller`` in proc/self/cgroup: lines of ``number:controller,controller:path``."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return path
    return None


def _mounts(root: Path, kind: str, controller: str) -> Iterator[tuple[str, str]]:
    """Yield (root in the hierarchy, mount point) of each mount of a hierarchy, from mountinfo (proc(5))."""
    for line in _read(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        here, there = left.split(), right.split()
        if len(here) < 5 or len(there) < 3 or there[0] != kind:
            continue
        if kind == _V1 and controller not in there[2].split(","):
            continue
        yield _unescape(here[3]), _unescape(here[4])


def _unescape(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def _read(path: Path) -> str:
    """Read a file; nothing where it cannot be read, for then it sets no limit that could be known."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def _ratio(quota: str, period: str) -> float:
    numerator, denominator = _integer(quota), _integer(period)
    return numerator / denominator if numerator > 0 and denominator > 0 else -1.0
