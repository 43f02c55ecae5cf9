"""What both seccomp checks ask: which profiles of pod and containers are other than the runtime's or one of the node's."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Violation, containers, name_of, quoted, security, setters
from steersman.machinery.meta import Obj

REASON = "seccompProfile"
_ALLOWED = ("RuntimeDefault", "Localhost")


def profile_of(holder: Obj) -> Obj | None:
    found: Obj | None = security(holder).get("seccompProfile")
    return found


def allowed(profile: Obj) -> bool:
    return profile.get("type") in _ALLOWED


def explicit(spec: Obj) -> Violation | None:
    """Profiles that are set, and not allowed."""
    values: set[str] = set()
    of_pod = profile_of(spec)
    bad_pod = of_pod is not None and not allowed(of_pod)
    if bad_pod:
        values.add(str((of_pod or {}).get("type") or ""))
    bad: list[str] = []
    for container in containers(spec):
        profile = profile_of(container)
        if profile is not None and not allowed(profile):
            bad.append(name_of(container))
            values.add(str(profile.get("type") or ""))
    if not bad_pod and not bad:
        return None
    told = quoted(sorted(values))
    return Violation(REASON, f"{setters(bad_pod, bad)} must not set securityContext.seccompProfile.type to {told}")
