"""SELinux: only the types meant for containers, neither user nor role."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import (
    Check,
    CheckPod,
    Violation,
    containers,
    name_of,
    plural,
    quoted,
    security,
    setters,
)
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj

_TYPES = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_TYPES_1_31 = _TYPES | {"container_engine_t"}


def _bad(holder: Obj, types: frozenset[str]) -> Obj:
    """What of type, user and role may not be set."""
    options = security(holder).get("seLinuxOptions") or {}
    found = {key: options[key] for key in ("user", "role") if options.get(key)}
    if (options.get("type") or "") not in types:
        found["type"] = options["type"]
    return found


def _check(types: frozenset[str]) -> CheckPod:
    def check(_metadata: Obj, spec: Obj) -> Violation | None:
        of_pod = _bad(spec, types)
        of_containers = [(name_of(container), _bad(container, types)) for container in containers(spec)]
        bad = [name for name, found in of_containers if found]
        if not of_pod and not bad:
            return None
        every = [of_pod, *(found for _, found in of_containers)]
        wrong = sorted({found["type"] for found in every if "type" in found})
        data = [f"{plural('type', 'types', len(wrong))} {quoted(wrong)}"] if wrong else []
        data += [f"{key} may not be set" for key in ("user", "role") if any(key in found for found in every)]
        who = setters(bool(of_pod), bad)
        return Violation("seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}")

    return check


CHECK = Check("seLinuxOptions", BASELINE, ((0, _check(_TYPES)), (31, _check(_TYPES_1_31))))
