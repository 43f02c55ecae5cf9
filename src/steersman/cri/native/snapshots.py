"""Container root file systems: an overlay of the image's unpacked layers and a writable directory per container.

Lower directories are named relative to the layers' directory with short names, so that 128 layers fit into the one page that
mount(2) takes
as options. Each snapshot notes its layers, so that image removal never pulls a layer from under a container.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from steersman.cri.messages import IdMapping
from steersman.cri.native import idmapped, linux
from steersman.cri.native.files import read_or_none, remove_tree, write_atomic

log = logging.getLogger(__name__)

_BORROWED = "image-layers.json"
_VIEW = "layers"


@dataclass(frozen=True, slots=True)
class Mapped:
    """The user namespace (an fd) for whom a snapshot is mounted, and what it maps."""

    namespace: int
    mappings: Sequence[IdMapping]


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Snapshots under `root/snapshots`, layers under `root/layers`."""

    root: str

    @property
    def layers(self) -> str:
        return f"{self.root}/layers"

    def path(self, identity: str) -> str:
        return f"{self.root}/snapshots/{identity}"

    def prepare(self, identity: str, layers: Sequence[str]) -> None:
        """Make the writable directories; `layers` are directory names under `layers`, bottom first. Idempotent."""
        for part in ("upper", "work"):
            os.makedirs(f"{self.path(identity)}/{part}", mode=0o755, exist_ok=True)
        write_atomic(f"{self.path(identity)}/layers.json", json.dumps(list(layers)).encode())

    def mount(self, identity: str, target: str, mapped: Mapped | None = None) -> None:
        """Mount it: call in a thread of its own, whose working directory changes. Raises OSError.

        mapped: for whom the files' owners are; where the kernel can't map them, every file is changed."""
        layers = json.loads(read_or_none(f"{self.path(identity)}/layers.json") or b"[]")
        os.makedirs(target, exist_ok=True)
        upper = f"{self.path(identity)}/upper"
        options = f"upperdir={upper},workdir={self.path(identity)}/work"
        if mapped is None or not layers:
            self._mount_plain(layers, upper, target, options)
            if mapped is not None:
                idmapped.give(target, mapped.mappings)
            return
        with self._layers_of(identity, mapped) as ready:
            if ready:
                for part in ("upper", "work"):
                    idmapped.give(f"{self.path(identity)}/{part}", mapped.mappings)
                _mount_overlay(layers, target, 0, options)
                return
        log.info("file owners are changed, the kernel cannot map them snapshot=%s", identity)
        self._mount_plain(layers, upper, target, options)
        idmapped.give(target, mapped.mappings)

    def _mount_plain(self, layers: Sequence[str], upper: str, target: str, options: str) -> None:
        if not layers:
            linux.mount(upper, target, flags=linux.MS_BIND)
            return
        linux.unshare(linux.CLONE_FS)
        os.chdir(self.layers)
        _mount_overlay(layers, target, 0, options)

    @contextmanager
    def _layers_of(self, identity: str, mapped: Mapped) -> Iterator[bool]:
        """Be where the layers are, with their owners mapped; False: nowhere, as the kernel can't. An overlay keeps what it
        needs of that mount, which has gone afterwards."""
        if not idmapped.possible(self.layers, mapped.namespace):
            yield False
            return
        view = f"{self.path(identity)}/{_VIEW}"
        idmapped.bind(self.layers, view, mapped.namespace)
        try:
            linux.unshare(linux.CLONE_FS)
            os.chdir(view)
            yield True
        finally:
            os.chdir("/")
            linux.umount(view)
            os.rmdir(view)

    def borrow(self, identity: str, layers: Sequence[str]) -> None:
        """Note the layers of image volumes, on which the container stands as well. After `prepare`, before they are mounted."""
        os.makedirs(f"{self.path(identity)}/empty", mode=0o755, exist_ok=True)
        write_atomic(f"{self.path(identity)}/{_BORROWED}", json.dumps(sorted(set(layers))).encode())

    def mount_image(self, identity: str, layers: Sequence[str], target: str, mapped: Mapped | None = None) -> None:
        """Mount borrowed layers, read-only: call in a thread of its own, as `mount`. Raises OSError."""
        os.makedirs(target, exist_ok=True)
        if not layers:
            linux.mount(f"{self.path(identity)}/empty", target, flags=linux.MS_BIND)
            linux.mount("", target, flags=linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY)
            return
        # Without an upper directory an overlay wants two lower ones; and only in an overlay are whiteouts not seen.
        every = [f"{self.path(identity)}/empty", *layers]
        if mapped is not None:
            with self._layers_of(identity, mapped) as ready:
                if ready:
                    _mount_overlay(every, target, linux.MS_RDONLY)
                    return
        linux.unshare(linux.CLONE_FS)
        os.chdir(self.layers)
        _mount_overlay(every, target, linux.MS_RDONLY)

    def remove(self, identity: str) -> None:
        """Remove its writable layer; it must not be mounted. Idempotent."""
        remove_tree(self.path(identity))

    def layers_in_use(self) -> set[str]:
        """The layer directories that some container stands on."""
        used: set[str] = set()
        parent = f"{self.root}/snapshots"
        for identity in os.listdir(parent) if os.path.isdir(parent) else ():
            for name in ("layers.json", _BORROWED):
                used.update(json.loads(read_or_none(f"{parent}/{identity}/{name}") or b"[]"))
        return used

    def usage(self, identity: str) -> tuple[int, int]:
        """(bytes, inodes) of the writable layer."""
        size = inodes = 0
        for directory, _, files in os.walk(f"{self.path(identity)}/upper"):
            inodes += 1 + len(files)
            for name in files:
                try:
                    size += os.lstat(f"{directory}/{name}").st_blocks * 512
                except FileNotFoundError:
                    continue
        return size, inodes


def _mount_overlay(layers: Sequence[str], target: str, flags: int, options: str = "") -> None:
    """`layers`, bottom first, relative to where we are."""
    lower = f"lowerdir={':'.join(reversed(layers))}"
    linux.mount("overlay", target, "overlay", flags, f"{lower},{options}" if options else lower)
