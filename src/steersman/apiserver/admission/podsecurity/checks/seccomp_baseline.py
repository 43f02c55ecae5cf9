"""Seccomp is not to be turned off: by annotations before v1.19, by the field since."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, containers, name_of, plural
from steersman.apiserver.admission.podsecurity.checks import seccomp
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.govalues import quote
from steersman.machinery.meta import Obj

ID = "seccompProfile_baseline"
_POD_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
_CONTAINER_ANNOTATION = "container.seccomp.security.alpha.kubernetes.io/"


def _annotations(metadata: Obj, spec: Obj) -> Violation | None:
    given = metadata.get("annotations") or {}
    keys = {_POD_ANNOTATION, *(_CONTAINER_ANNOTATION + name_of(container) for container in containers(spec))}
    bad = sorted(
        f"{key}={quote(given[key])}"
        for key in keys
        if key in given and given[key] not in ("runtime/default", "docker/default") and not given[key].startswith("localhost/")
    )
    if not bad:
        return None
    return Violation(seccomp.REASON, f"forbidden {plural('annotation', 'annotations', len(bad))} {', '.join(bad)}")


def _fields(_metadata: Obj, spec: Obj) -> Violation | None:
    return seccomp.explicit(spec)


CHECK = Check(ID, BASELINE, ((0, _annotations), (19, _fields)))
