"""Volumes from the node's disk are not allowed."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, plural, quoted
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj

ID = "hostPathVolumes"


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad = [str(volume.get("name")) for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Violation("hostPath volumes", f"{plural('volume', 'volumes', len(bad))} {quoted(bad)}") if bad else None


CHECK = Check(ID, BASELINE, ((0, _check),))
