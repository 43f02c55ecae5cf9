"""What a process has used so far, and what an idle one uses."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from steersman.cluster.procs import pss

_IDLE_PYTHON = "import asyncio\nasync def main():\n    while True: await asyncio.sleep(0.1)\nasyncio.run(main())"
_START_S = 2.0


def cpu_s(pid: int) -> float:
    """Processor seconds of its threads that live, to the nanosecond: /proc/PID/stat counts only whole ticks."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def idle_python(seconds: float) -> tuple[float, float]:
    """(per cent of a core, PSS in MB) of a Python process whose event loop wakes ten times a second: any part of ours is
    one at least. Blocks."""
    process = subprocess.Popen([sys.executable, "-c", _IDLE_PYTHON])
    try:
        time.sleep(_START_S)
        before = cpu_s(process.pid)
        time.sleep(seconds)
        return 100 * (cpu_s(process.pid) - before) / seconds, pss(process.pid) / 1e6
    finally:
        process.kill()
        process.wait()
