"""Every container has a seccomp profile, its own or the pod's."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, is_windows, named, where
from steersman.apiserver.admission.podsecurity.checks import seccomp, seccomp_baseline
from steersman.apiserver.admission.podsecurity.levels import RESTRICTED
from steersman.machinery.meta import Obj


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    wrong = seccomp.explicit(spec)
    if wrong is not None:
        return wrong
    if seccomp.profile_of(spec) is not None:
        return None
    bad = where(spec, lambda container: seccomp.profile_of(container) is None)
    if not bad:
        return None
    text = f'pod or {named(bad)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation(seccomp.REASON, text)


def _on_linux(metadata: Obj, spec: Obj) -> Violation | None:
    return None if is_windows(spec) else _check(metadata, spec)


CHECK = Check("seccompProfile_restricted", RESTRICTED, ((19, _check), (25, _on_linux)), (seccomp_baseline.ID,))
