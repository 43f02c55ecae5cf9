"""The Linux system calls that Python 3.11 lacks, by ctypes. Thin: every failure is an OSError naming the path; no policy here.

Calls marked "this thread" change only the calling thread (the kernel's credentials and namespaces are per thread); they must
run in a
thread that ends afterwards: see threads.py.
"""

from __future__ import annotations

import ctypes
import os
import platform

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
CLONE_FS, CLONE_NEWNS, CLONE_NEWUSER = 0x200, 0x20000, 0x10000000
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x04000000, 0x08000000, 0x20000000, 0x40000000
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x02, 0x04, 0x08, 0x10
PR_SET_NO_NEW_PRIVS = 38
_OPEN_TREE_CLONE, _AT_RECURSIVE, _AT_EMPTY_PATH, _MOVE_MOUNT_F_EMPTY_PATH = 0x1, 0x8000, 0x1000, 0x4
_MOUNT_ATTR_IDMAP = 0x00100000

_SYSCALLS = {
    # name: (x86_64, aarch64)
    "pivot_root": (155, 41),
    "setgroups": (116, 159),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "openat2": (437, 437),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
}
_COLUMN = 1 if platform.machine() == "aarch64" else 0
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def _check(result: int, subject: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)
    return result


def _syscall(name: str, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(_SYSCALLS[name][_COLUMN]), *arguments))


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode() or None, os.fsencode(target), fstype.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(result, target)


def umount(target: str) -> bool:
    """Detach what is mounted at target; False if nothing is (or target does not exist)."""
    try:
        _check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)
    except OSError as error:
        if error.errno in (22, 2):  # EINVAL: not a mount point; ENOENT
            return False
        raise
    return True


def unshare(flags: int) -> None:
    """unshare(2): this thread."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2): this thread."""
    _check(_libc.setns(fd, kind), "setns")


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2): this thread's mount namespace."""
    _check(_syscall("pivot_root", os.fsencode(new_root), os.fsencode(put_old)), new_root)


def drop_to(uid: int, gid: int) -> None:
    """Give up root and every way back to it: this thread, and what it spawns. (libc's own calls would change all threads.)"""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(_syscall("setgroups", ctypes.c_size_t(0), None), "setgroups")
    _check(_syscall("setresgid", ctypes.c_uint(gid), ctypes.c_uint(gid), ctypes.c_uint(gid)), "setresgid")
    _check(_syscall("setresuid", ctypes.c_uint(uid), ctypes.c_uint(uid), ctypes.c_uint(uid)), "setresuid")


def openat2(directory: int, path: str | bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2): an fd, resolved under the given RESOLVE_ rules. Always close-on-exec."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    return _check(_syscall("openat2", directory, name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))), os.fsdecode(path))


def open_tree(path: str) -> int:
    """open_tree(2): a copy, not attached anywhere, of what is mounted at the path and below it, as an fd."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    return _check(_syscall("open_tree", ctypes.c_int(-100), os.fsencode(path), ctypes.c_uint(flags)), path)


def map_ids(tree: int, user_namespace: int, subject: str) -> None:
    """mount_setattr(2): the ids of a user namespace (an fd) for the ids on disk, in a tree that is not attached; in what is
    mounted below its top they stay. OSError EINVAL: the file system can't."""
    attributes = _MountAttr(_MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    done = _syscall("mount_setattr", ctypes.c_int(tree), b"", ctypes.c_uint(_AT_EMPTY_PATH), ctypes.byref(attributes), size)
    _check(done, subject)


def move_mount(tree: int, target: str) -> None:
    """move_mount(2): attach what open_tree gave."""
    flags = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
    done = _syscall("move_mount", ctypes.c_int(tree), b"", ctypes.c_int(-100), os.fsencode(target), flags)
    _check(done, target)
