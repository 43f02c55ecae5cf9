"""Small files on disk: atomic replacement, and removal of trees that may hold mounts or odd permissions."""

from __future__ import annotations

import os
import shutil


def write_atomic(path: str, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace the file in one step: a reader, or a start after a crash, sees the old or the new content. durable: fsync as
    well."""
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(fd, data)
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


def remove_tree(path: str) -> None:
    """Remove a directory tree; nothing there is fine."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
