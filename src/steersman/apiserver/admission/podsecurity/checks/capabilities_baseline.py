"""No capabilities beyond those that runtimes give to any container."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, containers, name_of, named, quoted, security
from steersman.apiserver.admission.podsecurity.levels import BASELINE
from steersman.machinery.meta import Obj

ID = "capabilities_baseline"
_USUAL = frozenset(
    (
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
        "SETPCAP", "SETUID", "SYS_CHROOT",
    )
)  # fmt: skip


def added_beyond(spec: Obj, allowed: frozenset[str]) -> tuple[list[str], set[str]]:
    """Containers that add others than the allowed ones, and which these are."""
    bad: list[str] = []
    beyond: set[str] = set()
    for container in containers(spec):
        added = set((security(container).get("capabilities") or {}).get("add") or ()) - allowed
        if added:
            bad.append(name_of(container))
            beyond |= added
    return bad, beyond


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    bad, beyond = added_beyond(spec, _USUAL)
    if not bad:
        return None
    text = f"{named(bad)} must not include {quoted(sorted(beyond))} in securityContext.capabilities.add"
    return Violation("non-default capabilities", text)


CHECK = Check(ID, BASELINE, ((0, _check),))
