"""The node's namespaces are not to be shared."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return Violation("host namespaces", ", ".join(bad)) if bad else None


CHECK = Check("hostNamespaces", BASELINE, ((0, _check),))
