"""Defaults of the small groups: discovery, rbac, scheduling, and of request bodies."""

from __future__ import annotations

from steersman.machinery.meta import Obj

RBAC_GROUP = "rbac.authorization.k8s.io"


def endpoint_slice(obj: Obj) -> None:
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def binding(obj: Obj) -> None:
    """RoleBinding, ClusterRoleBinding: API groups of the role and the subjects."""
    role = obj.setdefault("roleRef", {})
    if not role.get("apiGroup"):
        role["apiGroup"] = RBAC_GROUP
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = RBAC_GROUP


def priority_class(obj: Obj) -> None:
    if not obj.get("preemptionPolicy"):
        obj["preemptionPolicy"] = "PreemptLowerPriority"


def token_request(obj: Obj) -> None:
    obj.setdefault("spec", {}).setdefault("expirationSeconds", 3600)
