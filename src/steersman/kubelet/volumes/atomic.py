"""The atomic writer: a set of files that changes all at once.

Files live in a dated folder, `..data` links to it, the visible names link into `..data`; an update makes a new folder and
swaps the link by a rename, so that a reader sees all old or all new files. Source: upstream pkg/volume/util/atomic_writer.go.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from steersman.kubelet.volumes.base import VolumeFault

_DATA, _DATA_TMP = "..data", "..data_tmp"
MAX_PATH = 4096


class File(NamedTuple):
    """owner: a user id, None for root."""

    content: bytes
    mode: int
    owner: int | None = None


def _check(path: str) -> None:
    if os.path.isabs(path):
        raise VolumeFault(f"invalid path: must be relative path: {path}")
    if len(path) > MAX_PATH:
        raise VolumeFault(f"invalid path: must be less than or equal to {MAX_PATH} characters")
    if ".." in path.split("/"):
        raise VolumeFault(f"invalid path: must not contain '..': {path}")
    if path.startswith(".."):
        raise VolumeFault(f"invalid path: must not start with '..': {path}")


def _holds(folder: Path, payload: Mapping[str, File]) -> bool:
    """Whether the folder has exactly these files with these contents."""
    found = {str(Path(base, name).relative_to(folder)) for base, _, names in os.walk(folder) for name in names}
    if found != {os.path.normpath(path) for path in payload}:
        return False
    for path, file in payload.items():
        target = folder / path
        if target.read_bytes() != file.content or target.stat().st_mode & 0o777 != file.mode & 0o777:
            return False
    return True


def write(root: Path, payload: Mapping[str, File], now: datetime, group: int | None = None) -> bool:
    """Make the folder show these files. True if anything changed. group: the fsGroup."""
    for path in payload:
        _check(path)
    if group is not None:
        payload = {path: file._replace(mode=file.mode | 0o440) for path, file in payload.items()}
    current = root / _DATA
    old = root / os.readlink(current) if current.is_symlink() else None
    if old is not None and old.is_dir() and _holds(old, payload):
        return False
    fresh = Path(tempfile.mkdtemp(prefix=f"..{now:%Y_%m_%d_%H_%M_%S}.", dir=root))
    _set(fresh, 0o755, None, group)
    for path, file in payload.items():
        target = fresh / path
        _make_folders(fresh, target.parent, group)
        target.write_bytes(file.content)
        _set(target, file.mode, file.owner, group)
    staged = root / _DATA_TMP
    staged.unlink(missing_ok=True)
    staged.symlink_to(fresh.name)
    staged.rename(current)
    _link_visible(root, {path.split("/")[0] for path in map(os.path.normpath, payload)})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _make_folders(top: Path, folder: Path, group: int | None) -> None:
    missing = []
    while folder != top and not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir()
        _set(each, 0o755, None, group)


def _set(path: Path, mode: int, owner: int | None, group: int | None) -> None:
    if owner is not None or group is not None:
        os.chown(path, -1 if owner is None else owner, -1 if group is None else group)
    if group is not None and path.is_dir():
        mode |= 0o2110
    os.chmod(path, mode)


def _link_visible(root: Path, names: set[str]) -> None:
    for name in names:
        link = root / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")
    for entry in os.listdir(root):
        if not entry.startswith("..") and entry not in names:
            (root / entry).unlink(missing_ok=True)
