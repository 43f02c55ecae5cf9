"""subPath mounts: a part of a volume, opened without following links out of it and bound to a place of our own.

Binding the opened folder, and not its name, closes the race with a container that swaps a folder for a link.
Source: upstream pkg/volume/util/subpath.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from steersman.kubelet.volumes import mounts
from steersman.kubelet.volumes.base import VolumeFault


def open_inside(root: Path, relative: str) -> int:
    """A file descriptor of root/relative, no component a link."""
    current = os.open(root, os.O_PATH | os.O_NOFOLLOW)
    try:
        for part in Path(relative).parts:
            following = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = following
            if stat.S_ISLNK(os.fstat(current).st_mode):
                raise OSError(f"{part} became a link")
    except OSError:
        os.close(current)
        raise
    return current


def _resolved(root: Path, relative: str, writable: bool) -> Path:
    """The real path, inside the volume. Missing folders are made, through open folders and no links: who has the volume mounted
    already may swap one for a link to somewhere on the node meanwhile."""
    wanted = Path(os.path.realpath(root / relative))
    real_root = Path(os.path.realpath(root))
    if wanted != real_root and real_root not in wanted.parents:
        raise VolumeFault(f"subpath {relative!r} not within volume path {str(real_root)!r}")
    if not wanted.exists():
        if not writable:
            raise VolumeFault(f"subpath {relative!r} does not exist, and its volume is read-only")
        _make(real_root, wanted.relative_to(real_root))
    return wanted


def _make(root: Path, relative: Path) -> None:
    """mkdir -p inside, with the root's mode. Raises OSError."""
    current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        mode = os.fstat(current).st_mode & 0o7777
        for part in relative.parts:
            try:
                os.mkdir(part, dir_fd=current)
                made = True
            except FileExistsError:
                made = False
            following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = following
            if made:
                os.fchmod(current, mode)
    finally:
        os.close(current)


def bind(root: Path, relative: str, target: Path, *, writable: bool = True) -> Path:
    """Bind root/relative at `target`; the target. Only what is `writable` gets missing folders. Raises VolumeFault."""
    if os.path.isabs(relative) or ".." in relative.split("/"):
        raise VolumeFault(f"subPath must be relative and not contain '..': {relative}")
    try:
        wanted = _resolved(root, relative, writable)
        if root.is_file():
            return root
        opened = open_inside(Path(os.path.realpath(root)), str(wanted.relative_to(os.path.realpath(root))))
        try:
            _place(stat.S_ISDIR(os.fstat(opened).st_mode), target)
            mounts.mount(f"/proc/self/fd/{opened}", target, "", mounts.MS_BIND | mounts.MS_REC)
        finally:
            os.close(opened)
    except OSError as error:
        raise VolumeFault(str(error)) from None
    return target


def _place(is_folder: bool, target: Path) -> None:
    """An empty folder or file to mount over."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Of the container's last run: what is made below must be ours, not the volume's file.
    mounts.detach(target)
    if target.exists() and target.is_dir() is not is_folder:
        target.rmdir() if target.is_dir() else target.unlink()
    if is_folder:
        target.mkdir(exist_ok=True)
    else:
        target.touch()
