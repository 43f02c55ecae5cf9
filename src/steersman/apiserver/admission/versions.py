"""Objects in the other versions and groups in which they are served: what matchPolicy Equivalent asks for.

Converted through the stored version, as a read would be: by the kind's own functions, or by the webhook of a custom resource.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from steersman.apiserver.registry import Registry, Served
from steersman.apiserver.storage import encode
from steersman.machinery.errors import InternalError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj
from steersman.store.interface import Entry


class Versions:
    """matching.Equivalents of what a registry serves."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._same: dict[tuple[str, str], tuple[Resource, ...]] = {}

    def equivalents(self, resource: Resource) -> Sequence[Resource]:
        if self._registry.generation != self._generation:
            self._learn()
        served = self._registry.lookup(resource.group, resource.version, resource.plural)
        if served is None:
            return ()
        found = self._same.get(_stored_as(served), ())
        return [other for other in found if other[:3] != resource[:3]]

    def _learn(self) -> None:
        """What is stored as what. Only what has several names is kept."""
        found: dict[tuple[str, str], list[Resource]] = {}
        for served in self._registry.served:
            if served.stored:
                found.setdefault(_stored_as(served), []).append(served.resource)
        self._same = {key: tuple(names) for key, names in found.items() if len(names) > 1}
        self._generation = self._registry.generation

    async def convert(self, obj: Obj, origin: Resource, target: Resource) -> Obj:
        """An object in another version; the caller's own. Raises StatusError."""
        before, after = self._served(origin), self._served(target)
        value = encode(before.to_storage(obj))
        if before.spec.webhook is not None:
            value = await before.cache.to_storage(value)
            (value,) = await after.cache.values([Entry("", value, 0, 0)])
        found: Obj = orjson.loads(value)
        if after.convert is not None:
            found = {**after.convert(found)}
        found["kind"], found["apiVersion"] = after.spec.kind, target.api_version
        return found

    def _served(self, resource: Resource) -> Served:
        served = self._registry.lookup(resource.group, resource.version, resource.plural)
        if served is None or not served.stored:
            raise InternalError.of(f"unable to convert to {resource.qualified}: unknown kind")
        return served


def _stored_as(served: Served) -> tuple[str, str]:
    return served.spec.storage.group, served.spec.storage.plural
