"""tar files for `cp`. What comes out of a container is not to be trusted: nothing is written outside of the destination."""

from __future__ import annotations

import os
import posixpath
import tarfile
from typing import IO

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery.govalues import quote


def pack(path: str, name: str, archive: IO[bytes]) -> None:
    """A file, or a folder with what is in it, under another name. Only empty folders have an entry of their own."""
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, path, name)


def _add(tar: tarfile.TarFile, path: str, name: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        inside = sorted(os.listdir(path))
        if not inside:
            tar.add(path, name, recursive=False)
        for item in inside:
            _add(tar, os.path.join(path, item), posixpath.join(name, item))
        return
    tar.add(path, name, recursive=False)


def unpack(ctx: Context, archive: IO[bytes], source: str, target: str, namespace: str, pod: str) -> None:
    """Everything below `source` in the archive to `target`. Links are left out, and told."""
    prefix = _without_shortcuts(posixpath.normpath(source.lstrip("/")) if source.lstrip("/") else "")
    told = False
    try:
        tar = tarfile.open(fileobj=archive, mode="r:")  # noqa: SIM115 - `with` comes below: only an opening that fails is excused
    except tarfile.ReadError:
        return  # empty: nothing could be read
    with tar:
        for member in tar:
            if not member.name.startswith(prefix):
                raise KubectlError("tar contents corrupted")
            place = os.path.normpath(os.path.join(target, member.name[len(prefix) :].lstrip("/")))
            if not _is_below(target, place):
                ctx.complain(f"warning: file {quote(place)} is outside target destination, skipping")
                continue
            if member.issym() or member.islnk():
                hint = (
                    f' (consider using "kubectl exec -n {quote(namespace)} {quote(pod)} -- tar cf - {quote(source)} | tar xf -")'
                )
                ctx.complain(f"warning: skipping symlink: {quote(place)} -> {quote(member.linkname)}{'' if told else hint}")
                told = True
                continue
            _write(tar, member, place)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, place: str) -> None:
    os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
    if member.isdir():
        os.makedirs(place, exist_ok=True)
        return
    content = tar.extractfile(member)
    if content is None:
        return
    try:
        with open(place, "wb") as file:
            while data := content.read(1 << 20):
                file.write(data)
    except OSError as error:
        raise KubectlError(f"open {place}: {(error.strerror or '').lower()}") from None


def _is_below(target: str, place: str) -> bool:
    relative = os.path.relpath(place, os.path.normpath(target))
    return relative != ".." and not relative.startswith("../")


def _without_shortcuts(path: str) -> str:
    """`../../a` is `a` in an archive: tar strips it."""
    while path.startswith("../"):
        path = path[3:]
    return "" if path in (".", "..") else path
