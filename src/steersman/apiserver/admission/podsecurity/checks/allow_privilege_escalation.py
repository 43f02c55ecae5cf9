"""No process gets more rights than its parent had."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, is_windows, named, security, where
from steersman.apiserver.admission.podsecurity.levels import RESTRICTED
from steersman.machinery.meta import Obj


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad = where(spec, lambda container: security(container).get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    text = f"{named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", text)


def _on_linux(metadata: Obj, spec: Obj) -> Violation | None:
    return None if is_windows(spec) else _check(metadata, spec)


CHECK = Check("allowPrivilegeEscalation", RESTRICTED, ((8, _check), (25, _on_linux)))
