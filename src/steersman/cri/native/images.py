"""NativeImages: interface.ImageService over our own store; pulling (registry.py), loading archives, removing, sweeping.

An image enters the index after its layers are unpacked. Nothing in flight is swept: sweeping and installing exclude each other
by `_guard`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import Image, RegistryAuth
from steersman.cri.native.archives import Archive, Archived, open_archive
from steersman.cri.native.files import locked, read_or_none, write_atomic
from steersman.cri.native.imageindex import ImageIndex, ImageRecord
from steersman.cri.native.layers import Layers, check_room, mount_order
from steersman.cri.native.manifests import (
    Descriptor,
    descriptor,
    document,
    file_names,
    is_artifact,
    layers_of,
    parse_config,
)  # fmt: skip
from steersman.cri.native.reference import Reference, parse
from steersman.cri.native.registries import Registries
from steersman.cri.native.snapshots import Snapshots
from steersman.cri.native.spec import ImageDefaults
from steersman.cri.native.threads import off_loop
from steersman.cri.native.waiting import all_or_first_failure
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import Locks

if TYPE_CHECKING:
    from steersman.cri.native.registry import Registry, Resolved

log = logging.getLogger(__name__)

_PARALLEL_LAYERS = 3


class NativeImages:
    """Images under `root`: index.json, blobs/sha256 (manifests and configs), layers/, snapshots/ (the runtime's)."""

    def __init__(self, root: str, clock: Clock, registries: Registries | None = None) -> None:
        self._root = os.path.abspath(root)
        self._clock = clock
        self._registries = registries or Registries()
        os.makedirs(f"{self._root}/blobs/sha256", mode=0o711, exist_ok=True)
        for private in ("downloads", "snapshots"):  # of no use to anybody but root: there are setuid files
            os.makedirs(f"{self._root}/{private}", mode=0o700, exist_ok=True)
            os.chmod(f"{self._root}/{private}", 0o700)
        self.snapshots = Snapshots(self._root)
        self._layers = Layers(self.snapshots.layers)
        self._index = ImageIndex(f"{self._root}/index.json")
        self._unpacking: Locks[str] = Locks()
        self._installing = 0
        self._sweep_wanted = False

    def find(self, name: str) -> ImageRecord | None:
        """By reference, digest reference or id (with or without `sha256:`)."""
        image = self._index.find(name, f"sha256:{name}")
        if image is None:
            try:
                image = self._index.find(str(parse(name)))
            except RuntimeFault:
                return None
        return image

    async def image_status(self, image: str) -> Image | None:
        found = self.find(image)
        return found.view() if found else None

    async def list_images(self) -> list[Image]:
        return [image.view() for image in self._index.images.values()]

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        """Pull and unpack; the image's id. What is already here is not fetched again."""
        reference = parse(image)
        async with self._guard():
            try:
                record = await self._pull(reference, auth)
                return (await off_loop(self._index.put, record)).id
            except RuntimeFault as fault:
                # Of an image that is no good nothing stays; of one that only did not arrive, the layers that did.
                self._sweep_wanted |= fault.reason != "RegistryUnavailable"
                raise RuntimeFault(f"failed to pull and unpack image {str(reference)!r}: {fault}", reason=fault.reason) from fault
            except OSError as error:
                self._sweep_wanted = True
                raise RuntimeFault(f"failed to unpack image {str(reference)!r}: {error}", reason="ErrImagePull") from error

    async def _pull(self, reference: Reference, auth: RegistryAuth | None) -> ImageRecord:
        from steersman.cri.native.registry import Registry  # an HTTP client is much to load for listing images

        async with Registry(self._registries, self._clock, reference, auth) as registry:
            resolved = await registry.resolve()
            manifest = document(resolved.manifest, "manifest")
            layers = layers_of(manifest)
            if is_artifact(manifest):
                return await self._pull_artifact(registry, reference, resolved, manifest)
            wanted = descriptor(manifest["config"])
            data = read_or_none(self._blob_path(wanted.digest)) or await registry.blob(wanted)
            config = parse_config(data)
            if len(config.diff_ids) != len(layers):
                raise RuntimeFault("the image's config and its manifest do not fit together", reason="ErrImagePull")
            slots = asyncio.Semaphore(_PARALLEL_LAYERS)
            fetches = [self._layer(registry, layer, diff_id, slots) for layer, diff_id in zip(layers, config.diff_ids)]
            sizes = await all_or_first_failure(fetches)
        blobs = (self._keep(data), self._keep(resolved.manifest))
        names = (str(reference),) if not reference.digest else ()
        return ImageRecord(
            id=blobs[0],
            defaults=config.defaults,
            layer_dirs=mount_order(config.diff_ids),
            size_bytes=len(data) + sum(sizes),
            tags=names,
            digests=(f"{reference.repository}@{resolved.digest}",),
            blobs=blobs,
        )

    async def _pull_artifact(self, registry: Registry, reference: Reference, resolved: Resolved, manifest: Obj) -> ImageRecord:
        """One that can be mounted, and has no program to run. Known by its manifest: all empty configs are the same one."""
        names, layers = file_names(manifest), layers_of(manifest)
        identities = [_file_layer(layer, name) for layer, name in zip(layers, names)]
        slots = asyncio.Semaphore(_PARALLEL_LAYERS)
        wanted = zip(layers, identities, names)
        sizes = await all_or_first_failure([self._layer(registry, each, key, slots, name) for each, key, name in wanted])
        identity = self._keep(resolved.manifest)
        return ImageRecord(
            id=identity,
            defaults=ImageDefaults(),
            layer_dirs=mount_order(identities),
            size_bytes=sum(sizes),
            tags=(str(reference),) if not reference.digest else (),
            digests=(f"{reference.repository}@{resolved.digest}",),
            blobs=(identity,),
        )

    async def _layer(self, registry: Registry, layer: Descriptor, diff_id: str, slots: asyncio.Semaphore, file: str = "") -> int:
        """Have a layer unpacked, or be that one file; its size. Two pulls that want the same layer fetch it once."""
        async with slots, self._unpacking[diff_id]:
            size = self._layers.size(diff_id)
            if size is not None:
                return size
            path = f"{self._root}/downloads/{secrets.token_hex(8)}"
            try:
                check_room(self._root, layer.size)
                await registry.download(layer, path)
                if file:
                    return await off_loop(self._layers.add_file, path, file, diff_id)
                return await off_loop(self._unpack_file, path, diff_id)
            finally:
                await off_loop(_unlink, path)

    def _unpack_file(self, path: str, diff_id: str) -> int:
        with open(path, "rb") as stream:
            return self._layers.add(stream, diff_id, os.path.getsize(path))

    async def load(self, path: str) -> list[str]:
        """Install every image of an archive (docker save or OCI layout); their names, or ids for nameless ones. Raises
        RuntimeFault."""
        names: list[str] = []
        async with self._guard():
            for record in await off_loop(self._load, path):
                await off_loop(self._index.put, record)
                names += record.tags or (record.id,)
        return names

    def _load(self, path: str) -> list[ImageRecord]:
        with open_archive(path) as archive:
            return [self._load_image(archive, image) for image in archive.images()]

    def _load_image(self, archive: Archive, image: Archived) -> ImageRecord:
        config = parse_config(image.config)
        if len(config.diff_ids) != len(image.layers):
            raise RuntimeFault("the image's config and its layers do not fit together")
        size = len(image.config)
        for diff_id, name in zip(config.diff_ids, image.layers):
            known = self._layers.size(diff_id)
            if known is None:
                with archive.open(name) as stream:
                    known = self._layers.add(stream, diff_id, archive.size(name))
            size += known
        blobs = [self._keep(data) for data in (image.config, image.manifest) if data]
        references = [parse(name) for name in image.names]
        digests = tuple(f"{reference.repository}@{blobs[1]}" for reference in references) if image.manifest else ()
        return ImageRecord(
            id=blobs[0],
            defaults=config.defaults,
            layer_dirs=mount_order(config.diff_ids),
            size_bytes=size,
            tags=tuple(str(reference) for reference in references),
            digests=digests,
            blobs=tuple(blobs),
        )

    def _keep(self, data: bytes) -> str:
        """Store a small blob; its digest."""
        value = hashlib.sha256(data).hexdigest()
        digest = f"sha256:{value}"
        write_atomic(self._blob_path(digest), data, mode=0o644)
        return digest

    def _blob_path(self, digest: str) -> str:
        return f"{self._root}/blobs/sha256/{digest.removeprefix('sha256:')}"

    async def remove_image(self, image: str) -> None:
        """Remove the image with all its names, as CRI has it; layers that containers stand on stay until those are gone.
        Idempotent."""
        found = self.find(image)
        if found is not None:
            await off_loop(self._index.remove, found.id)
            await self.sweep()

    async def sweep(self) -> None:
        """Remove layers and blobs that neither an image nor a container needs; put off while an image is being installed."""
        if self._installing:
            self._sweep_wanted = True
            return
        self._sweep_wanted = False
        await off_loop(self._sweep)

    def _sweep(self) -> None:
        with locked(f"{self._root}/installing", wait=False) as alone:
            if alone:  # else another process is installing: its sweep, or our next one, finds what is left
                self._sweep_unused()

    def _sweep_unused(self) -> None:
        images = list(self._index.images.values())
        layers = {name for image in images for name in image.layer_dirs} | self.snapshots.layers_in_use()
        self._layers.sweep(layers)
        wanted = {digest.removeprefix("sha256:") for image in images for digest in image.blobs}
        for name in os.listdir(f"{self._root}/blobs/sha256"):
            if name not in wanted:
                os.unlink(f"{self._root}/blobs/sha256/{name}")
        for name in os.listdir(f"{self._root}/downloads"):
            os.unlink(f"{self._root}/downloads/{name}")

    @asynccontextmanager
    async def _guard(self) -> AsyncIterator[None]:
        """While an image is being installed nothing is swept."""
        self._installing += 1
        holding = ExitStack()
        try:
            # Waits while another process sweeps. Who leaves meanwhile has the lock all the same, and gives it back.
            await off_loop(holding.enter_context, locked(f"{self._root}/installing", shared=True))
            yield
        finally:
            holding.close()
            self._installing -= 1
            if not self._installing and self._sweep_wanted:
                await self.sweep()

    async def image_fs(self) -> tuple[str, int, int]:
        """(path, used bytes, used inodes) of the images' unpacked layers."""
        used = {name for image in self._index.images.values() for name in image.layer_dirs}
        return self._root, *self._layers.usage(used)


def _file_layer(blob: Descriptor, name: str) -> str:
    """As a diff id, for a layer of one file of that name."""
    return f"sha256:{hashlib.sha256(f'{blob.digest} {name}'.encode()).hexdigest()}"


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
