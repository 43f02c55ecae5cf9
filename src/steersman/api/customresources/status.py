"""The conditions of a CustomResourceDefinition: what its status should be, from what it is and the other definitions.

One step at a time, as upstream's controllers take them: names first, then Established. `next_status` is asked again after each.
Source: apiextensions-apiserver pkg/controller/{status,establish,apiapproval}.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlsplit

from steersman.api.customresources.naming import accept
from steersman.machinery.meta import Obj, annotations_of, is_condition_true, is_deleting, set_condition

APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")
_UNAPPROVED = "unapproved"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def next_status(definition: Obj, others: Iterable[Obj], now: datetime) -> Obj | None:
    """The status to write next; None if there is nothing to do."""
    if is_deleting(definition):
        return None
    before = definition.get("status") or {}
    status = copy.deepcopy(before)
    conditions: list[Obj] = status.setdefault("conditions", [])
    naming = accept(definition, others)
    status["acceptedNames"] = naming.accepted
    set_condition(conditions, "NamesAccepted", naming.status, now, reason=naming.reason, message=naming.message)
    established = is_condition_true(conditions, "Established")
    if not established:
        reason, message = "NotAccepted", "not all names are accepted"
        if naming.status == "True":
            reason, message = "Installing", "the initial names have been accepted"
        set_condition(conditions, "Established", "False", now, reason=reason, message=message)
    approval = approval_of(definition)
    if approval is not None:
        verdict, reason, message = approval
        set_condition(conditions, "KubernetesAPIApprovalPolicyConformant", verdict, now, reason=reason, message=message)
    if status == before and naming.status == "True" and not established:
        text = "the initial names have been accepted"
        set_condition(conditions, "Established", "True", now, reason="InitialNamesAccepted", message=text)
    return None if status == before else status


def is_protected(group: str) -> bool:
    """Whether a group belongs to the Kubernetes project."""
    return any(group == name or group.endswith(f".{name}") for name in _PROTECTED)


def approval_of(definition: Obj) -> tuple[str, str, str] | None:
    """Status, reason and message of KubernetesAPIApprovalPolicyConformant; None for groups that nobody guards."""
    if not is_protected(definition["spec"]["group"]):
        return None
    value = annotations_of(definition).get(APPROVAL)
    if value is None:
        text = f'protected groups must have approval annotation "{APPROVAL}", {_SEE}'
        return "False", "MissingAnnotation", text
    if value.startswith(_UNAPPROVED):
        return "False", "UnapprovedAnnotation", f'not approved: "{value}"'
    parts = urlsplit(value)
    if parts.scheme and parts.netloc:
        return "True", "ApprovedAnnotation", f"approved in {value}"
    either = f'with either a URL or a reason starting with "{_UNAPPROVED}"'
    return "False", "InvalidAnnotation", f'protected groups must have approval annotation "{APPROVAL}" {either}, {_SEE}'
