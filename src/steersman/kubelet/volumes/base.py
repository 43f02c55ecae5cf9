"""What a volume type implements, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from steersman.kubelet.objects import ObjectCache, TokenCache
from steersman.machinery.meta import Obj, dig, uid_of


class VolumeFault(Exception):
    """A volume can't be set up; the text goes into the FailedMount event."""


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

    @property
    def fs_group(self) -> int | None:
        found = dig(self.pod, "spec", "securityContext", "fsGroup", default=None)
        return None if found is None else int(found)

    @property
    def pod_uid(self) -> str:
        return uid_of(self.pod)


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
