"""Containers promise not to run as root. Since v1.35 a pod whose root is nobody on the node need not."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, has_own_users, named, security, setters, where
from steersman.apiserver.admission.podsecurity.levels import RESTRICTED
from steersman.machinery.meta import Obj

_REASON = "runAsNonRoot != true"


def _says(holder: Obj) -> bool | None:
    found: bool | None = security(holder).get("runAsNonRoot")
    return found


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    who = setters(_says(spec) is False, where(spec, lambda container: _says(container) is False))
    if who:
        return Violation(_REASON, f"{who} must not set securityContext.runAsNonRoot=false")
    bad = [] if _says(spec) else where(spec, lambda container: _says(container) is None)
    return Violation(_REASON, f"pod or {named(bad)} must set securityContext.runAsNonRoot=true") if bad else None


def _with_node_users(metadata: Obj, spec: Obj) -> Violation | None:
    return None if has_own_users(spec) else _check(metadata, spec)


CHECK = Check("runAsNonRoot", RESTRICTED, ((0, _check), (35, _with_node_users)))
