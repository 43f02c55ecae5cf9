"""NodeRestriction's rules for pods and for tokens of service accounts: a node acts for the pods bound to it, no others."""

from __future__ import annotations

from steersman.api import nodeagents, noderefs
from steersman.api.resources import NODES, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, annotations_of, dig, labels_of, uid_of

_AGENTS = frozenset((nodeagents.NAMESPACE, name) for name in nodeagents.ACCOUNTS)


async def check_pod(lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    subresource, operation = request.subresource, request.operation
    if subresource == "":
        if operation == "CREATE":
            await _create(lookup, node, request)
        elif operation == "DELETE":
            await _own(lookup, node, request, f'node "{node}" can only delete pods with spec.nodeName set to itself')
        else:
            raise refused(request, f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods')
    elif subresource == "status":
        _status(node, request)
    elif subresource == "eviction":
        if operation != "CREATE":
            raise refused(request, f'unexpected operation "{operation}"')
        await _own(lookup, node, request, f"node {node} can only evict pods with spec.nodeName set to itself")
    else:
        raise refused(request, f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are allowed")


async def check_token(lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    """serviceaccounts/token: bound to a pod that runs here, and for an audience that pod asks for.

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
    if ref.get("kind") != "Pod" or ref.get("apiVersion") != "v1" or not ref.get("name"):
        raise refused(request, "node requested token not bound to a pod")
    if not ref.get("uid"):
        raise refused(request, "node requested token with a pod binding without a uid")
    pod = await lookup.live(PODS, request.namespace, ref["name"])
    if pod is None:
        raise NotFound.of("", PODS.plural, ref["name"])
    if uid_of(pod) != ref["uid"]:
        raise refused(
            request,
            f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        )
    if dig(pod, "spec", "nodeName") != node:
        raise refused(request, "node requested token bound to a pod scheduled on a different node")
    _audience(request, pod, list(spec.get("audiences") or ()))


async def _create(lookup: Lookup, node: str, request: AdmissionRequest) -> None:
    pod = request.obj or {}
    spec = pod.get("spec") or {}
    if noderefs.MIRROR_ANNOTATION not in annotations_of(pod):
        raise refused(
            request,
            f'pod does not have "{noderefs.MIRROR_ANNOTATION}" annotation, node "{node}" can only create mirror pods',
        )
    if spec.get("nodeName") != node:
        raise refused(request, f'node "{node}" can only create pods with spec.nodeName set to itself')
    await _owner(lookup, node, request, dig(pod, "metadata", "ownerReferences", default=[]))
    for referred, what in (
        (spec.get("serviceAccountName"), "a service account"),
        (noderefs.secrets(pod), "secrets"),
        (noderefs.config_maps(pod), "configmaps"),
        (noderefs.claims(pod), "persistentvolumeclaims"),
        (noderefs.resource_claims(pod), "resourceclaims"),
    ):
        if referred:
            raise refused(request, f'node "{node}" can not create pods that reference {what}')


async def _owner(lookup: Lookup, node: str, request: AdmissionRequest, owners: list[Obj]) -> None:
    if len(owners) > 1:
        raise refused(request, f'node "{node}" can only create pods with a single owner reference set to itself')
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        raise refused(request, f'node "{node}" can only create pods with an owner reference set to itself')
    if not owner.get("controller"):
        raise refused(request, f'node "{node}" can only create pods with a controller owner reference set to itself')
    if owner.get("blockOwnerDeletion"):
        raise refused(request, f'node "{node}" must not set blockOwnerDeletion on an owner reference')
    itself = await lookup.get(NODES, "", node)
    if itself is None:
        raise NotFound.of("", NODES.plural, node)
    if uid_of(itself) != owner.get("uid"):
        raise refused(request, f"node {node} UID mismatch: expected {owner.get('uid')} got {uid_of(itself)}")


def _status(node: str, request: AdmissionRequest) -> None:
    new, old = request.obj, request.old
    if request.operation != "UPDATE" or new is None or old is None:
        raise refused(request, f'unexpected operation "{request.operation}"')
    if dig(old, "spec", "nodeName") != node:
        raise refused(request, f'node "{node}" can only update pod status for pods with spec.nodeName set to itself')
    if labels_of(new) != labels_of(old):
        raise refused(request, f'node "{node}" cannot update labels through pod status')
    if dig(new, "status", "resourceClaimStatuses") != dig(old, "status", "resourceClaimStatuses"):
        raise refused(request, f'node "{node}" cannot update resource claim statuses')


async def _own(lookup: Lookup, node: str, request: AdmissionRequest, why: str) -> None:
    pod = request.old or await lookup.get(PODS, request.namespace, request.name)
    if pod is None:
        raise NotFound.of("", PODS.plural, request.name)
    if dig(pod, "spec", "nodeName") != node:
        raise refused(request, why)


def _audience(request: AdmissionRequest, pod: Obj, audiences: list[str]) -> None:
    if len(audiences) > 1:
        raise refused(request, f"node may only request 0 or 1 audiences, got {len(audiences)}")
    audience = audiences[0] if audiences else ""
    has_driver = any(
        volume.get("csi") or volume.get("persistentVolumeClaim") for volume in dig(pod, "spec", "volumes", default=())
    )
    # A CSI driver's own token requests may name any audience; its CSIDriver object says which.
    if audience and not has_driver and audience not in noderefs.token_audiences(pod):
        raise refused(request, f'audience "{audience}" not found in pod spec volume')
