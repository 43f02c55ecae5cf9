"""Kinds that are only the body of a request: of a subresource (Scale, Eviction, TokenRequest) or a delete (DeleteOptions).

They are decoded and checked like any kind but have no place in discovery, so they are not in BUILTIN.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from steersman.api.groups.core_v1 import BINDINGS
from steersman.api.kinds import KindSpec
from steersman.machinery.gvk import GroupVersionKind, Resource


def _body(group: str, kind: str, schema: str, plural: str) -> KindSpec:
    return KindSpec(resource=Resource(group, "v1", plural, True, kind), verbs=(), schema=schema, virtual=True)


SCALE = _body("autoscaling", "Scale", "io.k8s.api.autoscaling.v1.Scale", "scale")
EVICTION = _body("policy", "Eviction", "io.k8s.api.policy.v1.Eviction", "eviction")
TOKEN_REQUEST = _body("authentication.k8s.io", "TokenRequest", "io.k8s.api.authentication.v1.TokenRequest", "token")
DELETE_OPTIONS = _body("", "DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "deleteoptions")

BODIES: Mapping[GroupVersionKind, KindSpec] = MappingProxyType(
    {
        GroupVersionKind(spec.resource.group, spec.resource.version, spec.kind): spec
        for spec in (SCALE, EVICTION, TOKEN_REQUEST, DELETE_OPTIONS, BINDINGS)
    }
)
"""By the kind that `Subresource` names (group, version, kind)."""
