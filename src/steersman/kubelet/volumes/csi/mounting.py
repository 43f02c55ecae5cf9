"""Setting CSI volumes up and tearing them down: stage once per node, publish once per pod, undo both in turn.

The order is upstream's: the driver is registered, the volume attached, staged, published, given to the pod's group; back the same
way. One thing at a time happens to a volume. What exists is read from the folders (layout.py), so that a kubelet that was started
anew undoes what an earlier one did. A block volume goes the same way; what is published is a device in place of a folder.
Source: upstream pkg/volume/csi (csi_mounter.go, csi_attacher.go, csi_block.go).
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from steersman.api.resources import CSI_DRIVERS
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.grpcstatus import CallFailed
from steersman.kubelet.volumes import mounts, ownership
from steersman.kubelet.volumes.base import Request, VolumeFault
from steersman.kubelet.volumes.csi import layout, messages
from steersman.kubelet.volumes.csi.attachment import Attachments
from steersman.kubelet.volumes.csi.driver import Driver
from steersman.kubelet.volumes.csi.expanding import Expander, Place, wanted_bytes
from steersman.kubelet.volumes.csi.layout import Note
from steersman.kubelet.volumes.csi.registration import Drivers
from steersman.kubelet.volumes.csi.secrets import secret_values, service_account_tokens
from steersman.kubelet.volumes.csi.wanted import (
    Wanted,
    attach_required,
    gives_group,
    inline,
    lifecycle_refusal,
    persistent,
    pod_info,
)
from steersman.loop.attachments import attachment_name
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, dig

log = logging.getLogger(__name__)

DEVICE, SET_UP = "MountVolume.MountDevice failed", "MountVolume.SetUp failed"
MAP = "MapVolume.SetUpDevice failed", "MapVolume.MapPodDevice failed"
_PREFIX = "kubernetes.io/csi: "


class CsiVolumes:
    """The volume plugin for `csi`, in pods and behind claims."""

    source, name = "csi", layout.FOLDER
    refreshes = False

    def __init__(self, config: KubeletConfig, drivers: Drivers, attachments: Attachments, expander: Expander) -> None:
        self._root, self._node_name = config.root_dir, config.node_name
        self._drivers, self._attachments, self._expander = drivers, attachments, expander
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}
        self._republish: set[tuple[str, str]] = set()
        self._growing: set[tuple[str, str]] = set()

    # --- base.VolumePlugin, base.PersistentPlugin -------------------------------------------------------------------

    async def set_up(self, request: Request) -> Path:
        return await self._set_up(request, inline(request))

    async def set_up_volume(self, request: Request, volume: Obj) -> Path:
        return await self._set_up(request, persistent(request, volume))

    def republishes(self, pod_uid: str, name: str) -> bool:
        """Whether the driver wants to be asked again and again for this volume of the pod."""
        return (pod_uid, name) in self._republish

    def grows(self, pod_uid: str, name: str) -> bool:
        """Whether this volume of the pod may grow while it is in use."""
        return (pod_uid, name) in self._growing

    async def grow(self, request: Request, claim: Obj, volume: Obj) -> None:
        wanted = persistent(request, volume)
        directory, driver = self._folder(request, wanted), self._drivers.get(wanted.driver)
        try:
            if driver is None or wanted.read_only or not await driver.can(messages.EXPAND_VOLUME):
                return
            self._growing.add((request.pod_uid, request.volume["name"]))
            if not wanted_bytes(claim, volume):
                return
            async with self._alone(wanted.driver, wanted.handle):
                staged = await driver.can(messages.STAGE_UNSTAGE)
                staging = str(layout.staging(self._root, wanted.driver, wanted.handle)) if staged else ""
                secrets = await secret_values(request, wanted.expand_secret, "NodeExpandSecretRef")
                capability = await self._capability(request, driver, wanted)
                place = Place(wanted.handle, str(directory / "mount"), staging, capability, secrets)
                await self._expander.run(request.pod, claim, volume, driver, place)
        except (CallFailed, OSError) as error:
            log.warning("volume not grown volume=%s error=%s", wanted.spec_name, error)

    def _folder(self, request: Request, wanted: Wanted) -> Path:
        """The pod's, of the volume."""
        return request.directory.parent.parent / layout.FOLDER / wanted.spec_name

    async def measure(self, path: Path) -> Obj | None:
        """What the driver says of a published volume; None: it is none, or the driver can't tell. Raises CallFailed."""
        note = layout.read(path.parent) if path.parent.parent.name == layout.FOLDER else None
        driver = self._drivers.get(note.driver) if note is not None else None
        if note is None or driver is None or not await driver.can(messages.GET_VOLUME_STATS):
            return None
        staged = note.lifecycle != layout.EPHEMERAL and await driver.can(messages.STAGE_UNSTAGE)
        return await driver.stats(note.handle, path, layout.staging(self._root, note.driver, note.handle) if staged else None)

    async def tear_down(self, directory: Path) -> None:
        """Unpublish; unstage after the last pod. Raises OSError."""
        uid = directory.parent.parent.parent.name
        self._republish = {each for each in self._republish if each[0] != uid}
        self._growing = {each for each in self._growing if each[0] != uid}
        note = layout.read(directory)
        if note is None:
            # Nothing was begun, or all is undone but the folder.
            layout.forget(directory)
            return
        async with self._alone(note.driver, note.handle):
            driver = self._drivers.get(note.driver)
            if driver is None:
                raise OSError(f"UnmountVolume.TearDown failed for volume {note.spec_name!r} : {_missing(note.driver)}")
            try:
                await driver.unpublish(note.handle, directory / "mount")
                _check_gone(directory / "mount")
                layout.forget(directory)
                if note.lifecycle != layout.EPHEMERAL:
                    await self._unstage(driver, note.handle)
            except CallFailed as error:
                text = f"UnmountVolume.TearDown failed for volume {note.spec_name!r} : {error}"
                raise OSError(text) from None

    # --- up ----------------------------------------------------------------------------------------------------------

    async def _set_up(self, request: Request, wanted: Wanted) -> Path:
        directory = self._folder(request, wanted)
        driver = self._drivers.get(wanted.driver)
        if driver is None:
            step = DEVICE if wanted.persistent else SET_UP
            what = "attacher.MountDevice failed to create newCsiDriverClient" if wanted.persistent else (
                "mounter.SetUpAt failed to get CSI client"
            )  # fmt: skip
            raise VolumeFault(f"{_PREFIX}{what}: {_missing(wanted.driver)}", step, wanted.spec_name)
        csi_driver = await _csi_driver(request, wanted.driver)
        if why := lifecycle_refusal(wanted, csi_driver):
            raise VolumeFault(f"{_PREFIX}mounter.SetupAt failed to check volume lifecycle mode: {why}", SET_UP, wanted.spec_name)
        attachment, publish_context = "", dict[str, str]()
        if wanted.persistent and attach_required(csi_driver):
            attachment = attachment_name(wanted.handle, wanted.driver, self._node_name)
            publish_context = await self._attachments.look(wanted, attachment, request.pod_uid)
        async with self._alone(wanted.driver, wanted.handle):
            first, second = MAP if wanted.block else (DEVICE, SET_UP)
            step = first if wanted.persistent else second
            try:
                directory.mkdir(0o750, parents=True, exist_ok=True)
                # First, so that whatever comes of the rest is undone with the pod.
                Note(
                    wanted.driver, wanted.handle, wanted.spec_name, wanted.lifecycle, self._node_name, attachment
                ).write(directory)  # fmt: skip
                capability = await self._capability(request, driver, wanted)
                staging = ""
                if wanted.persistent:
                    staging = await self._stage(request, driver, wanted, capability, publish_context)
                step = second
                await self._publish(request, driver, wanted, csi_driver, capability, publish_context, staging, directory)
            except (CallFailed, OSError) as error:
                raise VolumeFault(str(error), step, wanted.spec_name) from None
        if dig(csi_driver or {}, "spec", "requiresRepublish", default=False):
            self._republish.add((request.pod_uid, request.volume["name"]))
        return directory / "mount"

    def stop_waiting(self, pod_uid: str) -> None:
        """The pod goes: it no longer hinders the way to another node of a volume that it waited for."""
        for driver, handle in self._attachments.stop_waiting(pod_uid):
            if not layout.used(self._root, driver, handle):
                self._attachments.let_go(driver, handle)

    async def _capability(self, request: Request, driver: Driver, wanted: Wanted) -> messages.Capability:
        mode = wanted.access_mode(await driver.can(messages.SINGLE_NODE_MULTI_WRITER))
        group = ""
        if request.fs_group is not None and await driver.can(messages.MOUNT_GROUP):
            group = str(request.fs_group)
        return messages.Capability(mode, wanted.fs_type, wanted.mount_options, group, wanted.block)

    async def _stage(
        self, request: Request, driver: Driver, wanted: Wanted, capability: messages.Capability, context: Mapping[str, str]
    ) -> str:
        """Where it is staged, '' if the driver does without. Asked for again by every pod: the driver knows what it has."""
        if not await driver.can(messages.STAGE_UNSTAGE):
            return ""
        staging = layout.staging(self._root, wanted.driver, wanted.handle)
        secrets = await secret_values(request, wanted.stage_secret, "NodeStageSecretRef")
        staging.mkdir(0o750, parents=True, exist_ok=True)
        Note(wanted.driver, wanted.handle, wanted.spec_name).write(staging.parent)
        asked = messages.stage(wanted.handle, context, str(staging), capability, secrets, wanted.attributes)
        await driver.stage(asked)
        return str(staging)

    async def _publish(
        self,
        request: Request,
        driver: Driver,
        wanted: Wanted,
        csi_driver: Obj | None,
        capability: messages.Capability,
        context: Mapping[str, str],
        staging: str,
        directory: Path,
    ) -> None:
        said = dig(csi_driver or {}, "spec", default={})
        attributes = dict(wanted.attributes)
        if said.get("podInfoOnMount"):
            attributes.update(pod_info(request.pod, wanted.lifecycle))
        secrets = await secret_values(request, wanted.publish_secret, "NodePublishSecretRef")
        tokens = await service_account_tokens(request, said.get("tokenRequests") or ())
        (secrets if said.get("serviceAccountTokenInSecrets") else attributes).update(tokens)
        target = directory / "mount"
        again = mounts.is_mount(target)
        await driver.publish(
            messages.publish(
                wanted.handle, context, staging, str(target), capability, wanted.read_only, secrets, attributes
            )  # fmt: skip
        )
        if not target.exists():
            raise OSError(f"{_PREFIX}the driver published the volume, but {target} does not exist")
        if wanted.block and not stat.S_ISBLK(target.stat().st_mode):
            raise OSError(f"{_PREFIX}the driver published the volume, but {target} is no block device")
        if request.fs_group is None or capability.group or again or wanted.read_only or wanted.block:
            return
        if gives_group(wanted, csi_driver):
            policy = dig(request.pod, "spec", "securityContext", "fsGroupChangePolicy", default="Always")
            root_only = policy == "OnRootMismatch"
            await asyncio.to_thread(ownership.set_ownership, target, request.fs_group, on_root_mismatch=root_only)

    # --- down --------------------------------------------------------------------------------------------------------

    async def _unstage(self, driver: Driver, handle: str) -> None:
        """If no pod has it any more. The volume's lock is held. Raises CallFailed, OSError."""
        staging = layout.staging(self._root, driver.name, handle)
        if layout.used(self._root, driver.name, handle):
            return
        if staging.exists():
            if await driver.can(messages.STAGE_UNSTAGE):
                await driver.unstage(handle, staging)
            _check_gone(staging)
            layout.forget(staging.parent)
        self._attachments.let_go(driver.name, handle)

    async def unstage_unused(self, name: str) -> None:
        """What an earlier life of this kubelet staged and no pod has any more: it ended between the two."""
        for folder in layout.staging(self._root, name, "").parent.parent.glob("*"):
            note, driver = layout.read(folder), self._drivers.get(name)
            if note is None or driver is None or note.driver != name:
                continue
            try:
                async with self._alone(name, note.handle):
                    await self._unstage(driver, note.handle)
            except (CallFailed, OSError) as error:
                log.warning("volume not unstaged driver=%s volume=%s error=%s", name, note.spec_name, error)

    @asynccontextmanager
    async def _alone(self, driver: str, handle: str) -> AsyncIterator[None]:
        """Nothing else happens to the volume meanwhile."""
        key = (driver, handle)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = lock, users - 1


async def _csi_driver(request: Request, name: str) -> Obj | None:
    try:
        return await request.objects.read(CSI_DRIVERS, "", name)
    except NotFound:
        return None


def _missing(name: str) -> str:
    return f"driver name {name} not found in the list of registered CSI drivers"


def _check_gone(mount: Path) -> None:
    if mounts.is_mount(mount):
        raise OSError(f"the driver says that it is done, but {mount} is still mounted")
