"""What expressions see of a request: `request`, `namespaceObject`, and what `authorizer.requestResource` asks about. Pure.

Source: admission.k8s.io/v1 AdmissionRequest; of it there are neither uid nor objects, and what is empty is absent.
"""

from __future__ import annotations

from typing import Any

from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.cel.library.authorizer import Authorizer, ResourceCheck
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_NAMESPACE_METADATA = (
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "finalizers",
)


def request_of(request: AdmissionRequest, matched: Resource, options: Obj | None = None) -> Obj:
    """`request`, as a policy sees it that matches the resource as `matched`."""
    user = request.user
    account = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    found: Obj = {
        "kind": _kind(matched, request),
        "resource": _resource(matched),
        "requestKind": _kind(request.resource, request),
        "requestResource": _resource(request.resource),
        "operation": request.operation,
        "userInfo": {key: value for key, value in account.items() if value},
        "dryRun": request.dry_run,
    }
    optional = {
        "subResource": request.subresource,
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
        "options": options,
    }
    return {**found, **{key: value for key, value in optional.items() if value}}


def _kind(resource: Resource, request: AdmissionRequest) -> Obj:
    """The kind of what is sent: a subresource may have one of its own."""
    obj = request.obj if request.subresource and request.operation != "DELETE" else None
    if obj and obj.get("kind"):
        group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
        return {"group": group, "version": version, "kind": obj["kind"]}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _resource(resource: Resource) -> Obj:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def namespace_of(namespace: Obj | None) -> Obj | None:
    """`namespaceObject`: null for what has no namespace."""
    if namespace is None:
        return None
    meta = namespace.get("metadata") or {}
    found: Obj = {"metadata": {key: meta[key] for key in _NAMESPACE_METADATA if key in meta}}
    for key in ("spec", "status"):
        found[key] = namespace.get(key) or {}
    return found


def activation(
    request: AdmissionRequest, seen: Obj, authorizer: Authorizer, *, obj: Obj | None, old: Obj | None
) -> dict[str, Any]:
    """What is the same for all expressions of a policy. seen: what request_of gives."""
    resource = request.resource
    own = ResourceCheck(authorizer, resource.group, resource.plural, request.subresource, request.namespace, request.name)
    return {
        "object": obj,
        "oldObject": old,
        "request": seen,
        "authorizer": authorizer,
        "authorizer.requestResource": own,
        "namespaceObject": None,
    }
