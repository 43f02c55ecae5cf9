"""componentstatuses: deprecated and never stored; tells of the store, the one component that the API server itself reaches."""

from __future__ import annotations

from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.http import Response
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj
from steersman.store.interface import Store, Unavailable

_NAME = "etcd-0"


class ComponentStatuses:
    """Serves get and list."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def serve(self, call: Call) -> Response:
        if call.info.name not in ("", _NAME):
            raise NotFound.of("", "componentstatuses", call.info.name)
        item = await self._of_store()
        if call.info.name:
            return respond.of_obj(call.request, {"kind": "ComponentStatus", "apiVersion": "v1", **item})
        return respond.of_obj(call.request, {"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": [item]})

    async def _of_store(self) -> Obj:
        healthy: Obj = {"type": "Healthy", "status": "True", "message": "ok"}
        try:
            await self._store.progress()
        except Unavailable as fault:
            healthy = {"type": "Healthy", "status": "False", "message": str(fault)}
        return {"metadata": {"name": _NAME}, "conditions": [healthy]}
