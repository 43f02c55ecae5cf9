"""Events of the Node for processes that the kernel killed because the whole machine ran out of memory, read from its log.

What dies because a container reached its own limit is the container's affair (OOMKilled). Source: upstream pkg/kubelet/oom.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from steersman.kubelet.kit import Recorder
from steersman.machinery.meta import Obj
from steersman.machinery.programs import readable

log = logging.getLogger(__name__)

_KILLED = re.compile(r";Out of memory: Killed process (\d+) \((.*?)\)(?:, UID| total-vm:|$)")
"""A record is `<priority>,<number>,<microseconds>,<flags>;<text>`; of a cgroup's end it says `Memory cgroup out of memory`."""
_RECORD_BYTES = 8192


def victim(record: str) -> tuple[str, int] | None:
    """(name, pid) of who was killed for want of memory in the machine, if that is what the record says."""
    found = _KILLED.search(record.partition("\n")[0])
    return (found[2], int(found[1])) if found else None


async def watch(recorder: Recorder, node: Callable[[], Obj | None], path: Path = Path("/dev/kmsg")) -> None:
    """Until cancelled; returns at once where the kernel's log can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        log.info("the kernel's log can't be read, SystemOOM events will be missing path=%s error=%s", path, error)
        return
    try:
        os.lseek(fd, 0, os.SEEK_END)
        await follow(fd, recorder, node)
    finally:
        os.close(fd)


async def follow(fd: int, recorder: Recorder, node: Callable[[], Obj | None]) -> None:
    """Tell of every record from now on, until there are no more."""
    async for record in _records(fd):
        found, about = victim(record), node()
        if found is not None and about is not None:
            text = f"System OOM encountered, victim process: {found[0]}, pid: {found[1]}"
            recorder.event(about, "Warning", "SystemOOM", text)


async def _records(fd: int) -> AsyncIterator[str]:
    while True:
        try:
            data = os.read(fd, _RECORD_BYTES)
        except BlockingIOError:
            await readable(fd)
            continue
        except OSError as error:
            if error.errno == errno.EPIPE:  # some were overwritten before they were read
                continue
            raise
        if not data:
            return
        yield data.decode(errors="replace")
