"""Unpacked layers: one directory per layer, named after the digest of its uncompressed tar (diff id), made once and shared by
all images."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import secrets
import tarfile
import zlib
from collections.abc import Iterable

import zstandard

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.files import read_or_none, remove_tree, write_atomic
from steersman.cri.native.untar import Readable, UnsafeArchive, unpack

_NAME_LENGTH = 24
"""Hex digits of a directory's name: 128 layers must fit into a page of mount options, and 96 bits do not collide."""
_PARTIAL = "tmp-"
_RATIO, _UNSUSPICIOUS = 200, 1 << 30
"""How many times larger than its blob a layer may be; one of up to so many bytes always may."""
_LOOK_EVERY = 16 << 20
_SPARE, _SPARE_MOST = 100, 256 << 20
"""The part of the disk, and at most so many bytes, that no image takes."""


def directory_name(diff_id: str) -> str:
    return diff_id.removeprefix("sha256:")[:_NAME_LENGTH]


class _Hashing:
    """Passes a stream through and keeps its SHA-256. Stops with UnsafeArchive at `most` bytes, and with OSError before the disk
    of `place` is full: other pods need room as well."""

    def __init__(self, source: Readable, most: int, place: str) -> None:
        self._source, self._most, self._place = source, most, place
        self._hash = hashlib.sha256()
        self._read = self._looked = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self._read += len(data)
        if self._read > self._most:
            raise UnsafeArchive(f"it unpacks to more than {_RATIO} times its size")
        if self._read - self._looked >= _LOOK_EVERY:
            self._looked = self._read
            check_room(self._place, 0)
        return data

    def digest(self) -> str:
        """Of the whole stream, whose rest is read."""
        while self.read(1 << 20):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def decompressed(stream: io.BufferedReader) -> Readable:
    """The stream without gzip or zstd, told by its first bytes."""
    magic = stream.peek(4)[:4]
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=stream)
    if magic == b"\x28\xb5\x2f\xfd":
        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return stream


def check_room(place: str, wanted: int) -> None:
    """Raises OSError if the disk has no room for so many bytes more."""
    disk = os.statvfs(place)
    spare = min(disk.f_blocks * disk.f_frsize // _SPARE, _SPARE_MOST)
    if disk.f_bavail * disk.f_frsize < wanted + spare:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)


def mount_order(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Directories of the layers, bottom first, each once: overlayfs refuses one twice, and all that the lower one has the upper
    one has again."""
    names = [directory_name(diff_id) for diff_id in diff_ids]
    return tuple(reversed(dict.fromkeys(reversed(names))))


class Layers:
    """The layer directories under `root`. Only root comes there: they may hold setuid files and devices."""

    def __init__(self, root: str) -> None:
        self.root = root
        os.makedirs(root, mode=0o700, exist_ok=True)
        os.chmod(root, 0o700)

    def size(self, diff_id: str) -> int | None:
        """Bytes of content of an unpacked layer; None if it is not here."""
        name = directory_name(diff_id)
        return self.usage([name])[0] if os.path.exists(f"{self.root}/{name}.size") else None

    def usage(self, names: Iterable[str]) -> tuple[int, int]:
        """(bytes, inodes) of layer directories, as counted when they were unpacked."""
        size = inodes = 0
        for name in names:
            words = (read_or_none(f"{self.root}/{name}.size") or b"0 0").split()
            size, inodes = size + int(words[0]), inodes + int(words[-1])
        return size, inodes

    def add(self, stream: io.BufferedReader, diff_id: str, packed: int) -> int:
        """Unpack a layer (compressed or not) of `packed` bytes and check it against its diff id. Blocking. Raises RuntimeFault,
        OSError."""
        temporary = f"{self.root}/{_PARTIAL}{secrets.token_hex(8)}"
        os.mkdir(temporary, 0o755)
        hashing = _Hashing(decompressed(stream), max(packed * _RATIO, _UNSUSPICIOUS), self.root)
        try:
            size, entries = unpack(hashing, temporary)
            if (found := hashing.digest()) != diff_id:
                raise RuntimeFault(f"layer has digest {found}, expected {diff_id}", reason="ErrImagePull")
            return self._finish(temporary, diff_id, size, entries)
        except (UnsafeArchive, tarfile.TarError, zlib.error, zstandard.ZstdError, EOFError, gzip.BadGzipFile) as error:
            raise RuntimeFault(f"layer {diff_id} cannot be unpacked: {error}", reason="ErrImagePull") from error
        finally:
            remove_tree(temporary)

    def add_file(self, path: str, name: str, identity: str) -> int:
        """A layer of one file, which is moved here. Blocking."""
        temporary = f"{self.root}/{_PARTIAL}{secrets.token_hex(8)}"
        try:
            os.makedirs(os.path.dirname(f"{temporary}/{name}"))
            for directory, _, _ in os.walk(temporary):
                os.chmod(directory, 0o755)
            os.chmod(path, 0o644)
            os.rename(path, f"{temporary}/{name}")
            size = os.path.getsize(f"{temporary}/{name}")
            return self._finish(temporary, identity, size, name.count("/") + 2)
        finally:
            remove_tree(temporary)

    def _finish(self, temporary: str, identity: str, size: int, entries: int) -> int:
        final = f"{self.root}/{directory_name(identity)}"
        remove_tree(final)  # without its size file it was never complete
        os.rename(temporary, final)
        write_atomic(f"{final}.size", f"{size} {entries}".encode(), mode=0o644, durable=True)
        return size

    def sweep(self, wanted: Iterable[str]) -> int:
        """Remove every layer directory not named, and what half-made ones left; how many."""
        keep = set(wanted)
        gone = {name.removesuffix(".size") for name in os.listdir(self.root)} - keep
        for name in gone:
            try:
                os.unlink(f"{self.root}/{name}.size")  # first: without it the directory counts as incomplete
            except FileNotFoundError:
                pass
            remove_tree(f"{self.root}/{name}")
        return len(gone)
