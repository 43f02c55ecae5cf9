"""Validation of rbac.authorization.k8s.io/v1. What a requester may grant is admission's concern."""

from __future__ import annotations

from steersman.api.validation.common import Errors, label_selector, needs
from steersman.machinery.fielderrors import FieldError, invalid, not_supported, required
from steersman.machinery.meta import Obj

GROUP = "rbac.authorization.k8s.io"


def validate_role(obj: Obj) -> list[FieldError]:
    return _rules(obj, namespaced=True)


def validate_cluster_role(obj: Obj) -> list[FieldError]:
    errors = _rules(obj, namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is not None:
        selectors, path = aggregation.get("clusterRoleSelectors") or (), "aggregationRule.clusterRoleSelectors"
        text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        needs(errors, path, selectors, text)
        for index, selector in enumerate(selectors):
            label_selector(errors, f"{path}[{index}]", selector)
    return errors


def _rules(obj: Obj, *, namespaced: bool) -> Errors:
    errors: Errors = []
    for index, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{index}]"
        needs(errors, f"{path}.verbs", rule.get("verbs"), "verbs must contain at least one value")
        urls = rule.get("nonResourceURLs") or ()
        if urls:
            inner = f"{path}.nonResourceURLs"
            if namespaced:
                errors.append(invalid(inner, urls, "namespaced rules cannot apply to non-resource URLs"))
            if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
                text = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(invalid(inner, urls, text))
            continue
        needs(errors, f"{path}.apiGroups", rule.get("apiGroups"), "resource rules must supply at least one api group")
        needs(errors, f"{path}.resources", rule.get("resources"), "resource rules must supply at least one resource")
    return errors


def validate_role_binding(obj: Obj) -> list[FieldError]:
    return _binding(obj, ("Role", "ClusterRole"), namespaced=True)


def validate_cluster_role_binding(obj: Obj) -> list[FieldError]:
    return _binding(obj, ("ClusterRole",), namespaced=False)


def _binding(obj: Obj, kinds: tuple[str, ...], *, namespaced: bool) -> Errors:
    errors: Errors = []
    role = obj.get("roleRef") or {}
    if role.get("apiGroup") != GROUP:
        errors.append(not_supported("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,)))
    if role.get("kind") not in kinds:
        errors.append(not_supported("roleRef.kind", role.get("kind", ""), kinds))
    needs(errors, "roleRef.name", role.get("name"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        _subject(errors, f"subjects[{index}]", subject, namespaced)
    return errors


def _subject(errors: Errors, path: str, subject: Obj, namespaced: bool) -> None:
    kind, group = subject.get("kind") or "", subject.get("apiGroup") or ""
    needs(errors, f"{path}.name", subject.get("name"))
    if kind == "ServiceAccount":
        if group:
            errors.append(not_supported(f"{path}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != GROUP:
            errors.append(not_supported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        errors.append(not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))


def validate_role_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_role(new)


def validate_cluster_role_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_cluster_role(new)


def _same_role(errors: Errors, new: Obj, old: Obj) -> list[FieldError]:
    if new.get("roleRef") != old.get("roleRef"):
        errors.append(invalid("roleRef", new.get("roleRef"), "cannot change roleRef"))
    return errors


def validate_role_binding_update(new: Obj, old: Obj) -> list[FieldError]:
    return _same_role(validate_role_binding(new), new, old)


def validate_cluster_role_binding_update(new: Obj, old: Obj) -> list[FieldError]:
    return _same_role(validate_cluster_role_binding(new), new, old)
