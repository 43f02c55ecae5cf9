"""Loads a server on loopback with wrk (Debian's), which costs a tenth of what a Python client would."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.usage import cpu_s

SECONDS = 5


class NoWrk(Exception):
    """wrk is not installed."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests and megabytes per second, and the processor time that one request cost the server."""

    rate: float
    mb_rate: float
    each_us: float


def load(url: str, pid: int, *, headers: dict[str, str], script: Path | None = None, connections: int = 16) -> Load:
    """SECONDS of requests to the server of that process. Raises as `rate` does."""
    before = cpu_s(pid)
    requests, megabytes = rate(url, headers=headers, script=script, connections=connections)
    return Load(requests, megabytes, (cpu_s(pid) - before) * 1e6 / (requests * SECONDS))


def rate(url: str, *, headers: dict[str, str], script: Path | None = None, connections: int = 16) -> tuple[float, float]:
    """(requests per second, megabytes per second) over SECONDS. Raises NoWrk, RuntimeError if answers were errors."""
    if shutil.which("wrk") is None:
        raise NoWrk("wrk is not installed: apt-get install wrk")
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{SECONDS}s", "--timeout", "30s"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if script is not None:
        command += ["-s", str(script)]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout:
        raise RuntimeError(f"{url} answered with errors:\n{done.stdout}")
    requests = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    transfer = re.search(r"Transfer/sec:\s+([\d.]+)(\w+)", done.stdout)
    if requests is None or transfer is None:
        raise RuntimeError(f"wrk said something else than expected:\n{done.stdout}")
    scale = {"B": 1e-6, "KB": 1.024e-3, "MB": 1.048576, "GB": 1073.741824}[transfer.group(2)]
    return float(requests.group(1)), float(transfer.group(1)) * scale
