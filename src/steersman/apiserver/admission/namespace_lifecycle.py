"""NamespaceLifecycle: nothing is made in a namespace that is missing or terminating; the first namespaces stay.

Source: upstream apiserver/pkg/admission/plugin/namespace/lifecycle.
"""

from __future__ import annotations

from steersman.api.resources import NAMESPACES
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, dig, is_deleting

_IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
_RECENTLY_S = 30.0
"""After a namespace's deletion the cache is not believed for this long: it may not have seen it yet."""


class NamespaceLifecycle:
    name = "NamespaceLifecycle"

    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup, self._clock = lookup, clock
        self._deleted: dict[str, float] = {}

    async def admit(self, request: AdmissionRequest) -> None:
        operation, resource = request.operation, request.resource
        if resource.plural == NAMESPACES.plural and not resource.group:
            if operation == "DELETE":
                if request.name in _IMMORTAL:
                    raise refused(request, "this namespace may not be deleted")
                self._remember(request.name)
            return
        namespace = request.namespace
        if not namespace or operation not in ("CREATE", "UPDATE") or resource.plural == "localsubjectaccessreviews":
            return
        found = self._lookup.cached(NAMESPACES, "", namespace)
        if found is None or (self._deleted and self._deleted_lately(namespace) and not _terminating(found)):
            found = await self._lookup.live(NAMESPACES, "", namespace)
            if found is None:
                raise NotFound.of("", NAMESPACES.plural, namespace)
        if operation == "CREATE" and _terminating(found):
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise refused(request, why, causes=[cause])

    def _remember(self, namespace: str) -> None:
        now_s = self._clock.monotonic()
        self._deleted = {name: until_s for name, until_s in self._deleted.items() if until_s > now_s}
        self._deleted[namespace] = now_s + _RECENTLY_S

    def _deleted_lately(self, namespace: str) -> bool:
        return self._deleted.get(namespace, 0.0) > self._clock.monotonic()


def _terminating(namespace: Obj) -> bool:
    return is_deleting(namespace) or dig(namespace, "status", "phase") == "Terminating"
