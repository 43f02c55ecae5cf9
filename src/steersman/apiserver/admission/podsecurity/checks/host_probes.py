"""Probes and hooks ask the pod itself: a host of their own would let the kubelet ask for others. Since v1.34."""

from __future__ import annotations

from collections.abc import Iterator

from steersman.apiserver.admission.podsecurity.check import Check, Violation, containers, name_of, named, plural, quoted
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj


def _hosts(container: Obj) -> Iterator[str]:
    lifecycle = container.get("lifecycle") or {}
    probes = (container.get(probe) for probe in ("livenessProbe", "readinessProbe", "startupProbe"))
    for handler in (*probes, lifecycle.get("postStart"), lifecycle.get("preStop")):
        for action in ("httpGet", "tcpSocket"):
            host = ((handler or {}).get(action) or {}).get("host")
            if host:
                yield host


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad: set[str] = set()
    hosts: set[str] = set()
    for container in containers(spec):
        found = set(_hosts(container))
        if found:
            bad.add(name_of(container))
            hosts |= found
    if not bad:
        return None
    verb = plural("uses", "use", len(bad))
    what = plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    return Violation("probe or lifecycle host", f"{named(sorted(bad))} {verb} {what} {quoted(sorted(hosts))}")


CHECK = Check("hostProbesAndHostLifecycle", BASELINE, ((34, _check),))
