"""Kinds that are only the body of a request: of a subresource (Scale, Eviction, TokenRequest) or a delete (DeleteOptions).

They are decoded and checked like any kind but have no place in discovery, so they are not in BUILTIN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from steersman.api.defaults.small import token_request
from steersman.api.groups.core_v1 import BINDINGS
from steersman.api.kinds import KindSpec
from steersman.machinery.gvk import GroupVersionKind, Resource
from steersman.machinery.meta import Obj


def _nothing(_: Obj) -> None:
    return None


def _body(group: str, kind: str, schema: str, plural: str, default: Callable[[Obj], None] = _nothing) -> KindSpec:
    resource = Resource(group, "v1", plural, True, kind)
    return KindSpec(resource=resource, verbs=(), schema=schema, default=default, virtual=True)


SCALE = _body("autoscaling", "Scale", "io.k8s.api.autoscaling.v1.Scale", "scale")
EVICTION = _body("policy", "Eviction", "io.k8s.api.policy.v1.Eviction", "eviction")
TOKEN_REQUEST = _body(
    "authentication.k8s.io", "TokenRequest", "io.k8s.api.authentication.v1.TokenRequest", "token", token_request
)
DELETE_OPTIONS = _body("", "DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "deleteoptions")

BODIES: Mapping[GroupVersionKind, KindSpec] = MappingProxyType(
    {
        GroupVersionKind(spec.resource.group, spec.resource.version, spec.kind): spec
        for spec in (SCALE, EVICTION, TOKEN_REQUEST, DELETE_OPTIONS, BINDINGS)
    }
)
"""By the kind that `Subresource` names (group, version, kind)."""
