"""Writes what typechecking.py finds into the status of ValidatingAdmissionPolicies, once for each of their generations.

Every API server does this for itself; they all write the same. Upstream's controller manager does it, from the schemas that the
server publishes (pkg/controller/validatingadmissionpolicystatus); here it is where the schemas are.
"""

from __future__ import annotations

import logging

from steersman.api.groups.admissionregistration_v1 import VALIDATING_POLICIES
from steersman.api.kinds import KindSpec
from steersman.apiserver.admission.policies.kinds import Kinds
from steersman.apiserver.registry import Registry
from steersman.apiserver.watchcache.cache import TooOld
from steersman.apiserver.watchcache.selection import Selection
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, InternalError, NotFound, StatusError
from steersman.machinery.meta import Obj, dig, is_deleting, name_of
from steersman.store.interface import Unavailable

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_RESOURCE = VALIDATING_POLICIES.resource


class _Served:
    """typechecking.Served of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._kinds = registry, Kinds(registry)

    def at(self, group: str, version: str, plural: str) -> KindSpec | None:
        found = self._registry.lookup(group, version, plural)
        return found.spec if found is not None else None

    def of(self, api_version: str, kind: str) -> KindSpec | None:
        found = self._kinds.of(api_version, kind)
        return found.spec if found is not None else None


async def run(registry: Registry, client: Client, clock: Clock) -> None:
    """Until cancelled."""
    found = registry.lookup(*_RESOURCE[:3])
    assert found is not None
    cache, served = found.cache, _Served(registry)
    while True:
        await cache.ready.wait()
        try:
            watcher = cache.watch(Selection(), max(registry.revision, cache.version))
        except TooOld:
            await clock.sleep(_RETRY_S)
            continue
        try:
            while True:
                if not await _look(cache.list(), served, client):
                    await clock.sleep(_RETRY_S)
                elif not await watcher.next():
                    break
        except InternalError as fault:
            log.error("policies cannot be read: error=%s", fault)
            await clock.sleep(_RETRY_S)
        finally:
            cache.unwatch(watcher)


async def _look(policies: list[Obj], served: _Served, client: Client) -> bool:
    """False if one could not be written, and no event will come that says why."""
    good = True
    for policy in policies:
        generation = int(dig(policy, "metadata", "generation", default=0))
        if not is_deleting(policy) and generation > int(dig(policy, "status", "observedGeneration", default=0)):
            good = await _write(policy, generation, served, client) and good
    return good


async def _write(policy: Obj, generation: int, served: _Served, client: Client) -> bool:
    # Here, not above: most clusters have no policies.
    from steersman.apiserver.admission.policies.typechecking import warnings

    found = warnings(policy, served)
    # If the policy has changed since, the next event brings it back here.
    version = {"resourceVersion": policy["metadata"]["resourceVersion"]}
    status = {"observedGeneration": generation, "typeChecking": {"expressionWarnings": found or None}}
    try:
        await client.patch(_RESOURCE, name_of(policy), {"metadata": version, "status": status}, subresource="status")
    except (Conflict, NotFound):
        return True
    except (StatusError, Unavailable, ConnectionError) as fault:
        log.warning("type checking was not written: policy=%s error=%s", name_of(policy), fault)
        return False
    return True
