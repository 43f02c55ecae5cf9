"""What a process has used so far."""

from __future__ import annotations

from pathlib import Path


def cpu_s(pid: int) -> float:
    """Processor seconds of its threads that live, to the nanosecond: /proc/PID/stat counts only whole ticks."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
