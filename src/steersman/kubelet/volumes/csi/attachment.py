"""Volumes that must be attached first: looking at their VolumeAttachment, and the names of those that are in use here.

Nobody waits here: a pod whose volume is not attached looks again in its next turn, and is woken when the Node shows another one.
The attach/detach controller makes VolumeAttachments, the driver's attacher marks them as attached. What is in use goes into the
Node's status: it is not detached meanwhile. Source: upstream pkg/volume/csi/csi_attacher.go.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from steersman.api.resources import VOLUME_ATTACHMENTS
from steersman.client.interface import Client
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.volumes.base import Unattached, VolumeFault
from steersman.kubelet.volumes.csi import layout
from steersman.kubelet.volumes.csi.wanted import Wanted
from steersman.loop.attachments import unique_name
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Forbidden, NotFound
from steersman.machinery.meta import Obj, dig

WAIT_S = 120.0


class Attachments:
    def __init__(self, client: Client, clock: Clock, facts: NodeFacts, root: Path, changed: Callable[[], None]) -> None:
        """`root`: the kubelet's folder. `changed`: what is in use has changed."""
        self._client, self._clock, self._facts, self._changed = client, clock, facts, changed
        self._since: dict[tuple[str, str, str], float] = {}
        """By pod, driver and handle: since when it has been waited for."""
        notes = [note for _, note in layout.of_pods(root) if note.attachment]
        facts.volumes_in_use = tuple(sorted({unique_name(note.driver, note.handle) for note in notes}))

    @property
    def waiting(self) -> bool:
        """Whether a pod waits for an attachment: a change of the Node's volumesAttached may be its."""
        return bool(self._since)

    async def look(self, wanted: Wanted, name: str, pod_uid: str) -> dict[str, str]:
        """What the attacher tells the node of an attached volume.

        Raises Unattached while it is not, `pending` for two minutes; then, once, what is the matter (VolumeFault). Until then, or
        until `stop_waiting`, the volume counts as in use.
        """
        unique = unique_name(wanted.driver, wanted.handle)
        key, now_s = (pod_uid, wanted.driver, wanted.handle), self._clock.monotonic()
        began_s = self._since.setdefault(key, now_s)
        self._use(unique)
        found = await self._read(name)
        if found is not None and dig(found, "status", "attached", default=False):
            self._since.pop(key, None)
            # Another pod that waited for it may have let go of it.
            self._use(unique)
            return dict(dig(found, "status", "attachmentMetadata", default=None) or {})
        if now_s - began_s < WAIT_S:
            raise Unattached("it is not attached yet", pending=True)
        self._since[key] = now_s
        if why := dig(found or {}, "status", "attachError", "message", default=""):
            raise VolumeFault(why, "MountVolume.WaitForAttach failed", wanted.spec_name)
        raise Unattached("context deadline exceeded")

    def stop_waiting(self, pod_uid: str) -> list[tuple[str, str]]:
        """The pod goes. (driver, handle) of what it waited for and nobody else does."""
        mine = [key for key in self._since if key[0] == pod_uid]
        for key in mine:
            del self._since[key]
        others = {key[1:] for key in self._since}
        return [key[1:] for key in mine if key[1:] not in others]

    def let_go(self, driver: str, handle: str) -> None:
        """Nothing here has the volume any more."""
        name = unique_name(driver, handle)
        if name in self._facts.volumes_in_use:
            self._facts.volumes_in_use = tuple(each for each in self._facts.volumes_in_use if each != name)
            self._changed()

    def _use(self, name: str) -> None:
        if name not in self._facts.volumes_in_use:
            self._facts.volumes_in_use = tuple(sorted((*self._facts.volumes_in_use, name)))
            self._changed()

    async def _read(self, name: str) -> Obj | None:
        try:
            return await self._client.get(VOLUME_ATTACHMENTS, name)
        except (NotFound, Forbidden):
            # A node may not ask for one that is not there.
            return None
