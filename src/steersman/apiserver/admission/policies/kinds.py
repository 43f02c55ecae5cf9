"""Kinds as policies name and change them: which resource a kind is served as, and what its objects look like in the schema."""

from __future__ import annotations

from steersman.api.groups.bodies import BODIES
from steersman.api.kinds import KindSpec
from steersman.apiserver.registry import Registry, Served
from steersman.machinery.gvk import GroupVersionKind, Resource, split_api_version
from steersman.machinery.meta import Obj


class Kinds:
    """What is served, by kind. The table is made anew when that changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._table: dict[tuple[str, str], Served] = {}

    def of(self, api_version: str, kind: str) -> Served | None:
        if self._generation != self._registry.generation:
            self._table = {}
            for served in self._registry.served:
                self._table.setdefault((served.resource.api_version, served.spec.kind), served)
            self._generation = self._registry.generation
        return self._table.get((api_version, kind))

    def at(self, resource: Resource) -> Served | None:
        return self._registry.lookup(resource.group, resource.version, resource.plural)

    def spec_of(self, obj: Obj) -> KindSpec | None:
        """Of an object, which may be the body of a subresource."""
        version, kind = str(obj.get("apiVersion") or ""), str(obj.get("kind") or "")
        found = self.of(version, kind)
        return found.spec if found is not None else BODIES.get(GroupVersionKind(*split_api_version(version), kind))
