"""NodeRestriction's rules for tokens of service accounts: a node asks for those of pods that run there, as they are used there.

Source: upstream plugin/pkg/admission/noderestriction, KEP-4412 (ServiceAccountNodeAudienceRestriction).
"""

from __future__ import annotations

from steersman.api import nodeagents, noderefs
from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.authz import Authorization
from steersman.apiserver.contracts import AdmissionRequest, RequestInfo, Verdict
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, namespace_of, uid_of

_AGENTS = frozenset((nodeagents.NAMESPACE, name) for name in nodeagents.ACCOUNTS)
_CSI_DRIVERS = Resource("storage.k8s.io", "v1", "csidrivers", False, "CSIDriver")
_VERB = "request-serviceaccounts-token-audience"


class _Missing(Exception):
    """What a volume refers to is not there."""


class NodeTokens:
    """serviceaccounts/token."""

    def __init__(self, lookup: Lookup, authorization: Authorization) -> None:
        self._lookup = lookup
        self._authorization = authorization

    async def check(self, node: str, request: AdmissionRequest) -> None:
        """Bound to a pod that runs here, and for an audience that pod asks for, or the node may ask for anyway.

        What works on the node beside the kubelet has no pod: its tokens are bound to the Node. Upstream has no such accounts.
        """
        if request.subresource != "token" or request.operation != "CREATE" or request.obj is None:
            return
        spec = request.obj.get("spec") or {}
        ref = spec.get("boundObjectRef") or {}
        if (request.namespace, request.name) in _AGENTS and ref.get("kind") == "Node":
            if ref.get("name") != node or not ref.get("uid") or spec.get("audiences"):
                raise refused(request, "node requested token not bound to its own Node, by uid, for the API server")
            return
        pod = await self._pod(request, ref)
        if dig(pod, "spec", "nodeName") != node:
            raise refused(request, "node requested token bound to a pod scheduled on a different node")
        audiences = list(spec.get("audiences") or ())
        if len(audiences) > 1:
            raise refused(request, "node may only request 0 or 1 audiences")
        await self._check_audience(request, pod, audiences[0] if audiences else "")

    async def _pod(self, request: AdmissionRequest, ref: Obj) -> Obj:
        if ref.get("kind") != "Pod" or ref.get("apiVersion") != "v1" or not ref.get("name"):
            raise refused(request, "node requested token not bound to a pod")
        if not ref.get("uid"):
            raise refused(request, "node requested token with a pod binding without a uid")
        pod = await self._lookup.live(PODS, request.namespace, ref["name"])
        if pod is None:
            raise NotFound.of("", PODS.plural, ref["name"])
        if uid_of(pod) != ref["uid"]:
            raise refused(
                request,
                f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        return pod

    async def _check_audience(self, request: AdmissionRequest, pod: Obj, audience: str) -> None:
        if audience in noderefs.token_audiences(pod):
            return
        missing: list[str] = []
        for volume in dig(pod, "spec", "volumes", default=()):
            try:
                if audience in await self._driver_audiences(pod, volume):
                    return
            except _Missing as fault:
                missing.append(str(fault))
        if missing:
            told = missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]"
            raise refused(request, f'error validating audience "{audience}": {told}')
        info = RequestInfo(_VERB, "", True, "", "v1", request.namespace, audience, "", request.name)
        if (await self._authorization.authorize(request.user, info))[0] is not Verdict.ALLOW:
            raise refused(
                request,
                f'audience "{audience}" not found in pod spec volume, {request.user.name} is not authorized to request tokens '
                "for this audience",
            )

    async def _driver_audiences(self, pod: Obj, volume: Obj) -> list[str]:
        """For which the driver of a volume wants tokens. Raises _Missing."""
        driver = dig(volume, "csi", "driver", default="")
        claims = noderefs.claims({"metadata": pod["metadata"], "spec": {"volumes": [volume]}})
        for name in claims:
            claim = await self._found(PERSISTENT_VOLUME_CLAIMS, namespace_of(pod), name)
            bound = await self._found(PERSISTENT_VOLUMES, "", dig(claim, "spec", "volumeName", default=""))
            driver = dig(bound, "spec", "csi", "driver", default="")
        if not driver:
            return []
        asked = dig(await self._found(_CSI_DRIVERS, "", driver), "spec", "tokenRequests", default=())
        return [item.get("audience") or "" for item in asked]

    async def _found(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = await self._lookup.get(resource, namespace, name)
        if found is None:
            group = f".{resource.group}" if resource.group else ""
            raise _Missing(f'{resource.kind.lower()}{group} "{name}" not found')
        return found
