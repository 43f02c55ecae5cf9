"""A claim that grew: the driver has the rest done on the node (NodeExpandVolume), and the claim's status says that it is so.

What provides the storage has made the PersistentVolume larger before; the claim still shows the old capacity and, mostly, the
condition FileSystemResizePending. Source: upstream pkg/volume/util/operationexecutor/node_expander.go; KEP-284, KEP-1790.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS
from steersman.client.interface import Client
from steersman.kubelet.grpcstatus import FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, CallFailed
from steersman.kubelet.volumes.csi import messages
from steersman.kubelet.volumes.csi.driver import Driver
from steersman.machinery import quantity
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, dig, name_of, namespace_of, resource_version_of

log = logging.getLogger(__name__)

_OVER = frozenset(("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"))
"""Conditions that a finished expansion ends."""
_INFEASIBLE = frozenset((INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE))
_STORAGE, _FAILED = "storage", "VolumeResizeFailed"

Tell = Callable[[Obj, str, str, str], None]
"""Records an event: about what, type, reason, message."""


@dataclass(frozen=True, slots=True)
class Place:
    """A published volume, and how. `staging`: '' if the driver does without."""

    handle: str
    path: str
    staging: str
    capability: messages.Capability
    secrets: Mapping[str, str]


def wanted_bytes(claim: Obj, volume: Obj) -> int:
    """How large it is to be; 0: it is."""
    shown = dig(claim, "status", "capacity", _STORAGE, default=None)
    size = quantity.value(dig(volume, "spec", "capacity", _STORAGE, default="0"))
    return size if shown is not None and size > quantity.value(shown) else 0


class Expander:
    def __init__(self, client: Client, tell: Tell) -> None:
        self._client, self._tell = client, tell

    async def run(self, pod: Obj, claim: Obj, volume: Obj, driver: Driver, place: Place) -> None:
        """Never raises for the volume's sake: the pod goes on with what it has, and it is tried again with the next sync."""
        name = name_of(volume)
        asked = messages.expand(
            place.handle, place.path, wanted_bytes(claim, volume), place.staging, place.capability, place.secrets
        )  # fmt: skip
        try:
            await driver.expand(asked)
        except CallFailed as error:
            if error.code == FAILED_PRECONDITION:
                # In use, and it can't be grown while it is.
                log.info("volume not grown while in use volume=%s error=%s", name, error)
                return
            self._tell(pod, "Warning", _FAILED, f'NodeExpandVolume.NodeExpandVolume failed for volume "{name}" : {error}')
            if error.code in _INFEASIBLE:
                await self._show(claim, {"allocatedResourceStatuses": {_STORAGE: "NodeResizeInfeasible"}})
            return
        conditions = [each for each in dig(claim, "status", "conditions", default=None) or () if each["type"] not in _OVER]
        capacity = {_STORAGE: volume["spec"]["capacity"][_STORAGE]}
        done = {"capacity": capacity, "conditions": conditions, "allocatedResourceStatuses": {_STORAGE: None}}
        if await self._show(claim, done):
            text = f'MountVolume.NodeExpandVolume succeeded for volume "{name}"'
            for about in (pod, claim):
                self._tell(about, "Normal", "FileSystemResizeSuccessful", text)

    async def _show(self, claim: Obj, status: Obj) -> bool:
        """Whether the claim's status says so now; not if it has changed meanwhile."""
        patch = {"metadata": {"resourceVersion": str(resource_version_of(claim))}, "status": status}
        try:
            await self._client.patch(
                PERSISTENT_VOLUME_CLAIMS, name_of(claim), patch, namespace_of(claim), subresource="status"
            )  # fmt: skip
        except (StatusError, ConnectionError) as error:
            log.info("claim's status not written claim=%s/%s error=%s", namespace_of(claim), name_of(claim), error)
            return False
        return True
