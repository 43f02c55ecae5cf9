"""The watch caches as a dictionary: contracts.Listers for tests of what reads them."""

from __future__ import annotations

from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, key_of


class FakeLister:
    """Implements contracts.Lister."""

    def __init__(self, all_listers: FakeListers) -> None:
        self.version = 1
        self._all = all_listers
        self._objects: dict[Key, Obj] = {}

    def get(self, namespace: str, name: str) -> Obj | None:
        return self._objects.get((namespace, name))

    async def settle(self) -> None:
        self._all.settle()

    def put(self, obj: Obj) -> None:
        self.version += 1
        self._objects[key_of(obj)] = obj

    def drop(self, namespace: str, name: str) -> None:
        self.version += 1
        del self._objects[namespace, name]

    def list(self, namespace: str | None = None) -> list[Obj]:
        return [obj for key, obj in self._objects.items() if not namespace or key[0] == namespace]


class FakeListers:
    """Calling it gives the lister of a resource. `late` objects are committed but not seen before somebody settles."""

    def __init__(self, *objects: tuple[Resource, Obj]) -> None:
        self._listers: dict[Resource, FakeLister] = {}
        self.late: list[tuple[Resource, Obj]] = []
        for resource, obj in objects:
            self(resource).put(obj)

    def __call__(self, resource: Resource) -> FakeLister:
        return self._listers.setdefault(resource, FakeLister(self))

    def settle(self) -> None:
        for resource, obj in self.late:
            self(resource).put(obj)
        self.late.clear()
