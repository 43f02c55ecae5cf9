"""Keeps the FlowSchemas and PriorityLevelConfigurations that every cluster has (bootstrap.py): at start and every minute.

Source: upstream registry/flowcontrol/{ensurer,rest}. A suggested object belongs to the server as long as its annotation says
true; one without the annotation, as long as nobody has changed its spec (generation 1).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence

from steersman.api.equality import same
from steersman.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from steersman.apiserver.contracts import Listers
from steersman.apiserver.flowcontrol.bootstrap import (
    AUTOUPDATE,
    EXEMPT,
    MANDATORY_LEVELS,
    MANDATORY_SCHEMAS,
    SUGGESTED_LEVELS,
    SUGGESTED_SCHEMAS,
)
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, metadata, name_of
from steersman.store.interface import Unavailable

log = logging.getLogger(__name__)

FIELD_MANAGER = "api-priority-and-fairness-config-producer-v1"
_EVERY_S = 60.0
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


class Maintenance:
    """`client` writes as FIELD_MANAGER."""

    def __init__(self, listers: Listers, client: Client, clock: Clock) -> None:
        self._listers, self._client, self._clock = listers, client, clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep(_EVERY_S)
            await self.ensure()

    async def ensure(self) -> None:
        """One round. What cannot be written now is tried again in the next."""
        async with asyncio.TaskGroup() as tasks:
            for resource, suggested, mandatory in (
                (PRIORITY_LEVEL_CONFIGURATIONS, SUGGESTED_LEVELS, MANDATORY_LEVELS),
                (FLOW_SCHEMAS, SUGGESTED_SCHEMAS, MANDATORY_SCHEMAS),
            ):
                found = {name_of(obj): obj for obj in self._listers(resource).list()}
                for write in self._writes(resource, found, suggested, mandatory):
                    tasks.create_task(_quietly(resource, write))

    def _writes(
        self, resource: Resource, found: dict[str, Obj], suggested: Sequence[Obj], mandatory: Sequence[Obj]
    ) -> list[Awaitable[Obj]]:
        writes: list[Awaitable[Obj]] = []
        for wanted in (*suggested, *mandatory):
            present = found.get(name_of(wanted))
            if present is None:
                writes.append(self._client.create(resource, wanted))
            elif (revised := revise(present, wanted, always=wanted in mandatory)) is not None:
                revised |= {"apiVersion": resource.api_version, "kind": resource.kind}
                writes.append(self._client.update(resource, revised))
        ours = {name_of(obj) for obj in (*suggested, *mandatory)}
        for name, obj in found.items():
            if name not in ours and _annotation(obj) in _TRUE:
                meta = metadata(obj)
                writes.append(
                    self._client.delete(resource, name, uid=meta["uid"], resource_version=meta["resourceVersion"]),
                )
        return writes


async def _quietly(resource: Resource, write: Awaitable[Obj]) -> None:
    try:
        await write
    except (StatusError, Unavailable) as fault:
        # Mostly another server that was faster; else the next round is a minute away.
        log.debug("not written: resource=%s error=%s", resource.plural, fault)


def revise(present: Obj, wanted: Obj, *, always: bool) -> Obj | None:
    """The object as it has to be, None if it is so. `always`: a mandatory one."""
    text = _annotation(present)
    if always or text in _TRUE:
        ours = True
    elif text in _FALSE:
        ours = False
    else:
        ours = metadata(present).get("generation") == 1
    spec = wanted["spec"]
    if name_of(wanted) == EXEMPT and "exempt" in present["spec"]:
        # Its shares are the administrator's.
        spec = {**spec, "exempt": present["spec"]["exempt"]}
    mark = "true" if ours else "false"
    if text == mark and (not ours or same(present["spec"], spec)):
        return None
    meta = metadata(present)
    annotations = {**(meta.get("annotations") or {}), AUTOUPDATE: mark}
    return {**present, "metadata": {**meta, "annotations": annotations}, "spec": spec if ours else present["spec"]}


def _annotation(obj: Obj) -> str:
    return str((metadata(obj).get("annotations") or {}).get(AUTOUPDATE, ""))
