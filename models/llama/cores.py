"""How many cores a process may use: those of its affinity, no more than its control group grants."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """The cores that threads of this process can have at the same time, at least one.

    A container may see every core of its machine and be granted two: more threads than that wait for each other.
    """
    return max(1, min(len(os.sched_getaffinity(0)), _granted(quota)))


def _granted(quota: Path) -> int:
    """What version 2 of Linux's control groups grants: microseconds of work, and in how many."""
    try:
        work, period = quota.read_text(encoding="ascii").split()
        return math.ceil(int(work) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # Nothing is said, or "max".
        return os.cpu_count() or 1
