"""Tests of fastfeed.machine on made-up proc and sys trees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fastfeed import machine

if TYPE_CHECKING:
    from pathlib import Path

MEMINFO = "MemTotal:        8000000 kB\nMemFree:         1000 kB\n"
V2_MOUNT = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def tree(folder: Path, **files: str) -> Path:
    """Write files below folder; in a keyword ``__`` stands for a slash and ``_DOT_`` for a dot."""
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/meminfo").write_text(MEMINFO)
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def v2(folder: Path, group: str = "/", mount: str = V2_MOUNT, **files: str) -> Path:
    return tree(folder, proc__self__cgroup=f"0::{group}\n", proc__self__mountinfo=mount, **files)


def v1(folder: Path, group: str = "/", mount: str = V1_MOUNTS, **files: str) -> Path:
    lines = f"5:memory:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:/\n"
    return tree(folder, proc__self__cgroup=lines, proc__self__mountinfo=mount, **files)


def test_without_any_cgroup_the_affinity_and_the_physical_memory_count(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert machine.available_cpus(root, {0, 3, 5}) == 3
    assert machine.cpu_quota(root) is None
    assert machine.cgroup_memory_limit(root) is None
    assert machine.memory_limit(root) == 8_000_000 * 1024


def test_v2_quota_rounds_up_to_whole_processors(tmp_path: Path) -> None:
    root = v2(tmp_path, sys__fs__cgroup__cpu_DOT_max="150000 100000\n")
    assert machine.cpu_quota(root) == 1.5
    assert machine.available_cpus(root, range(8)) == 2


def test_v2_max_is_no_limit(tmp_path: Path) -> None:
    root = v2(tmp_path, sys__fs__cgroup__cpu_DOT_max="max 100000\n", sys__fs__cgroup__memory_DOT_max="max\n")
    assert machine.available_cpus(root, range(8)) == 8
    assert machine.cgroup_memory_limit(root) is None


def test_a_quota_larger_than_the_affinity_changes_nothing(tmp_path: Path) -> None:
    root = v2(tmp_path, sys__fs__cgroup__cpu_DOT_max="1600000 100000\n")
    assert machine.available_cpus(root, {1, 2}) == 2


def test_a_quota_below_one_processor_still_allows_one(tmp_path: Path) -> None:
    root = v2(tmp_path, sys__fs__cgroup__cpu_DOT_max="25000 100000\n")
    assert machine.available_cpus(root, range(8)) == 1


def test_v2_the_tightest_group_above_counts(tmp_path: Path) -> None:
    root = v2(
        tmp_path,
        "/a.slice/b.scope",
        sys__fs__cgroup__a_DOT_slice__b_DOT_scope__cpu_DOT_max="800000 100000",
        sys__fs__cgroup__a_DOT_slice__cpu_DOT_max="300000 100000",
        sys__fs__cgroup__a_DOT_slice__b_DOT_scope__memory_DOT_max="2000000",
        sys__fs__cgroup__a_DOT_slice__memory_DOT_max="max",
    )
    assert machine.available_cpus(root, range(16)) == 3
    assert machine.memory_limit(root) == 2_000_000


def test_v2_a_path_that_only_the_host_can_see_falls_back_to_the_mount(tmp_path: Path) -> None:
    root = v2(tmp_path, "/docker/0123", sys__fs__cgroup__cpu_DOT_max="200000 100000")
    assert machine.available_cpus(root, range(16)) == 2


@pytest.mark.parametrize("group", ["/../../other", "/.."])
def test_v2_a_path_above_the_namespace_asks_the_mount(tmp_path: Path, group: str) -> None:
    (tmp_path / "box").mkdir()
    mount = V2_MOUNT.replace(" / /sys", " /pod /sys")
    root = v2(tmp_path / "box", group, mount, sys__fs__cgroup__memory_DOT_max="4096000")
    assert machine.cgroup_memory_limit(root) == 4_096_000


def test_v1_quota_and_memory(tmp_path: Path) -> None:
    root = v1(
        tmp_path,
        "/job",
        **{
            "sys__fs__cgroup__cpu,cpuacct__job__cpu_DOT_cfs_quota_us": "400000\n",
            "sys__fs__cgroup__cpu,cpuacct__job__cpu_DOT_cfs_period_us": "100000\n",
            "sys__fs__cgroup__memory__job__memory_DOT_limit_in_bytes": "1073741824\n",
            "sys__fs__cgroup__memory__memory_DOT_limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert machine.available_cpus(root, range(16)) == 4
    assert machine.memory_limit(root) == 1 << 30


def test_v1_minus_one_and_the_largest_number_are_no_limit(tmp_path: Path) -> None:
    root = v1(
        tmp_path,
        **{
            "sys__fs__cgroup__cpu,cpuacct__cpu_DOT_cfs_quota_us": "-1\n",
            "sys__fs__cgroup__cpu,cpuacct__cpu_DOT_cfs_period_us": "100000\n",
            "sys__fs__cgroup__memory__memory_DOT_limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert machine.available_cpus(root, range(16)) == 16
    assert machine.cgroup_memory_limit(root) is None


def test_v1_a_container_whose_group_is_the_mounts_root(tmp_path: Path) -> None:
    mount = V1_MOUNTS.replace(" / /sys", " /docker/77 /sys")
    root = v1(
        tmp_path,
        "/docker/77/inner",
        mount,
        sys__fs__cgroup__memory__inner__memory_DOT_limit_in_bytes="5000000",
    )
    assert machine.memory_limit(root) == 5_000_000


def test_the_group_is_found_at_a_mount_point_with_a_space(tmp_path: Path) -> None:
    mount = V2_MOUNT.replace("/sys/fs/cgroup", "/my\\040groups")
    root = v2(tmp_path, "/", mount, **{"my groups__memory_DOT_max": "777777"})
    assert machine.memory_limit(root) == 777_777


def test_rubbish_in_the_files_sets_no_limit(tmp_path: Path) -> None:
    root = v2(
        tmp_path,
        sys__fs__cgroup__cpu_DOT_max="all of them",
        sys__fs__cgroup__memory_DOT_max="plenty",
    )
    assert machine.available_cpus(root, range(4)) == 4
    assert machine.cgroup_memory_limit(root) is None


def test_this_machine_gives_believable_answers() -> None:
    assert 1 <= machine.available_cpus() <= len(os.sched_getaffinity(0))
    assert machine.memory_limit() > 16 << 20


def test_sizes_are_said_in_the_unit_that_fits() -> None:
    sizes = (0, 5, 1_048_575, 1 << 20, 102_400_000, 1 << 30, 1 << 50)
    assert [machine.said_bytes(size) for size in sizes] == [
        "0 bytes",
        "5 bytes",
        "1,048,575 bytes",
        "1.0 MiB",
        "97.7 MiB",
        "1.0 GiB",
        "1,048,576.0 GiB",
    ]
