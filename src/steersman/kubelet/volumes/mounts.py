"""mount(2) and umount2(2), straight from libc: no process per call."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import lru_cache
from pathlib import Path

MS_BIND = 4096
MS_REC = 16384
_UMOUNT_NOFOLLOW = 8
_MNT_DETACH = 2


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: Path | str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Raises OSError."""
    arguments = [source.encode(), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None]
    _check(_libc().mount(*arguments), target)


def mount_memory(target: Path, size_bytes: int = 0) -> None:
    """A tmpfs, out of swap's reach where the kernel knows how (6.4). size_bytes 0: half of the memory. Raises OSError."""
    options = [f"size={size_bytes}"] if size_bytes else []
    try:
        mount("tmpfs", target, "tmpfs", 0, ",".join([*options, "noswap"]))
    except OSError:
        mount("tmpfs", target, "tmpfs", 0, ",".join(options))


def unmount(target: Path) -> None:
    """Detach whatever is mounted there; nothing if nothing is. Raises OSError."""
    while os.path.ismount(target):
        _check(_libc().umount2(os.fsencode(target), _MNT_DETACH | _UMOUNT_NOFOLLOW), target)


def detach(target: Path) -> None:
    """Detach whatever is mounted there, bind mounts within a file system too, which `unmount` does not notice. Raises OSError."""
    try:
        while True:
            _check(_libc().umount2(os.fsencode(target), _MNT_DETACH | _UMOUNT_NOFOLLOW), target)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def mounts_below(root: Path) -> list[Path]:
    """Mount points at or below a folder, deepest first."""
    lead = str(root)
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split(" ", 5)[4].encode().decode("unicode_escape")
        if point == lead or point.startswith(lead + "/"):
            found.append(Path(point))
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def is_in_use(device: Path) -> bool:
    """Whether a file system on that block device is mounted anywhere."""
    try:
        number = os.stat(device).st_rdev
    except FileNotFoundError:
        return False
    wanted = f"{os.major(number)}:{os.minor(number)}"
    return any(line.split(" ", 3)[2] == wanted for line in Path("/proc/self/mountinfo").read_text().splitlines())


def is_mount(path: Path) -> bool:
    """Whether something is mounted there, as the kernel says: os.path.ismount misses bind mounts within a file system, and would
    wait for a file server that is gone.
    """
    return path in mounts_below(path)


def unmount_below(root: Path) -> None:
    """Detach all mounts at or below a folder."""
    for path in mounts_below(root):
        _check(_libc().umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW), path)
