"""Volumes that must be attached first: waiting for their VolumeAttachment, and the names of those that are in use here.

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
_FIRST_S, _MOST_S = 0.1, 2.0


class Attachments:
    def __init__(self, client: Client, clock: Clock, facts: NodeFacts, root: Path, changed: Callable[[], None]) -> None:
        """`root`: the kubelet's folder. `changed`: what is in use has changed."""
        self._client, self._clock, self._facts, self._changed = client, clock, facts, changed
        notes = [note for _, note in layout.of_pods(root) if note.attachment]
        facts.volumes_in_use = tuple(sorted({unique_name(note.driver, note.handle) for note in notes}))

    async def wait(self, wanted: Wanted, name: str) -> dict[str, str]:
        """Until the volume is attached: what the attacher tells the node of it. Raises VolumeFault."""
        unique = unique_name(wanted.driver, wanted.handle)
        self._use(unique)
        deadline_s = self._clock.monotonic() + WAIT_S
        pause_s = _FIRST_S
        while True:
            found = await self._read(name)
            if found is not None and dig(found, "status", "attached", default=False):
                # Another pod that waited for it may have let go of it.
                self._use(unique)
                return dict(dig(found, "status", "attachmentMetadata", default=None) or {})
            why = dig(found or {}, "status", "attachError", "message", default="")
            if self._clock.monotonic() >= deadline_s:
                if why:
                    raise VolumeFault(why, "MountVolume.WaitForAttach failed", wanted.spec_name)
                raise Unattached("context deadline exceeded")
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, _MOST_S)

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
