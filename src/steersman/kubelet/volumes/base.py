"""What a volume type implements, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.machinery.meta import Obj, dig, uid_of


class VolumeFault(Exception):
    """A volume can't be set up; the text goes into the FailedMount event, after what failed and on which volume.

    `volume`: a persistent volume's name; "" for the pod's name of it.
    """

    def __init__(self, why: str, step: str = "MountVolume.SetUp failed", volume: str = "") -> None:
        super().__init__(why)
        self.step, self.volume = step, volume


class Unprocessed(VolumeFault):
    """It is not even clear yet what there is to set up."""


class Unattached(VolumeFault):
    """It is not attached to this node yet. `pending`: and nobody needs to be told so far."""

    def __init__(self, why: str, *, pending: bool = False) -> None:
        super().__init__(why)
        self.pending = pending


@dataclass(frozen=True, slots=True)
class Request:
    """One volume of one pod to be set up at `directory` (the plugin makes it)."""

    pod: Obj
    volume: Obj
    directory: Path
    objects: ObjectCache
    tokens: TokenCache
    now: datetime
    allocatable: Mapping[str, int] = field(default_factory=dict)
    secrets_in_memory: bool = False
    node: Obj | None = None
    local_paths: Path | None = None
    persistent: Mapping[str, PersistentPlugin] = field(default_factory=dict)
    """What sets up persistent volumes of types that need more than this request, by their source."""

    def about(self, source: Obj) -> Request:
        """The same for another source, which the volume led to."""
        return replace(self, volume={"name": self.volume["name"], **source})

    @property
    def fs_group(self) -> int | None:
        found = dig(self.pod, "spec", "securityContext", "fsGroup", default=None)
        return None if found is None else int(found)

    @property
    def pod_uid(self) -> str:
        return uid_of(self.pod)


class PersistentPlugin(Protocol):
    """The part of a volume type that persistent volumes need; undone by its VolumePlugin."""

    async def set_up_volume(self, request: Request, volume: Obj) -> Path:
        """As VolumePlugin.set_up, for the PersistentVolume; its folder is named for that. Raises VolumeFault."""

    async def grow(self, request: Request, claim: Obj, volume: Obj) -> None:
        """What is set up is brought to the size of the PersistentVolume, if the claim shows another. Raises StatusError,
        ConnectionError."""


class VolumePlugin(Protocol):
    """A volume type. `source`: its key in a volume; `name`: its folder below volumes/, `~` for `/`.

    `refreshes`: set_up is called again on every sync, to bring changed content.
    """

    source: str
    name: str
    refreshes: bool

    async def set_up(self, request: Request) -> Path:
        """Make it usable; the host path to bind. Idempotent. Raises VolumeFault."""

    async def tear_down(self, directory: Path) -> None:
        """Undo set_up. Idempotent."""
