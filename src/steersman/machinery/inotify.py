"""The kernel's word on files that change in a directory (inotify(7)), by ctypes. Waiting for it is the caller's part."""

from __future__ import annotations

import ctypes
import os

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x40, 0x80, 0x100, 0x200
_libc = ctypes.CDLL(None, use_errno=True)


def watch(directory: str, mask: int) -> int:
    """A non-blocking inotify fd watching one directory. Raises OSError that names it."""
    fd = _check(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify")
    try:
        _check(_libc.inotify_add_watch(fd, os.fsencode(directory), mask), directory)
    except OSError:
        os.close(fd)
        raise
    return fd


def names(fd: int) -> list[str]:
    """The file names of the events that wait on an inotify fd (struct inotify_event: wd, mask, cookie, len, name)."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return []
    found: list[str] = []
    offset = 0
    while offset < len(data):
        length = int.from_bytes(data[offset + 12 : offset + 16], "little")
        found.append(os.fsdecode(data[offset + 16 : offset + 16 + length].rstrip(b"\0")))
        offset += 16 + length
    return found


def _check(result: int, subject: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)
    return result
