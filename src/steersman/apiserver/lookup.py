"""Reading single objects on the server's own behalf: from the watch cache, and from storage where the cache has nothing.

The watch cache may be a moment behind: an object made by the request before (a namespace, a service account, a pod) must not
be missed. Absence is therefore always confirmed by a live read; presence is believed. Objects are shared: never change them.
"""

from __future__ import annotations

from steersman.apiserver.contracts import Listers
from steersman.client.interface import Client
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj


class Lookup:
    """`client` None: the watch cache alone (tests, and before the in-process client stands)."""

    def __init__(self, listers: Listers, client: Client | None = None) -> None:
        self.listers = listers
        self._client = client

    def cached(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """What the watch cache has."""
        return self.listers(resource).get(namespace, name)

    async def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object, None if it is not there."""
        found = self.cached(resource, namespace, name)
        return found if found is not None else await self.live(resource, namespace, name)

    async def live(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """The object as storage has it now."""
        if self._client is None:
            return self.cached(resource, namespace, name)
        try:
            return await self._client.get(resource, name, namespace)
        except NotFound:
            return None
