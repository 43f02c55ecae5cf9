"""NodeRestriction's rules for pods: a node acts for the pods bound to it, no others, and creates only mirrors."""

from __future__ import annotations

from steersman.api import noderefs
from steersman.api.resources import NODES, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, annotations_of, dig, labels_of, uid_of


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
            raise refused(request, f"unexpected operation {operation}")
        await _own(lookup, node, request, f"node {node} can only evict pods with spec.nodeName set to itself")
    else:
        raise refused(request, f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are allowed")


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
    referred = noderefs.api_reference(pod)
    if referred:
        raise refused(request, f'node "{node}" can not create pods that reference {referred}')


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
        raise refused(request, f'node "{node}" cannot update resource claim statues')
    if dig(new, "status", "extendedResourceClaimStatus") != dig(old, "status", "extendedResourceClaimStatus"):
        raise refused(request, f'node "{node}" cannot update extended resource claim status')


async def _own(lookup: Lookup, node: str, request: AdmissionRequest, why: str) -> None:
    pod = request.old or await lookup.get(PODS, request.namespace, request.name)
    if pod is None:
        raise NotFound.of("", PODS.plural, request.name)
    if dig(pod, "spec", "nodeName") != node:
        raise refused(request, why)
