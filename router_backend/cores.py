"""How much of the machine this process may use: affinity, and the limits of its control group (cgroups v2 and v1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # what v1 says where there is no limit


def usable_cores(root: Path = _ROOT, group: Path = Path("/proc/self/cgroup")) -> float:
    """Cores, perhaps a fraction of one."""
    cores = float(len(os.sched_getaffinity(0)))
    for folder in _folders(root, group):
        quota = _text(folder / "cpu.max").split() or [
            _text(folder / "cpu.cfs_quota_us"),
            _text(folder / "cpu.cfs_period_us"),
        ]
        if all(number.isdigit() for number in quota) and int(quota[1]):
            cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def memory_limit(root: Path = _ROOT, group: Path = Path("/proc/self/cgroup")) -> int | None:
    """Bytes; None: there is no limit but the machine's."""
    found = [
        int(text)
        for folder in _folders(root, group)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _text(folder / name)).isdigit()
    ]
    return min((limit for limit in found if limit < _UNLIMITED), default=None)


def _folders(root: Path, group: Path) -> Iterator[Path]:
    """Of this process's groups and all above: each may set a limit. In a container the root is its own."""
    for line in _text(group).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            folder = root / controller
            for part in (*reversed(Path(path).relative_to("/").parents), Path(path).relative_to("/")):
                yield folder / part


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
