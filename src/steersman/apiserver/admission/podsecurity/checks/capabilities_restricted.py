"""All capabilities are dropped; only binding low ports may be had again."""

from __future__ import annotations

from steersman.apiserver.admission.podsecurity.check import Check, Violation, is_windows, named, quoted, security, where
from steersman.apiserver.admission.podsecurity.checks import capabilities_baseline
from steersman.apiserver.admission.podsecurity.levels import RESTRICTED
from steersman.machinery.meta import Obj

_ALLOWED = frozenset(("NET_BIND_SERVICE",))


def _keeps_some(container: Obj) -> bool:
    return "ALL" not in ((security(container).get("capabilities") or {}).get("drop") or ())


def _check(_metadata: Obj, spec: Obj) -> Violation | None:
    details = []
    keeping = where(spec, _keeps_some)
    if keeping:
        details.append(f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    adding, beyond = capabilities_baseline.added_beyond(spec, _ALLOWED)
    if adding:
        details.append(f"{named(adding)} must not include {quoted(sorted(beyond))} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _on_linux(metadata: Obj, spec: Obj) -> Violation | None:
    return None if is_windows(spec) else _check(metadata, spec)


CHECK = Check("capabilities_restricted", RESTRICTED, ((22, _check), (25, _on_linux)), (capabilities_baseline.ID,))
