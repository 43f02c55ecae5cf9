"""Files with their owners as a pod's user namespace sees them: mounts whose ids the kernel maps, and, where its file systems
can't, files that change their owner.

What is root's on disk is then root's inside; what root inside writes is root's on disk. The calls take an fd of the user
namespace (`open_namespace`). Overlays are mapped below: their layers are, and their upper directory belongs to root inside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from steersman.cri.messages import IdMapping
from steersman.cri.native import linux

_CANNOT = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)


def open_namespace(pid: int) -> int:
    """The user namespace of a process. Raises OSError."""
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def bind(source: str, target: str, namespace: int | None = None) -> None:
    """Mount a file or folder, with what is mounted below it, at `target`, which is made; None: as it is. Raises OSError."""
    tree = linux.open_tree(source)
    try:
        if namespace is not None:
            _map(tree, namespace, source)
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        linux.move_mount(tree, target)
    finally:
        os.close(tree)


def _map(tree: int, namespace: int, source: str) -> None:
    try:
        linux.map_ids(tree, namespace, source)
    except OSError as error:
        if error.errno in _CANNOT:
            text = "failed to set MOUNT_ATTR_IDMAP (maybe the filesystem used doesn't support idmap mounts on this kernel?)"
            raise OSError(error.errno, text, source) from error
        raise


def possible(folder: str, namespace: int) -> bool:
    """Whether what lies in the folder can be mapped."""
    tree = linux.open_tree(folder)
    try:
        linux.map_ids(tree, namespace, folder)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    finally:
        os.close(tree)
    return True


def give(root: str, mappings: Sequence[IdMapping]) -> None:
    """Change the owner of everything at and below `root` to who it is inside: ids that are not mapped stay. In an overlay this
    copies every file. Raises OSError."""

    def shift(path: str) -> None:
        found = os.lstat(path)
        uid, gid = outside(found.st_uid, mappings), outside(found.st_gid, mappings)
        if (uid, gid) == (found.st_uid, found.st_gid):
            return
        os.lchown(path, uid, gid)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(path, stat.S_IMODE(found.st_mode))  # lchown has taken setuid and setgid away

    for folder, names, files in os.walk(root, topdown=False):
        for name in [*names, *files]:
            shift(f"{folder}/{name}")
    shift(root)


def outside(inside: int, mappings: Sequence[IdMapping]) -> int:
    """The node's id of one inside; itself if it is not mapped."""
    for each in mappings:
        if each.container_id <= inside < each.container_id + each.length:
            return each.host_id + inside - each.container_id
    return inside
