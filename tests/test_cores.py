"""Limits of control groups, as files of both versions say them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router_backend.cores import memory_limit, usable_cores

MANY = float(len(os.sched_getaffinity(0)))


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "files", "cores", "memory"),
    [
        ("0::/\n", {"cpu.max": "50000 100000\n", "memory.max": "1073741824\n"}, 0.5, 1 << 30),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, MANY, None),
        ("0::/\n", {}, MANY, None),
        ("0::/pods/one\n", {"pods/cpu.max": "20000 100000\n", "pods/one/cpu.max": "max 100000\n"}, 0.2, None),
        (
            "4:cpu,cpuacct:/one\n5:memory:/one\n",
            {
                "cpu/one/cpu.cfs_quota_us": "25000\n",
                "cpu/one/cpu.cfs_period_us": "100000\n",
                "memory/one/memory.limit_in_bytes": "268435456\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            0.25,
            1 << 28,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, MANY, None),
    ],
    ids=["v2", "v2 without limits", "no files", "v2, a group above", "v1", "v1 without limits"],
)
def test_the_smallest_limit_counts(
    tmp_path: Path, group: str, files: dict[str, str], cores: float, memory: int | None
) -> None:
    file = tmp_path / "self"
    file.write_text(group)
    root = written(tmp_path / "cgroup", files)
    assert usable_cores(root, file) == cores
    assert memory_limit(root, file) == memory
