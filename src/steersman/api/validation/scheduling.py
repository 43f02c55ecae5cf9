"""Validation of what steers scheduling: node selectors, affinity, tolerations, topology spread, gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from steersman.api.validation.common import (
    NEEDS_VALUES,
    NO_VALUES,
    NOT_AN_OPERATOR,
    POSITIVE,
    Errors,
    complain,
    each,
    label,
    label_selector,
    needs,
    one_of,
    unique,
)  # fmt: skip
from steersman.machinery import names
from steersman.machinery.fielderrors import duplicate, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TOPOLOGY_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_ONE_VALUE = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"


def label_key(errors: Errors, path: str, key: str) -> None:
    complain(errors, path, key, names.qualified_name(key))


def node_requirement(errors: Errors, path: str, item: Obj, *, check_values: bool = True) -> None:
    """One matchExpressions entry of a node selector term."""
    operator, values = item.get("operator", ""), item.get("values") or ()
    if operator in ("In", "NotIn"):
        needs(errors, f"{path}.values", values, NEEDS_VALUES)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            errors.append(forbidden(f"{path}.values", NO_VALUES))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            errors.append(required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        errors.append(invalid(f"{path}.operator", operator, NOT_AN_OPERATOR))
    label_key(errors, f"{path}.key", item.get("key", ""))
    if check_values:
        for index, value in enumerate(values):
            complain(errors, f"{path}.values[{index}]", value, names.label_value(value))


def _node_field(errors: Errors, path: str, item: Obj) -> None:
    operator, values, key = item.get("operator", ""), item.get("values") or (), item.get("key", "")
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            errors.append(required(f"{path}.values", _ONE_VALUE))
    else:
        errors.append(invalid(f"{path}.operator", operator, NOT_AN_OPERATOR))
    if key != "metadata.name":
        errors.append(invalid(f"{path}.key", key, "not a valid field selector key"))
        return
    for index, value in enumerate(values):
        complain(errors, f"{path}.values[{index}]", value, names.dns1123_subdomain(value))


def node_selector_term(errors: Errors, path: str, term: Obj, *, check_values: bool = True) -> None:
    for index, item in enumerate(term.get("matchExpressions") or ()):
        node_requirement(errors, f"{path}.matchExpressions[{index}]", item, check_values=check_values)
    each(errors, f"{path}.matchFields", term.get("matchFields"), _node_field)


def node_selector(errors: Errors, path: str, selector: Obj) -> None:
    """A required node selector: of affinity or of a volume."""
    terms = selector.get("nodeSelectorTerms") or ()
    if needs(errors, f"{path}.nodeSelectorTerms", terms, "must have at least one node selector term"):
        each(errors, f"{path}.nodeSelectorTerms", terms, node_selector_term)


def affinity(errors: Errors, path: str, value: Obj) -> None:
    """spec.affinity of a pod."""
    node = value.get("nodeAffinity")
    if node:
        inner = f"{path}.nodeAffinity"
        hard = node.get("requiredDuringSchedulingIgnoredDuringExecution")
        if hard is not None:
            node_selector(errors, f"{inner}.requiredDuringSchedulingIgnoredDuringExecution", hard)
        soft = f"{inner}.preferredDuringSchedulingIgnoredDuringExecution"
        for index, item in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            _weight(errors, f"{soft}[{index}]", item)
            node_selector_term(errors, f"{soft}[{index}].preference", item.get("preference") or {}, check_values=False)
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = value.get(kind)
        if not pods:
            continue
        each(
            errors,
            f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution",
            pods.get("requiredDuringSchedulingIgnoredDuringExecution"),
            _pod_term,
        )
        soft = f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution"
        for index, item in enumerate(pods.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            _weight(errors, f"{soft}[{index}]", item)
            _pod_term(errors, f"{soft}[{index}].podAffinityTerm", item.get("podAffinityTerm") or {})


def _weight(errors: Errors, path: str, item: Obj) -> None:
    weight = item.get("weight", 0)
    if not 1 <= weight <= 100:
        errors.append(invalid(f"{path}.weight", weight, "must be in the range 1-100"))


def _pod_term(errors: Errors, path: str, term: Obj) -> None:
    selector = term.get("labelSelector")
    label_selector(errors, f"{path}.labelSelector", selector)
    label_selector(errors, f"{path}.namespaceSelector", term.get("namespaceSelector"))
    for name in term.get("namespaces") or ():
        label(errors, f"{path}.namespace", name)
    match, mismatch = term.get("matchLabelKeys") or (), term.get("mismatchLabelKeys") or ()
    if match or mismatch:
        _label_keys(errors, f"{path}.matchLabelKeys", match, selector)
        _label_keys(errors, f"{path}.mismatchLabelKeys", mismatch, selector)
        for index, key in enumerate(match):
            if key in mismatch:
                text = "exists in both matchLabelKeys and mismatchLabelKeys"
                errors.append(invalid(f"{path}.matchLabelKeys[{index}]", key, text))
    _topology_key(errors, f"{path}.topologyKey", term.get("topologyKey"))


def _topology_key(errors: Errors, path: str, key: str | None) -> None:
    if not key:
        errors.append(required(path, "can not be empty"))
    else:
        label_key(errors, path, key)


def _label_keys(errors: Errors, path: str, keys: Sequence[str], selector: Obj | None) -> None:
    """matchLabelKeys and their like. The strategy has merged them into the selector as single-value expressions."""
    if not keys:
        return
    if selector is None:
        errors.append(forbidden(path, "must not be specified when labelSelector is not set"))
        return
    wanted = selector.get("matchLabels") or {}
    operator = "NotIn" if path.endswith("mismatchLabelKeys") else "In"
    for index, key in enumerate(keys):
        label_key(errors, f"{path}[{index}]", key)
        expressions = [item for item in selector.get("matchExpressions") or () if item.get("key") == key]
        merged = any(item.get("operator") == operator and len(item.get("values") or ()) == 1 for item in expressions)
        if key in wanted or len(expressions) - merged > 0:
            errors.append(invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector"))


def spread_constraints(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(items):
        inner, action, key = f"{path}[{index}]", item.get("whenUnsatisfiable") or "", item.get("topologyKey") or ""
        if item.get("maxSkew", 0) <= 0:
            errors.append(invalid(f"{inner}.maxSkew", item.get("maxSkew", 0), POSITIVE))
        _topology_key(errors, f"{inner}.topologyKey", key)
        if action not in _TOPOLOGY_ACTIONS:
            errors.append(not_supported(f"{inner}.whenUnsatisfiable", action, _TOPOLOGY_ACTIONS))
        if (key, action) in seen:
            errors.append(duplicate(f"{inner}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        seen.add((key, action))
        least = item.get("minDomains")
        if least is not None:
            if least <= 0:
                errors.append(invalid(f"{inner}.minDomains", least, POSITIVE))
            if action != "DoNotSchedule":
                text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                errors.append(invalid(f"{inner}.minDomains", least, text))
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            one_of(errors, f"{inner}.{policy}", item.get(policy), ("Honor", "Ignore"))
        selector = item.get("labelSelector")
        _label_keys(errors, f"{inner}.matchLabelKeys", item.get("matchLabelKeys") or (), selector)
        label_selector(errors, f"{inner}.labelSelector", selector)


def tolerations(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    for index, item in enumerate(items):
        inner, key, operator = f"{path}[{index}]", item.get("key") or "", item.get("operator") or ""
        if key:
            label_key(errors, f"{inner}.key", key)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(invalid(f"{inner}.operator", operator, text))
        if item.get("tolerationSeconds") is not None and item.get("effect") != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid(f"{inner}.effect", item.get("effect", ""), text))
        value = item.get("value") or ""
        if operator in ("", "Equal"):
            complain(errors, f"{inner}.operator", value, names.label_value(value))
        elif operator == "Exists":
            if value:
                errors.append(invalid(f"{inner}.operator", item, "value must be empty when `operator` is 'Exists'"))
        else:
            errors.append(not_supported(f"{inner}.operator", operator, ("Equal", "Exists")))
        one_of(errors, f"{inner}.effect", item.get("effect"), _EFFECTS)


def taints(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    """Taints of a node."""
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(items):
        inner, key, value, effect = f"{path}[{index}]", item.get("key", ""), item.get("value", ""), item.get("effect") or ""
        label_key(errors, f"{inner}.key", key)
        complain(errors, f"{inner}.value", value, names.label_value(value))
        one_of(errors, f"{inner}.effect", effect, _EFFECTS, optional=False)
        if (key, effect) in seen:
            errors.append(replace(duplicate(inner, item), detail="taints must be unique by key and effect pair"))
        seen.add((key, effect))


def gates(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    """schedulingGates."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name", "")
        complain(errors, f"{path}[{index}]", name, names.qualified_name(name))
        unique(errors, f"{path}[{index}]", name, seen)
