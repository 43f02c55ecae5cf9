"""NamespaceExists and NamespaceAutoProvision: what happens to objects of namespaces that are not there.

Source: upstream plugin/pkg/admission/namespace. NamespaceLifecycle, which is on by default, does more than the first.
"""

from __future__ import annotations

from steersman.api.resources import NAMESPACES
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.client.interface import Client
from steersman.machinery.errors import AlreadyExists, NotFound


class NamespaceExists:
    name = "NamespaceExists"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def validate(self, request: AdmissionRequest) -> None:
        if not request.namespace or request.resource == NAMESPACES or request.operation == "CONNECT":
            return
        if await self._lookup.get(NAMESPACES, "", request.namespace) is None:
            raise NotFound.of("", NAMESPACES.plural, request.namespace)


class NamespaceAutoProvision:
    """client: in-process."""

    name = "NamespaceAutoProvision"

    def __init__(self, lookup: Lookup, client: Client) -> None:
        self._lookup, self._client = lookup, client

    async def admit(self, request: AdmissionRequest) -> None:
        # Nothing is written in a dry run: NamespaceLifecycle then says that there is no namespace.
        if request.operation != "CREATE" or not request.namespace or request.resource == NAMESPACES or request.dry_run:
            return
        if await self._lookup.get(NAMESPACES, "", request.namespace) is not None:
            return
        try:
            await self._client.create(
                NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": request.namespace}}
            )
        except AlreadyExists:
            pass
