"""/proc is masked as usual. Since v1.35 baseline leaves it to pods with users of their own, restricted does not."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import (
    Check,
    Violation,
    containers,
    has_own_users,
    name_of,
    named,
    quoted,
    security,
)
from steersman.apiserver.admission.podsecurity.levels import BASELINE, RESTRICTED
from steersman.machinery.meta import Obj


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad: list[str] = []
    values: set[str] = set()
    for container in containers(spec):
        found = security(container).get("procMount")
        if found is not None and found != "Default":
            bad.append(name_of(container))
            values.add(found)
    if not bad:
        return None
    return Violation("procMount", f"{named(bad)} must not set securityContext.procMount to {quoted(sorted(values))}")


def _with_node_users(metadata: Obj, spec: Obj) -> Violation | None:
    return None if has_own_users(spec) else _check(metadata, spec)


BASELINE_CHECK = Check("procMount", BASELINE, ((0, _check), (35, _with_node_users)))
RESTRICTED_CHECK = Check("procMount_restricted", RESTRICTED, ((35, _check),), ("procMount",))
