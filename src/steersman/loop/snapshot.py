"""The informers that controllers share, and the read-only view of them that one controller gets (spec.Snapshot)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.loop.spec import Objs, Watch
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.machinery.labels import Selector
from steersman.machinery.meta import Obj, uid_of

Address: TypeAlias = tuple[str, str, str]
"""(group, version, plural): a Resource without what discovery may or may not have filled in."""

_UID, _OWNERS = "uid", "owner-uids"


def address(resource: Resource) -> Address:
    return resource.group, resource.version, resource.plural


class SharedInformers:
    """One informer per (resource, field selector) of whole objects, plus metadata-only ones for discovered resources."""

    def __init__(self, client: Client, metadata_client: Client, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._client, self._metadata_client, self._clock, self._group = client, metadata_client, clock, group
        self._whole: dict[tuple[Address, str], Informer] = {}
        self._metadata: dict[tuple[Address, str], tuple[Informer, asyncio.Task[None]]] = {}
        self._users: dict[tuple[Address, str], int] = {}

    def of(self, watch: Watch) -> Informer:
        """The informer that a watch is served by."""
        found = self.metadata_only if watch.metadata_only else self.whole
        return found(watch.resource, watch.field_selector)

    def whole(self, resource: Resource, field_selector: str = "") -> Informer:
        """Started when first asked for."""
        key = (address(resource), field_selector)
        if key not in self._whole:
            informer = Informer(self._client, resource, clock=self._clock, field_selector=field_selector)
            self._whole[key] = informer
            self._group.create_task(informer.run(), name=f"informer {resource.qualified}")
        return self._whole[key]

    def metadata_only(self, resource: Resource, field_selector: str = "") -> Informer:
        """The informer of whole objects if there is one anyway: it holds the metadata already. Each call counts as a user."""
        key = (address(resource), field_selector)
        if key in self._whole:
            return self._whole[key]
        self._users[key] = self._users.get(key, 0) + 1
        if key not in self._metadata:
            informer = Informer(self._metadata_client, resource, clock=self._clock, field_selector=field_selector)
            task = self._group.create_task(informer.run(), name=f"metadata informer {resource.qualified}")
            self._metadata[key] = (informer, task)
        return self._metadata[key][0]

    def drop_metadata_only(self, resource: Resource, field_selector: str = "") -> None:
        """The resource is served no more (a definition was deleted): one user less, and the last one ends the informer."""
        key = (address(resource), field_selector)
        if key not in self._metadata:
            return
        self._users[key] -= 1
        if not self._users[key]:
            self._metadata.pop(key)[1].cancel()


class CacheSnapshot:
    """spec.Snapshot over the informers of one controller. LookupError for a resource it does not watch."""

    def __init__(self, controller: str) -> None:
        self._controller = controller
        self._informers: dict[Address, tuple[Resource, Informer]] = {}
        self._discovered: dict[Address, tuple[Resource, Informer]] = {}
        self._resources: Sequence[Resource] = ()

    # --- set up by the runner --------------------------------------------------------------------------------------

    def attach(self, watch: Watch, informer: Informer) -> None:
        """The first watch of a resource is the one that reads are answered from."""
        self._informers.setdefault(address(watch.resource), (watch.resource, informer))
        for name, function in watch.indexes.items():
            informer.add_index(self._index(name), function)

    def attach_discovered(self, resource: Resource, informer: Informer) -> None:
        self._discovered[address(resource)] = (resource, informer)
        informer.add_index(_UID, _uid)
        informer.add_index(_OWNERS, _owner_uids)

    def detach_discovered(self, resource: Resource) -> None:
        self._discovered.pop(address(resource), None)

    def set_resources(self, resources: Sequence[Resource]) -> None:
        self._resources = tuple(resources)

    def informer(self, resource: Resource) -> Informer | None:
        found = self._informers.get(address(resource)) or self._discovered.get(address(resource))
        return found[1] if found is not None else None

    # --- read by controllers ---------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self._of(resource).get(namespace, name)

    def list(self, resource: Resource, namespace: str | None = None, selector: Selector | None = None) -> Objs:
        found = self._of(resource).list(namespace)
        if selector is None or selector.empty:
            return found
        matches: Callable[[dict[str, str]], bool] = selector.matches
        return [obj for obj in found if matches(obj["metadata"].get("labels") or {})]

    def owned_by(self, resource: Resource, uid: str) -> Objs:
        return self._of(resource).owned_by(uid)

    def indexed(self, resource: Resource, index: str, value: str) -> Objs:
        return self._of(resource).indexed(self._index(index), value)

    def find_uid(self, uid: str) -> tuple[Resource, Obj] | None:
        for resource, informer in self._discovered.values():
            for obj in informer.indexed(_UID, uid):
                return resource, obj
        return None

    def dependents(self, uid: str) -> Sequence[tuple[Resource, Obj]]:
        return [(resource, obj) for resource, informer in self._discovered.values() for obj in informer.indexed(_OWNERS, uid)]

    def resources(self) -> Sequence[Resource]:
        return self._resources

    def _of(self, resource: Resource) -> Informer:
        informer = self.informer(resource)
        if informer is None:
            raise LookupError(f"{self._controller} does not watch {resource.qualified}")
        return informer

    def _index(self, name: str) -> str:
        # Informers are shared, names of indexes are a controller's own.
        return f"{self._controller}/{name}"


def _uid(obj: Obj) -> Iterable[str]:
    return (uid_of(obj),)


def _owner_uids(obj: Obj) -> Iterable[str]:
    return [ref["uid"] for ref in obj["metadata"].get("ownerReferences") or ()]
