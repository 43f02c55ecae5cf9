"""Unpacking one image layer into an overlay directory, safely: nothing in the archive can reach outside.

Every path is resolved by openat2 with the target as root, so that neither `..` nor symbolic links (also ones this archive made)
lead out. How much there may be is limited: entries, depth, headers (which tarfile keeps in memory).
Whiteouts become overlayfs's own (character device 0/0, trusted.overlay.opaque). Devices are made, as containerd makes them: the
container's device cgroup says which of them it may open, and nobody else comes to where layers are (layers.py). For setuid files
the same holds. Source: OCI image-spec layer.md.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
from typing import Any, Protocol

from steersman.cri.native import linux

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_RESOLVE = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS
_CHUNK = 1 << 20
MOST_ENTRIES = 1_000_000
DEEPEST = 200
"""Names in a path."""
_HEADERS = 8 << 20
"""Bytes of an entry's headers: long names, extended attributes."""
_HOLES = 1 << 30
"""Bytes that sparse files may have beyond what is stored of them, all together."""
_MOST_ID, _MOST_DEVICE = (1 << 32) - 1, (1 << 20) - 1


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class UnsafeArchive(Exception):
    """The archive names something it must not."""


class _Metered:
    """The stream, read by tarfile in chunks; it ends with an error when an entry's headers go on and on."""

    def __init__(self, source: Readable) -> None:
        self._source, self._read, self._limit = source, 0, _HEADERS

    def allow(self, size: int) -> None:
        """After an entry's header: its content and the next headers may be read."""
        self._limit = self._read + size + _HEADERS

    def read(self, size: int = -1, /) -> bytes:
        if self._read > self._limit:
            raise UnsafeArchive(f"headers of more than {_HEADERS >> 20} MiB")
        data = self._source.read(size)
        self._read += len(data)
        return data


def unpack(stream: Readable, target: str) -> tuple[int, int]:
    """Unpack an uncompressed tar stream into the directory; (bytes of file content, entries). Raises UnsafeArchive, OSError,
    TarError."""
    unpacker = _Unpacker(target)
    source: Any = _Metered(stream)  # typeshed asks for a whole file; a streamed tar is only read
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=_CHUNK, errors="surrogateescape") as archive:
            while (member := archive.next()) is not None:
                vars(archive)["members"].clear()  # it would keep them all
                source.allow(content := _content(member))
                unpacker.expand(member.size - content if member.isreg() else 0)
                unpacker.add(archive, member)
        unpacker.finish()
    except RecursionError as error:  # tarfile reads a header that announces another by calling itself
        raise UnsafeArchive("headers that only announce others") from error
    except (ValueError, OverflowError) as error:  # of numbers and names that tarfile let pass
        raise UnsafeArchive(f"a header makes no sense: {error}") from error
    finally:
        unpacker.close()
    return unpacker.size, unpacker.entries


def _content(member: tarfile.TarInfo) -> int:
    """Bytes that follow the header. Raises UnsafeArchive."""
    sparse: list[tuple[int, int]] | None = getattr(member, "sparse", None)
    sizes = [size for _, size in sparse] if sparse else []
    if member.size < 0 or any(size < 0 for size in sizes):
        raise UnsafeArchive(f"{member.name[:100]!r} has a negative size")
    return sum(sizes) if sizes else member.size if member.isreg() else 0


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise UnsafeArchive(f"path {name[:100]!r} leads outside")
    if len(parts) > DEEPEST:
        raise UnsafeArchive(f"path {name[:100]!r}… has more than {DEEPEST} names")
    return parts


