"""Ports of the node are not to be taken."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, containers, name_of, named, plural
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad: list[str] = []
    ports: set[str] = set()
    for container in containers(spec):
        taken = {str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")}
        if taken:
            bad.append(name_of(container))
            ports |= taken
    if not bad:
        return None
    verb, what = plural("uses", "use", len(bad)), plural("hostPort", "hostPorts", len(ports))
    return Violation("hostPort", f"{named(bad)} {verb} {what} {', '.join(sorted(ports))}")


CHECK = Check("hostPorts", BASELINE, ((0, _check),))
