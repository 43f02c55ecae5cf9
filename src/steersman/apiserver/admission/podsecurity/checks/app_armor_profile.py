"""AppArmor is not to be turned off, neither by the field nor by the annotation that was before it."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, containers, name_of, named, plural, quoted, security
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.govalues import quote
from steersman.machinery.meta import Obj

_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_ALLOWED = ("RuntimeDefault", "Localhost")


def _bad_type(holder: Obj) -> str | None:
    profile = security(holder).get("appArmorProfile")
    if profile is None or profile.get("type") in _ALLOWED:
        return None
    return str(profile.get("type") or "")


def _check(metadata: Obj, spec: Obj) -> Violation | None:
    values: set[str] = set()
    setters: list[str] = []
    of_pod = _bad_type(spec)
    if of_pod is not None:
        setters.append("pod")
        values.add(of_pod)
    bad: list[str] = []
    for container in containers(spec):
        found = _bad_type(container)
        if found is not None:
            bad.append(name_of(container))
            values.add(found)
    if bad:
        setters.append(named(bad))
    annotations = sorted(
        f"{key}={quote(value)}"
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(_ANNOTATION) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if annotations:
        setters.append(plural("annotation", "annotations", len(annotations)))
    if not setters:
        return None
    told = [*sorted(values), *annotations]
    reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", len(told))
    return Violation(reason, f"{' and '.join(setters)} must not set AppArmor profile type to {quoted(told)}")


CHECK = Check("appArmorProfile", BASELINE, ((0, _check),))