class _Unpacker:
    def __init__(self, target: str) -> None:
        self.size = self.entries = self._holes = 0
        self._root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._parent_path: str | None = None
        self._parent = -1
        self._directory_times: dict[str, tuple[int, int]] = {}

    def close(self) -> None:
        self._forget_parent()
        os.close(self._root)

    def finish(self) -> None:
        """Directories get their times last: filling them changed them."""
        for path in sorted(self._directory_times, reverse=True):
            try:
                fd = linux.openat2(self._root, path or ".", os.O_RDONLY | os.O_DIRECTORY, _RESOLVE | linux.RESOLVE_NO_SYMLINKS)
            except OSError:  # a later entry replaced it
                continue
            try:
                os.utime(fd, ns=self._directory_times[path])
            finally:
                os.close(fd)

    def expand(self, holes: int) -> None:
        self._holes += holes
        if self._holes > _HOLES:
            raise UnsafeArchive(f"sparse files with holes of more than {_HOLES >> 30} GiB")

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.entries += 1
        if self.entries > MOST_ENTRIES:
            raise UnsafeArchive(f"more than {MOST_ENTRIES} entries")
        _check_numbers(member)
        parts = _parts(member.name)
        if not parts:
            if member.isdir():
                self._attributes(self._root, ".", member)
                self._directory_times[""] = _times(member)
            return
        parent = self._open_parent("/".join(parts[:-1]))
        name = parts[-1]
        if name.startswith(_WHITEOUT):
            self._whiteout(parent, name)
            return
        if self._clear(parent, name, keep_directory=member.isdir()):
            self._make(archive, member, parent, name)
        if not member.islnk():  # a hard link's attributes are its target's
            self._attributes(parent, name, member)
        if member.isdir():
            self._directory_times["/".join(parts)] = _times(member)

    def _open_parent(self, path: str) -> int:
        if path != self._parent_path:
            self._forget_parent()
            self._parent = self._directory(path)
            self._parent_path = path
        return self._parent

    def _forget_parent(self) -> None:
        if self._parent >= 0:
            os.close(self._parent)
        self._parent, self._parent_path = -1, None

    def _directory(self, path: str) -> int:
        """An fd of the directory, made with its parents if it is not in the archive."""
        flags = os.O_PATH | os.O_DIRECTORY
        try:
            return linux.openat2(self._root, path or ".", flags, _RESOLVE)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UnsafeArchive(f"{path[:100]!r} is not a directory: {error.strerror}") from error
        above, _, name = path.rpartition("/")
        parent = self._directory(above)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError as error:
            raise UnsafeArchive(f"{path!r} is a dangling link") from error
        finally:
            os.close(parent)
        return linux.openat2(self._root, path, flags, _RESOLVE)

    def _whiteout(self, parent: int, name: str) -> None:
        if name == _OPAQUE:
            os.setxattr(f"/proc/self/fd/{parent}", "trusted.overlay.opaque", b"y")
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden.startswith(_WHITEOUT):  # aufs's own bookkeeping
            return
        if hidden in ("", ".", ".."):
            raise UnsafeArchive(f"whiteout {name!r}")
        self._clear(parent, hidden, keep_directory=False)
        os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)

    def _clear(self, parent: int, name: str, *, keep_directory: bool) -> bool:
        """Remove what an earlier entry left under this name; False if it is a directory that is wanted again."""
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return True
        if not stat.S_ISDIR(mode):
            os.unlink(name, dir_fd=parent)
            return True
        if keep_directory:
            return False
        self._forget_parent_below(parent)
        shutil.rmtree(name, dir_fd=parent)
        return True

    def _forget_parent_below(self, parent: int) -> None:
        if parent != self._parent:
            self._forget_parent()

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        if member.isdir():
            os.mkdir(name, 0o700, dir_fd=parent)
        elif member.isreg():
            self._file(archive, member, parent, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
        elif member.islnk():
            self._hard_link(member, parent, name)
        elif member.isfifo():
            os.mknod(name, stat.S_IFIFO | 0o600, dir_fd=parent)
        elif member.ischr() or member.isblk():
            if (member.devmajor, member.devminor) == (0, 0):
                raise UnsafeArchive(f"{member.name!r} is a device 0/0, which would hide a file")
            if not (0 <= member.devmajor <= _MOST_DEVICE >> 8 and 0 <= member.devminor <= _MOST_DEVICE):
                raise UnsafeArchive(f"{member.name!r} is a device {member.devmajor}/{member.devminor}, which cannot be")
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
        else:
            raise UnsafeArchive(f"{member.name!r} is of unknown type {member.type!r}")

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        source = archive.extractfile(member)
        if source is None:
            raise UnsafeArchive(f"{member.name!r} has no content")
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        with source, os.fdopen(fd, "wb", buffering=0) as file:
            shutil.copyfileobj(source, file, _CHUNK)
        self.size += member.size

    def _hard_link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        target = _parts(member.linkname)
        if not target:
            raise UnsafeArchive(f"hard link {member.name!r} to nothing")
        above = self._directory("/".join(target[:-1]))
        try:
            os.link(target[-1], name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as error:
            raise UnsafeArchive(f"hard link {member.name!r} to {member.linkname!r}, which is not in this layer") from error
        except PermissionError as error:
            raise UnsafeArchive(f"hard link {member.name!r} to {member.linkname!r}, which is a directory") from error
        finally:
            os.close(above)

    def _attributes(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        path = f"/proc/self/fd/{parent}/{name}"
        for key, value in member.pax_headers.items():
            attribute = key.removeprefix(_XATTR)
            # trusted.* would let an archive speak to overlayfs itself (redirects, opaque directories).
            if attribute != key and not attribute.startswith(("trusted.", "system.")):
                self._xattr(path, attribute, value.encode("utf-8", "surrogateescape"))
        if not member.issym():
            os.chmod(path, stat.S_IMODE(member.mode))  # after chown, which clears setuid
        if not member.isdir():
            os.utime(name, ns=_times(member), dir_fd=parent, follow_symlinks=False)

    @staticmethod
    def _xattr(path: str, attribute: str, value: bytes) -> None:
        try:
            os.setxattr(path, attribute, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (
                errno.EOPNOTSUPP,
                errno.EPERM,
            ):  # as Docker: the file system or its kind of file cannot hold it
                raise


def _check_numbers(member: tarfile.TarInfo) -> None:
    if not (0 <= member.uid < _MOST_ID and 0 <= member.gid < _MOST_ID):
        raise UnsafeArchive(f"{member.name[:100]!r} belongs to {member.uid}:{member.gid}, which cannot be")


def _times(member: tarfile.TarInfo) -> tuple[int, int]:
    at = int(member.mtime * 1_000_000_000)
    return at, at
