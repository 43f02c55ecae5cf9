"""Volumes by claim: persistentVolumeClaim and generic ephemeral volumes. A claim leads to a volume, a volume to a folder here.

Kinds of volumes: local and hostPath, and those that `Request.persistent` has (csi, nfs). A pod waits until its claim is bound
and the volume is the claim's. The folder of a volume that the local-path provisioner made is made here (loop/localpath.py). Of a
block volume (volumeMode: Block) the path is that of the device; other local volumes may be devices too (localdevice.py).
Source: upstream pkg/kubelet/volumemanager (populator), pkg/volume/local.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from steersman.kubelet import pods
from steersman.kubelet.admission import term_matches
from steersman.kubelet.volumes import localdevice, ownership
from steersman.kubelet.volumes.base import Request, Unprocessed, VolumeFault
from steersman.kubelet.volumes.hostpath import HostPathVolume
from steersman.loop import localpath
from steersman.loop.volumes import PROVISIONED_BY, mode, not_owner
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, annotations_of, controller_of, dig, is_deleting, name_of, namespace_of, uid_of

_SETUP_MODE = 0o777


class ClaimVolume:
    source, name = "persistentVolumeClaim", "kubernetes.io~local-volume"
    refreshes = False

    async def set_up(self, request: Request) -> Path:
        namespace, name = namespace_of(request.pod), self._claim_name(request)
        try:
            claim = await self._claim(request, namespace, name)
            volume = await _volume_of(request, claim)
        except Unprocessed as fault:
            raise Unprocessed(f"error processing PVC {namespace}/{name}: {fault}") from None
        _check_mode(request, volume)
        _check_node(request, volume)
        block = mode(volume) == "Block"
        if dig(volume, "spec", "hostPath") is not None:
            path = await HostPathVolume().set_up(request.about(volume["spec"]))
            return _device(path, volume) if block else path
        for source, plugin in request.persistent.items():
            if dig(volume, "spec", source) is not None:
                path = await plugin.set_up_volume(request, volume)
                await plugin.grow(request, claim, volume)
                return path
        if dig(volume, "spec", "local") is None:
            raise Unprocessed(f"no volume plugin matched name: {_kind(volume)}")
        if block:
            return _device(Path(volume["spec"]["local"]["path"]), volume)
        path = _local(request, volume)
        if localdevice.is_device(path):
            path = await localdevice.mount(volume, request.directory, readonly=_is_read_only(request))
        if request.fs_group is not None and not _is_read_only(request):
            await _give_to_group(request, path, request.fs_group)
        return path

    async def grow(self, request: Request) -> None:
        """See to it that what is set up is as large as the volume. Raises VolumeFault, StatusError, ConnectionError."""
        claim = await self._claim(request, namespace_of(request.pod), self._claim_name(request))
        volume = await _volume_of(request, claim)
        for source, plugin in request.persistent.items():
            if dig(volume, "spec", source) is not None:
                await plugin.grow(request, claim, volume)

    async def tear_down(self, directory: Path) -> None:
        """The data outlives the pod; what was mounted for it does not. Raises OSError."""
        await localdevice.unmount(directory)

    def _claim_name(self, request: Request) -> str:
        return str(request.volume["persistentVolumeClaim"]["claimName"])

    async def _claim(self, request: Request, namespace: str, name: str) -> Obj:
        """The claim, bound. A cache would not do: its next state is waited for."""
        try:
            claim = await request.objects.read(PERSISTENT_VOLUME_CLAIMS, namespace, name)
        except NotFound as error:
            raise Unprocessed(f"failed to fetch PVC from API server: {error}") from None
        # After a restart of the kubelet a pod that runs keeps what it has.
        if is_deleting(claim) and dig(request.pod, "status", "phase", default="Pending") == "Pending":
            raise Unprocessed("PVC is being deleted")
        if dig(claim, "status", "phase") != "Bound":
            raise Unprocessed("PVC is not bound")
        if not dig(claim, "spec", "volumeName"):
            raise Unprocessed("PVC has empty pvc.Spec.VolumeName")
        return claim


class EphemeralVolume(ClaimVolume):
    """The ephemeral volume controller makes the claim; one that is there by chance must not be used."""

    source = "ephemeral"

    def _claim_name(self, request: Request) -> str:
        return f"{name_of(request.pod)}-{request.volume['name']}"

    async def _claim(self, request: Request, namespace: str, name: str) -> Obj:
        claim = await super()._claim(request, namespace, name)
        if (controller_of(claim) or {}).get("uid") != request.pod_uid:
            raise Unprocessed(not_owner(claim, request.pod))
        return claim


async def _volume_of(request: Request, claim: Obj) -> Obj:
    name = claim["spec"]["volumeName"]
    try:
        volume = await request.objects.read(PERSISTENT_VOLUMES, "", name)
    except NotFound as error:
        raise Unprocessed(f'failed to get PersistentVolume "{name}": {error}') from None
    ref = dig(volume, "spec", "claimRef")
    if ref is None:
        text = f'found PersistentVolume object "{name}" but its ClaimRef is nil indicating it is not yet bound to the claim'
        raise Unprocessed(text)
    if ref.get("uid") != uid_of(claim):
        text = f'found PersistentVolume object "{name}" but its spec.claimRef.UID is "{ref.get("uid", "")}", expected'
        raise Unprocessed(f'{text} "{uid_of(claim)}"')
    return volume


def _check_mode(request: Request, volume: Obj) -> None:
    name = request.volume["name"]

    def used_in(field: str) -> bool:
        return any(use["name"] == name for spec in pods.all_containers(request.pod) for use in spec.get(field) or ())

    if mode(volume) == "Block" and used_in("volumeMounts"):
        raise Unprocessed(f"volume {name} has volumeMode Block, but is specified in volumeMounts")
    if mode(volume) != "Block" and used_in("volumeDevices"):
        raise Unprocessed(f"volume {name} has volumeMode Filesystem, but is specified in volumeDevices")


def _check_node(request: Request, volume: Obj) -> None:
    terms = dig(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
    if terms is None or request.node is None or any(term_matches(term, request.node) for term in terms):
        return
    raise VolumeFault("no matching NodeSelectorTerms", "MountVolume.NodeAffinity check failed", name_of(volume))


def _local(request: Request, volume: Obj) -> Path:
    path = Path(volume["spec"]["local"]["path"])
    ours = request.local_paths is not None and path == request.local_paths / name_of(volume)
    if ours and annotations_of(volume).get(PROVISIONED_BY) == localpath.NAME and not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        # mkdir's mode is cut by the umask.
        os.chmod(path, _SETUP_MODE)
    if not path.exists():
        text = f'path "{path}" does not exist'
        raise VolumeFault(text, "MountVolume.NewMounter initialization failed", name_of(volume))
    return path


def _device(path: Path, volume: Obj) -> Path:
    """A block device of the node, which may be shown by a link."""
    try:
        right, why = stat.S_ISBLK(os.stat(path).st_mode), "is not a block device"
    except OSError as error:
        right, why = False, (error.strerror or str(error)).lower()
    if not right:
        raise VolumeFault(f'path "{path}": {why}', "MapVolume.MapPodDevice failed", name_of(volume))
    return path


def _is_read_only(request: Request) -> bool:
    return bool(dig(request.volume, "persistentVolumeClaim", "readOnly", default=False))


async def _give_to_group(request: Request, path: Path, group: int) -> None:
    """May be long for a volume with many files: not on the event loop. Of a link to the volume, what it leads to is given."""
    policy = dig(request.pod, "spec", "securityContext", "fsGroupChangePolicy", default="Always")
    await asyncio.to_thread(ownership.set_ownership, path.resolve(), group, on_root_mismatch=policy == "OnRootMismatch")


def _kind(volume: Obj) -> str:
    return next((key for key, value in volume["spec"].items() if isinstance(value, dict) and key in _ELSEWHERE), "")


_ELSEWHERE = frozenset((
    "nfs", "iscsi", "fc", "csi", "flexVolume", "rbd", "cephfs", "cinder", "glusterfs", "awsElasticBlockStore",
    "gcePersistentDisk", "azureDisk", "azureFile", "vsphereVolume", "portworxVolume", "scaleIO", "storageos", "quobyte",
    "photonPersistentDisk", "flocker",
))  # fmt: skip
