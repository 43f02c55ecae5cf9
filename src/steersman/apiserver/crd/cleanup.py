"""Deletes the instances of a CustomResourceDefinition that is being deleted, then lets it go.

Source: apiextensions-apiserver pkg/controller/finalizer/crd_finalizer.go.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.api.strategies.apiextensions import CLEANUP
from steersman.apiserver.registry import Registry, Served
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, NotFound, StatusError
from steersman.machinery.meta import Obj, is_condition_true, name_of, set_condition, uid_of
from steersman.store.interface import Unavailable

log = logging.getLogger(__name__)

_WAIT_S = 60.0
_LOOK_EVERY_S = 0.05
_LOOK_LATER_S = 5.0
_CONFLICT_TRIES = 10
_REMAIN = "could not confirm zero CustomResources remaining: timed out waiting for the condition"


class Cleanup:
    """`run(definition)` returns when the definition has lost its finalizer, or is gone."""

    def __init__(self, registry: Registry, client: Client, clock: Clock) -> None:
        self._registry, self._client, self._clock = registry, client, clock

    async def run(self, definition: Obj) -> None:
        wait_s = _LOOK_EVERY_S
        while True:
            try:
                if await self._attempt(definition):
                    return
            except NotFound:
                return
            except (StatusError, Unavailable, ConnectionError) as fault:
                log.warning("instances were not deleted, will retry: definition=%s error=%s", name_of(definition), fault)
            except Exception:
                log.exception("instances were not deleted, will retry: definition=%s", name_of(definition))
            await self._clock.sleep(wait_s := min(wait_s * 2, _LOOK_LATER_S))

    async def _attempt(self, definition: Obj) -> bool:
        """Whether the instances have gone, and the finalizer with them."""
        served = self._served(definition)
        if served is None or not is_condition_true(definition, "Established"):
            return await self._let_go(definition, "NeverEstablished", "resource was never established")
        text = "CustomResource deletion is in progress"
        await self._edit(definition, lambda status: self._terminating(status, "True", "InstanceDeletionInProgress", text))
        await self._delete_instances(served)
        if not await self._gone(served):
            await self._edit(definition, lambda status: self._terminating(status, "True", "InstanceDeletionCheck", _REMAIN))
            return False
        return await self._let_go(definition, "InstanceDeletionCompleted", "removed all instances")

    def _served(self, definition: Obj) -> Served | None:
        """Any version: its instances are those of all. The stored one, if it is served, which may need no conversion."""
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        versions = sorted(definition["spec"]["versions"], key=lambda version: not version["storage"])
        found = (self._registry.lookup(group, version["name"], plural) for version in versions)
        return next((served for served in found if served is not None and not served.bare_items), None)

    async def _delete_instances(self, served: Served) -> None:
        await served.cache.ready.wait()
        await served.cache.settle()
        namespaces = {obj["metadata"].get("namespace") or "" for obj in served.cache.list()}
        for namespace in sorted(namespaces):
            await self._client.delete_collection(served.resource, namespace)

    async def _gone(self, served: Served) -> bool:
        deadline = self._clock.monotonic() + _WAIT_S
        while True:
            await served.cache.settle()
            if not served.cache.count:
                return True
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(_LOOK_EVERY_S)

    async def _let_go(self, definition: Obj, reason: str, text: str) -> bool:
        await self._edit(definition, lambda status: self._terminating(status, "False", reason, text), finalizer=False)
        return True

    def _terminating(self, status: Obj, value: str, reason: str, text: str) -> None:
        set_condition(status.setdefault("conditions", []), "Terminating", value, self._clock.now(), reason=reason, message=text)

    async def _edit(self, definition: Obj, change: Callable[[Obj], None], *, finalizer: bool = True) -> None:
        """Change the status, and drop the finalizer unless `finalizer`. Raises NotFound if another is there by now."""
        resource, name = CUSTOM_RESOURCE_DEFINITIONS, name_of(definition)
        for _ in range(_CONFLICT_TRIES):
            current = await self._client.get(resource, name)
            if uid_of(current) != uid_of(definition):
                raise NotFound.of(resource.group, resource.plural, name)
            wanted = copy.deepcopy(current)
            change(wanted.setdefault("status", {}))
            if not finalizer:
                kept = [item for item in wanted["metadata"].get("finalizers") or () if item != CLEANUP]
                wanted["metadata"]["finalizers"] = kept
            if wanted == current:
                return
            try:
                await self._client.update(resource, wanted, subresource="status")
                return
            except Conflict:
                continue
        raise Conflict.of(resource.group, resource.plural, name)
