"""Which requests webhooks and policies are about: rules, selectors, conditions. Shared by the validations of both."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.validation.common import Errors, complain, label_selector, needs, one_of, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import duplicate, invalid, required, too_many
from steersman.machinery.meta import Obj

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
MATCH_POLICIES = ("Equivalent", "Exact")
FAILURE_POLICIES = ("Fail", "Ignore")
MOST_CONDITIONS = 64


def rule(errors: Errors, path: str, found: Obj, *, operations: Sequence[str] = OPERATIONS) -> None:
    """A RuleWithOperations."""
    wanted = found.get("operations") or []
    if needs(errors, f"{path}.operations", wanted):
        if "*" in wanted and len(wanted) > 1:
            errors.append(invalid(f"{path}.operations", wanted, "if '*' is present, must not specify other operations"))
        for index, operation in enumerate(wanted):
            one_of(errors, f"{path}.operations[{index}]", operation, operations, optional=False)
    for key, text in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        _names(errors, f"{path}.{key}", found.get(key) or [], text)
    resources = found.get("resources") or []
    if needs(errors, f"{path}.resources", resources):
        _resources(errors, f"{path}.resources", resources)
    one_of(errors, f"{path}.scope", found.get("scope"), SCOPES)


def _names(errors: Errors, path: str, values: list[str], text: str) -> None:
    if not needs(errors, path, values):
        return
    if "*" in values and len(values) > 1:
        errors.append(invalid(path, values, f"if '*' is present, must not specify other {text}"))
    if path.endswith("apiVersions"):
        for index, value in enumerate(values):
            if not value:
                errors.append(required(f"{path}[{index}]"))


def _resources(errors: Errors, path: str, values: list[str]) -> None:
    """Nothing may be said twice by a star."""
    subresources_of = {value[:-2] for value in values if value.endswith("/*")}
    of_every = {value[2:] for value in values if value.startswith("*/")}
    for index, value in enumerate(values):
        at = f"{path}[{index}]"
        if not value:
            errors.append(required(at))
            continue
        resource, slash, subresource = value.partition("/")
        if slash and subresource != "*" and resource in subresources_of:
            errors.append(invalid(at, value, f"if '{resource}/*' is present, must not specify {value}"))
        if slash and resource != "*" and subresource in of_every:
            errors.append(invalid(at, value, f"if '*/{subresource}' is present, must not specify {value}"))
    if len(values) > 1 and "*/*" in values:
        errors.append(invalid(path, values, "if '*/*' is present, must not specify other resources"))
    if "*" in values and any("/" not in value and value != "*" for value in values):
        text = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid(path, values, text))


def selectors(errors: Errors, path: str, found: Obj) -> None:
    one_of(errors, f"{path}.matchPolicy", found.get("matchPolicy"), MATCH_POLICIES)
    for key in ("namespaceSelector", "objectSelector"):
        label_selector(errors, f"{path}.{key}", found.get(key))


def constraints(errors: Errors, path: str, found: Obj, *, operations: Sequence[str] = OPERATIONS) -> None:
    """A MatchResources."""
    if not found.get("matchPolicy"):
        errors.append(required(f"{path}.matchPolicy"))
    for key in ("namespaceSelector", "objectSelector"):
        if found.get(key) is None:
            errors.append(required(f"{path}.{key}"))
    selectors(errors, path, found)
    for key in ("resourceRules", "excludeResourceRules"):
        for index, named in enumerate(found.get(key) or ()):
            at = f"{path}.{key}[{index}]"
            rule(errors, at, named, operations=operations)
            seen: set[str] = set()
            for number, name in enumerate(named.get("resourceNames") or ()):
                complain(errors, f"{at}.resourceNames[{number}]", name, names.path_segment(name))
                if name in seen:
                    errors.append(duplicate(f"{at}.resourceNames[{number}]", name))
                seen.add(name)


def conditions(errors: Errors, path: str, found: list[Obj] | None) -> None:
    """matchConditions, but for what their expressions mean."""
    items = found or []
    if len(items) > MOST_CONDITIONS:
        errors.append(too_many(path, len(items), MOST_CONDITIONS))
    seen: set[str] = set()
    for index, item in enumerate(items):
        at, name = f"{path}[{index}]", item.get("name") or ""
        needs(errors, f"{at}.expression", (item.get("expression") or "").strip())
        if needs(errors, f"{at}.name", name):
            complain(errors, f"{at}.name", name, names.qualified_name(name))
            unique(errors, f"{at}.name", name, seen)
