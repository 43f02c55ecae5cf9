"""componentstatuses: deprecated and never stored; tells of the store, the one component that the API server itself reaches."""

from __future__ import annotations

from steersman.apiserver.computed import answer
from steersman.apiserver.contracts import Call
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Registry
from steersman.machinery.clock import Clock
from steersman.machinery.errors import MethodNotAllowed, NotFound
from steersman.machinery.meta import Obj
from steersman.store.interface import Store, Unavailable

_NAME = "etcd-0"


class ComponentStatuses:
    """Serves get and list."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store, self._registry, self._clock = store, registry, clock

    async def serve(self, call: Call) -> Response:
        if call.info.verb == "watch":
            raise MethodNotAllowed('watch is not supported on resources of kind "componentstatuses"')
        if call.info.name not in ("", _NAME):
            raise NotFound.of("", "componentstatuses", call.info.name)
        served = self._registry.lookup("", "v1", "componentstatuses")
        assert served is not None
        item = await self._of_store()
        return answer(call.request, served, [item], self._clock.now(), single=bool(call.info.name))

    async def _of_store(self) -> Obj:
        healthy: Obj = {"type": "Healthy", "status": "True", "message": "ok"}
        try:
            await self._store.progress()
        except Unavailable as fault:
            healthy = {"type": "Healthy", "status": "False", "message": str(fault)}
        return {"metadata": {"name": _NAME}, "conditions": [healthy]}
