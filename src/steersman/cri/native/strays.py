"""Processes still at work on a container that nobody waits for any more: a monitor, or the OCI runtime that it has make it.

A kill -9 of this process or of conmon leaves the other ones at it, with neither pid file nor state on disk yet: what is ended
by those alone is made a moment later all the same, and then belongs to nobody. A container's id is random, so whoever has it
on his command line is one of them. Not here: what runs in the container (its cgroup tells) and exec's programs (execs.py).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from steersman.cri.native.procs import ProcessId, gone, identify, send

_PROC = Path("/proc")
_PROGRAMS = (b"conmon", b"crun", b"runc", b"env")
"""env, as oci.py has it start conmon."""


def at_work(container_id: str, program: str) -> list[ProcessId]:
    """Those that make, or monitor, a container. `program`: the OCI runtime's path."""
    names = {*_PROGRAMS, os.path.basename(program).encode()}
    found = []
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(os.path.basename(word) in names for word in words[:2]) and container_id.encode() in words:
            process = identify(int(folder.name))
            if process is not None:
                found.append(process)
    return found


async def end(container_id: str, program: str) -> None:
    """Kill them, and whomever they start meanwhile; afterwards nothing is being made of the container."""
    while found := at_work(container_id, program):
        for process in found:
            send(process, signal.SIGKILL)
        for process in found:
            await gone(process)
