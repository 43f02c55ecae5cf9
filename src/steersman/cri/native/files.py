"""Small files on disk: atomic replacement, and removal of trees that may hold mounts or odd permissions."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager


def write_atomic(path: str, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace the file in one step: a reader, or a start after a crash, sees the old or the new content. durable: fsync as
    well."""
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        left = memoryview(data)
        while left:  # a disk that is nearly full takes a part
            left = left[os.write(fd, left) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)


def read_or_none(path: str) -> bytes | None:
    """The content; None if the file does not exist."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


@contextmanager
def locked(path: str, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between processes. Gives False, holding nothing, if it is taken and `wait` is False."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def remove_tree(path: str) -> None:
    """Remove a directory tree, however deep; nothing there is fine."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except RecursionError:
        _remove_deep(path)


def _remove_deep(path: str) -> None:
    """A tree that is too deep to walk down: what lies below is brought up, level by level."""
    numbers = itertools.count()
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        waiting = os.listdir(top)
        while waiting:
            name = waiting.pop()
            if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=top)
                continue
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
            try:
                for each in os.listdir(inner):
                    raised = f".removing-{os.getpid()}-{next(numbers)}"
                    os.rename(each, raised, src_dir_fd=inner, dst_dir_fd=top)
                    waiting.append(raised)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)
