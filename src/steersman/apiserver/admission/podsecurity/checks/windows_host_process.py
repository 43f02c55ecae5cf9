"""No processes of the host itself, on Windows."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, security, setters, where
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj


def _asks(holder: Obj) -> bool:
    return (security(holder).get("windowsOptions") or {}).get("hostProcess") is True


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    who = setters(_asks(spec), where(spec, _asks))
    return Violation("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true") if who else None


CHECK = Check("windowsHostProcess", BASELINE, ((0, _check),))
