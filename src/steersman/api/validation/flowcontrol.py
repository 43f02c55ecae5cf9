"""Validation of flow schemas and priority levels. Some of those that every server has must keep their specs."""

from __future__ import annotations

import math
from typing import Any

from steersman.api.equality import same
from steersman.api.validation.common import Errors, each, label, needs, one_of, subdomain, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj, name_of

_MAX_PRECEDENCE, _MAX_QUEUES, _MAX_HASH_BITS = 10_000, 10_000_000, 60
_METHODS, _RESPONSES, _TYPES = ("ByNamespace", "ByUser"), ("Queue", "Reject"), ("Exempt", "Limited")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_VERBS = ("*", "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_NAMESPACE_LEAD = "each member of this list must be '*' or a DNS-1123 label; "

_ANYTHING: Obj = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def _groups(*found: str) -> list[Obj]:
    return [{"kind": "Group", "group": {"name": name}} for name in found]


FIXED_SCHEMAS: dict[str, Obj] = {
    "exempt": {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": [{"subjects": _groups("system:masters"), **_ANYTHING}],
    },
    "catch-all": {
        "priorityLevelConfiguration": {"name": "catch-all"},
        "matchingPrecedence": _MAX_PRECEDENCE,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": _groups("system:unauthenticated", "system:authenticated"), **_ANYTHING}],
    },
}
_REJECTING = {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}
FIXED_LEVELS: dict[str, Obj] = {
    "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    "catch-all": {"type": "Limited", "limited": _REJECTING},
}


def validate_flow_schema(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    name, spec = name_of(obj), obj.get("spec") or {}
    precedence = spec.get("matchingPrecedence") or 0
    path = "spec.matchingPrecedence"
    if precedence <= 0:
        errors.append(invalid(path, precedence, "must be a positive value"))
    if precedence > _MAX_PRECEDENCE:
        errors.append(invalid(path, precedence, f"must not be greater than {_MAX_PRECEDENCE}"))
    if precedence == 1 and name != "exempt":
        errors.append(invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _METHODS:
        errors.append(not_supported("spec.distinguisherMethod.type", method, _METHODS))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    if needs(errors, "spec.priorityLevelConfiguration.name", level, "must reference a priority level"):
        subdomain(errors, "spec.priorityLevelConfiguration.name", level)
    each(errors, "spec.rules", spec.get("rules"), _rule)
    fixed = FIXED_SCHEMAS.get(name)
    if fixed is not None and not same(spec, fixed):
        errors.append(invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return errors


def validate_flow_schema_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_flow_schema(new)


def _rule(errors: Errors, path: str, rule: Obj) -> None:
    if needs(errors, f"{path}.subjects", rule.get("subjects"), "subjects must contain at least one value"):
        each(errors, f"{path}.subjects", rule["subjects"], _subject)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        errors.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    each(errors, f"{path}.resourceRules", rule.get("resourceRules"), _resource_rule)
    each(errors, f"{path}.nonResourceRules", rule.get("nonResourceRules"), _url_rule)


def _subject(errors: Errors, path: str, subject: Obj) -> None:
    """Exactly the block that the kind names."""
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        errors.append(not_supported(f"{path}.kind", kind, tuple(_SUBJECTS)))
        return
    own = _SUBJECTS[kind]
    block = subject.get(own)
    if block is None:
        errors.append(required(f"{path}.{own}", f"{own} is required when subject kind is '{kind}'"))
    else:
        name = block.get("name") or ""
        if needs(errors, f"{path}.{own}.name", name) and kind == "ServiceAccount" and name != "*":
            subdomain(errors, f"{path}.{own}.name", name)
        if kind == "ServiceAccount":
            namespace = block.get("namespace") or ""
            if needs(errors, f"{path}.{own}.namespace", namespace, "must specify namespace for service account"):
                label(errors, f"{path}.{own}.namespace", namespace)
    for other, key in reversed(_SUBJECTS.items()):
        if key != own and subject.get(key) is not None:
            errors.append(forbidden(f"{path}.{key}", f"{key} is forbidden when subject kind is not '{other}'"))


def _alone(errors: Errors, path: str, values: list[str], what: str) -> bool:
    """A star stands alone. True if there is one."""
    if "*" not in values:
        return False
    if len(values) > 1:
        errors.append(invalid(path, values, f"if '*' is present, must not specify other {what}"))
    return True


def _verbs(errors: Errors, path: str, verbs: list[str]) -> None:
    if not needs(errors, path, verbs, "verbs must contain at least one value") or _alone(errors, path, verbs, "verbs"):
        return
    if not set(verbs) <= set(_VERBS):
        errors.append(not_supported(path, verbs, _VERBS))


def _resource_rule(errors: Errors, path: str, rule: Obj) -> None:
    _verbs(errors, f"{path}.verbs", rule.get("verbs") or [])
    for key, one, many in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        values = rule.get(key) or []
        if needs(errors, f"{path}.{key}", values, f"resource rules must supply at least one {one}"):
            _alone(errors, f"{path}.{key}", values, many)
    namespaces = rule.get("namespaces") or []
    if not namespaces and not rule.get("clusterScope"):
        text = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(f"{path}.namespaces", text))
    elif not _alone(errors, f"{path}.namespaces", namespaces, "namespaces"):
        for index, name in enumerate(namespaces):
            for text in names.dns1123_label(name):
                errors.append(invalid(f"{path}.namespaces[{index}]", name, _NAMESPACE_LEAD + text))


def _url_rule(errors: Errors, path: str, rule: Obj) -> None:
    _verbs(errors, f"{path}.verbs", rule.get("verbs") or [])
    urls, inner = rule.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    if not needs(errors, inner, urls, "nonResourceURLs must contain at least one value"):
        return
    if _alone(errors, inner, urls, "non-resource URLs"):
        return
    for index, url in enumerate(urls):
        text = _url_fault(url)
        if text:
            errors.append(invalid(f"{inner}[{index}]", url, text))


def _url_fault(url: str) -> str:
    if not url:
        return "must not be empty"
    if url == "/":
        return ""
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if "*" in url.removesuffix("/*"):
        return "wildcard can only do suffix matching"
    return ""


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    """Of both kinds."""
    errors: Errors = []
    seen: set[str] = set()
    for index, item in enumerate((new.get("status") or {}).get("conditions") or ()):
        path, kind = f"status.conditions[{index}].type", item.get("type") or ""
        unique(errors, path, kind, seen)
        needs(errors, path, kind, "must not be empty")
    return errors


def validate_priority_level(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    name, spec = name_of(obj), obj.get("spec") or {}
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    if (name == "exempt") != (kind == "Exempt"):
        errors.append(invalid("spec.type", kind, "type must be 'Exempt' if and only if name is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            errors.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is None:
            errors.append(required("spec.exempt", "must not be empty if the type is Exempt"))
        else:
            _shares(errors, "spec.exempt", exempt)
    elif kind == "Limited":
        if exempt is not None:
            errors.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            errors.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            _limited(errors, "spec.limited", limited)
    else:
        errors.append(not_supported("spec.type", kind, _TYPES))
    _fixed_level(errors, name, spec)
    return errors


def _fixed_level(errors: Errors, name: str, spec: Obj) -> None:
    """Only the shares of the exempt level are free."""
    fixed = FIXED_LEVELS.get(name)
    if fixed is None:
        return
    if name == "exempt":
        if not same({**spec, "exempt": None}, {**fixed, "exempt": None}):
            text = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
            errors.append(invalid("spec", spec, text))
    elif not same(spec, fixed):
        errors.append(invalid("spec", spec, f"spec of '{name}' must equal the fixed value"))


def validate_priority_level_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_priority_level(new)


def _shares(errors: Errors, path: str, block: Obj) -> None:
    shares, lendable = block.get("nominalConcurrencyShares"), block.get("lendablePercent")
    if shares is not None and shares < 0:
        errors.append(invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    if lendable is not None and not 0 <= lendable <= 100:
        errors.append(invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive"))


def _limited(errors: Errors, path: str, block: Obj) -> None:
    _shares(errors, path, block)
    borrowing = block.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        errors.append(invalid(f"{path}.borrowingLimitPercent", borrowing, "if specified, must be a non-negative integer"))
    response = block.get("limitResponse") or {}
    kind, queuing, inner = response.get("type") or "", response.get("queuing"), f"{path}.limitResponse"
    if kind == "Reject" and queuing is not None:
        errors.append(forbidden(f"{inner}.queuing", "must be nil if limited.limitResponse.type is not Limited"))
    elif kind == "Queue" and queuing is None:
        errors.append(required(f"{inner}.queuing", "must not be empty if limited.limitResponse.type is Limited"))
    elif kind == "Queue":
        _queuing(errors, f"{inner}.queuing", queuing)
    elif kind != "Reject":
        one_of(errors, f"{inner}.type", kind or "", _RESPONSES, optional=False)


def _queuing(errors: Errors, path: str, queuing: Any) -> None:
    length, queues, hand = (queuing.get(key) or 0 for key in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        errors.append(invalid(f"{path}.queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        errors.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > _MAX_QUEUES:
        errors.append(invalid(f"{path}.queues", queues, f"must not be greater than {_MAX_QUEUES}"))
    if hand <= 0:
        errors.append(invalid(f"{path}.handSize", hand, "must be positive"))
    elif hand > queues:
        errors.append(invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})"))
    else:
        bits = math.ceil(sum(math.log2(queues - index) for index in range(hand)))
        if bits > _MAX_HASH_BITS:
            text = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_MAX_HASH_BITS}"
            errors.append(invalid(f"{path}.handSize", hand, text))
