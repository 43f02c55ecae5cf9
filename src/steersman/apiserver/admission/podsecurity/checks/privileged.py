"""Privileged containers are not allowed."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, named, security, where
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad = where(spec, lambda container: security(container).get("privileged") is True)
    return Violation("privileged", f"{named(bad)} must not set securityContext.privileged=true") if bad else None


CHECK = Check("privileged", BASELINE, ((0, _check),))
