"""Image archives: `docker save` tars (manifest.json) and OCI layout tars (index.json), read in place. Blocking; call off the
loop."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from steersman.cri.interface import RuntimeFault
from steersman.cri.native.manifests import Descriptor, choose_platform, descriptor, document, is_index, layers_of
from steersman.machinery.meta import Obj

_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_SMALL = 8 << 20


@dataclass(frozen=True, slots=True)
class Archived:
    """One image in an archive. `layers`: member names, bottom first; `manifest` is b"" in a `docker save` tar."""

    config: bytes
    layers: tuple[str, ...]
    names: tuple[str, ...]
    manifest: bytes = b""


class Archive:
    """An open archive."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {os.path.normpath(member.name): member for member in tar.getmembers()}

    def images(self) -> list[Archived]:
        """What it holds. Raises RuntimeFault when it is no image archive."""
        if "index.json" in self._members:
            found: list[Archived] = []
            for entry in document(self._read("index.json"), "index.json").get("manifests") or ():
                found.append(self._oci(entry))
            return found
        if "manifest.json" in self._members:
            entries: list[Obj] = orjson.loads(self._read("manifest.json"))
            return [
                Archived(self._read(entry["Config"]), tuple(entry["Layers"]), tuple(entry.get("RepoTags") or ()))
                for entry in entries
            ]
        raise RuntimeFault("neither index.json nor manifest.json: not an image archive")

    def _oci(self, entry: Obj) -> Archived:
        annotations: dict[str, Any] = entry.get("annotations") or {}
        # ref.name is often a bare tag, which names nothing by itself.
        names = tuple(str(annotations[key]) for key in _NAMES if ":" in str(annotations.get(key, "")))[:1]
        data = self._blob(descriptor(entry))
        manifest = document(data, "manifest")
        if is_index(manifest):
            data = self._blob(choose_platform(manifest))
            manifest = document(data, "manifest")
        config = self._blob(descriptor(manifest["config"]))
        layers = tuple(_blob_path(layer.digest) for layer in layers_of(manifest))
        return Archived(config, layers, names, data)

    def _blob(self, wanted: Descriptor) -> bytes:
        data = self._read(_blob_path(wanted.digest))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != wanted.digest:
            raise RuntimeFault(f"blob {wanted.digest} in the archive has other content")
        return data

    def _read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read(_SMALL)

    def size(self, name: str) -> int:
        """Of a member's content, links followed."""
        with self.open(name) as file:
            return file.seek(0, os.SEEK_END)

    def open(self, name: str) -> io.BufferedReader:
        """A member by its name, links followed. Raises RuntimeFault."""
        member = self._members.get(os.path.normpath(name))
        file = self._tar.extractfile(member) if member else None
        if not isinstance(file, io.BufferedReader):
            raise RuntimeFault(f"{name} is missing in the archive")
        return file


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


@contextmanager
def open_archive(path: str) -> Iterator[Archive]:
    """Open a tar file (also compressed with gzip). Raises RuntimeFault."""
    try:
        with tarfile.open(path) as tar:
            yield Archive(tar)
    except (tarfile.TarError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        # A ReadError of several lines tells why it is of none of the kinds that tarfile knows.
        why = "it is no tar archive" if isinstance(error, tarfile.ReadError) and "\n" in str(error) else error
        raise RuntimeFault(f"cannot read image archive {path}: {why}") from error
