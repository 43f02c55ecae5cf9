"""ServiceAccount: every pod runs as an account, gets its pull secrets and, unless told not to, a token volume.

Source: upstream plugin/pkg/admission/serviceaccount; KEP-1205 (bound tokens) for the volume's form.
"""

from __future__ import annotations

import random

from steersman.api import noderefs
from steersman.api.resources import PODS, SERVICE_ACCOUNTS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery import names
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, annotations_of

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607
"""The odd second lets the server tell tokens of this volume: they may live a year (reviews/tokenrequest.py)."""
_DEFAULT = "default"
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""A new namespace's default account is a controller's work: a pod made right after the namespace waits for it."""


class ServiceAccount:
    name = "ServiceAccount"

    def __init__(self, lookup: Lookup, clock: Clock, rng: random.Random | None = None) -> None:
        self._lookup, self._clock = lookup, clock
        self._rng = rng or random.Random()

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if request.resource != PODS or request.subresource or request.operation != "CREATE" or pod is None:
            return
        if noderefs.MIRROR_ANNOTATION in annotations_of(pod):
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or _DEFAULT
        # The deprecated alias is kept equal, as upstream stores both.
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(request, name)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(ref) for ref in account["imagePullSecrets"]]
        if _automount(account, spec):
            self._mount_token(spec)

    async def validate(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if request.resource != PODS or request.subresource or request.operation != "CREATE" or pod is None:
            return
        if noderefs.MIRROR_ANNOTATION in annotations_of(pod):
            if pod["spec"].get("serviceAccountName"):
                raise refused(request, "a mirror pod may not reference service accounts")
            if noderefs.secrets(pod):
                raise refused(request, "a mirror pod may not reference secrets")
            if noderefs.token_audiences(pod):
                raise refused(request, "a mirror pod may not use ServiceAccountToken volume projections")
        elif not pod["spec"].get("serviceAccountName"):
            raise refused(request, f"no service account specified for pod {request.namespace}/{request.name}")

    async def _account(self, request: AdmissionRequest, name: str) -> Obj:
        found = self._lookup.cached(SERVICE_ACCOUNTS, request.namespace, name)
        for pause_s in _PAUSES_S if name == _DEFAULT else ():
            if found is not None:
                return found
            await self._clock.sleep(pause_s)
            found = self._lookup.cached(SERVICE_ACCOUNTS, request.namespace, name)
        found = found or await self._lookup.live(SERVICE_ACCOUNTS, request.namespace, name)
        if found is None:
            where = f"{request.namespace}/{name}"
            raise refused(request, f'error looking up service account {where}: serviceaccount "{name}" not found')
        return found

    def _mount_token(self, spec: Obj) -> None:
        taken = {volume.get("name") for volume in spec.get("volumes") or ()}
        volume = f"kube-api-access-{names.random_suffix(self._rng)}"
        while volume in taken:
            volume = f"kube-api-access-{names.random_suffix(self._rng)}"
        needed = False
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            mounts = container.get("volumeMounts") or []
            if not any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
                container["volumeMounts"] = [*mounts, {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}]
                needed = True
        if needed:
            spec["volumes"] = [*(spec.get("volumes") or ()), {"name": volume, "projected": _projection()}]


def _automount(account: Obj, spec: Obj) -> bool:
    """The pod's word, else the account's, else yes."""
    for holder in (spec, account):
        said = holder.get("automountServiceAccountToken")
        if said is not None:
            return bool(said)
    return True


def _projection() -> Obj:
    return {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
                }
            },
        ],
    }
