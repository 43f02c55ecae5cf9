"""Reading single objects on the server's own behalf, from the watch cache, without missing what was just written.

The watch cache may be a moment behind: an object made by the request before (a namespace, a service account, a pod) must be
seen. Presence is believed; absence counts only when the cache is level with the store. Objects are shared: never change them.
"""

from __future__ import annotations

from steersman.apiserver.contracts import Listers
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


class Lookup:
    """Of any stored resource."""

    def __init__(self, listers: Listers) -> None:
        self.listers = listers

    def cached(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object as the cache has it now."""
        return self.listers(resource).get(namespace, name)

    async def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object, None if it is not there. May be a moment old."""
        found = self.cached(resource, namespace, name)
        return found if found is not None else await self.live(resource, namespace, name)

    async def live(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object with everything that was committed before the call."""
        lister = self.listers(resource)
        await lister.settle()
        return lister.get(namespace, name)
