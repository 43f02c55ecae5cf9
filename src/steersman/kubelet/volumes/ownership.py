"""Who may write to a volume: everybody, or a group (fsGroup; upstream pkg/volume/volume_linux.go)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_READ_WRITE, _READ_ONLY, _DIRECTORY = 0o660, 0o440, 0o110


def open_to_all(directory: Path) -> None:
    """Everybody may write, whatever the umask was. A tmpfs has the sticky bit beside that, and keeps it."""
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    if mode & 0o777 != 0o777:
        os.chmod(directory, mode | 0o777)


def _wanted_mode(mode: int, readonly: bool) -> int:
    mask = _READ_ONLY if readonly else _READ_WRITE
    if stat.S_ISDIR(mode):
        mask |= stat.S_ISGID | _DIRECTORY
    return stat.S_IMODE(mode) | mask


def _give(path: Path, group: int, readonly: bool) -> None:
    found = os.lstat(path)
    os.chown(path, -1, group, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        # After chown, which clears the setgid bit of files.
        os.chmod(path, _wanted_mode(found.st_mode, readonly))


def matches(root: Path, group: int, readonly: bool) -> bool:
    """Whether the root alone already looks right: fsGroupChangePolicy OnRootMismatch."""
    found = os.lstat(root)
    return found.st_gid == group and stat.S_IMODE(found.st_mode) == _wanted_mode(found.st_mode, readonly)


def set_ownership(root: Path, group: int, *, readonly: bool = False, on_root_mismatch: bool = False) -> None:
    """Give everything at and below `root` to the group, the root last, so that a broken-off run is noticed."""
    if on_root_mismatch and matches(root, group, readonly):
        return
    for folder, names, files in os.walk(root):
        for name in names + files:
            _give(Path(folder, name), group, readonly)
    _give(root, group, readonly)
