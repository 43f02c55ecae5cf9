"""Nobody asks for user 0. Since v1.35 a pod whose root is nobody on the node may."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, has_own_users, security, setters, where
from steersman.apiserver.admission.podsecurity.levels import RESTRICTED
from steersman.machinery.meta import Obj


def _is_root(holder: Obj) -> bool:
    return bool(security(holder).get("runAsUser") == 0)


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    who = setters(_is_root(spec), where(spec, _is_root))
    return Violation("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def _with_node_users(metadata: Obj, spec: Obj) -> Violation | None:
    return None if has_own_users(spec) else _check(metadata, spec)


CHECK = Check("runAsUser", RESTRICTED, ((23, _check), (35, _with_node_users)))
