"""Defaults of admissionregistration.k8s.io/v1 (upstream pkg/apis/admissionregistration/v1/defaults.go)."""

from __future__ import annotations

from steersman.machinery.meta import Obj

_PORT = 443


def _matching(wanted: Obj) -> None:
    """What webhooks and policies share: which requests are meant."""
    wanted.setdefault("matchPolicy", "Equivalent")
    for key in ("namespaceSelector", "objectSelector"):
        if wanted.get(key) is None:
            wanted[key] = {}


def _rules(rules: list[Obj] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def webhooks(obj: Obj) -> None:
    for hook in obj.get("webhooks") or ():
        hook.setdefault("failurePolicy", "Fail")
        _matching(hook)
        hook.setdefault("timeoutSeconds", 10)
        _rules(hook.get("rules"))
        service = (hook.get("clientConfig") or {}).get("service")
        if service is not None:
            service.setdefault("port", _PORT)


def mutating_webhooks(obj: Obj) -> None:
    webhooks(obj)
    for hook in obj.get("webhooks") or ():
        hook.setdefault("reinvocationPolicy", "Never")


def policy(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    _constraints(spec.get("matchConstraints"))


def binding(obj: Obj) -> None:
    _constraints(obj.setdefault("spec", {}).get("matchResources"))


def _constraints(found: Obj | None) -> None:
    if found is None:
        return
    _matching(found)
    for key in ("resourceRules", "excludeResourceRules"):
        _rules(found.get(key))
