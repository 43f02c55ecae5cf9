"""Strategy of certificate signing requests. Who asks, and when conditions were set, admission fills in."""

from __future__ import annotations

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import keep, keep_generation, only_status, reset_status
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj

_APPROVAL = ("Approved", "Denied")


def _update(new: Obj, old: Obj) -> None:
    """What was asked for stays: only metadata changes here."""
    keep(new, old, "spec")
    keep(new, old, "status")
    keep_generation(new, old)


def _update_status(new: Obj, old: Obj) -> None:
    """Signers may send the status without the approval they act upon, or with one they saw otherwise: the stored one counts."""
    only_status(new, old)
    status = new.setdefault("status", {})
    stored = {item["type"]: item for item in (old.get("status") or {}).get("conditions") or () if item.get("type") in _APPROVAL}
    items = status.get("conditions") or []
    if items:
        status["conditions"] = [stored.get(item.get("type"), item) for item in items]


def _update_approval(new: Obj, old: Obj) -> None:
    conditions = (new.get("status") or {}).get("conditions")
    only_status(new, old)
    status = {key: value for key, value in (old.get("status") or {}).items() if key != "conditions"}
    new["status"] = {**status, "conditions": conditions} if conditions else status


REQUEST = Strategy(
    prepare_create=reset_status,
    prepare_update=_update,
    prepare_status_update=_update_status,
    validate_create=Later("certificates", "validate_request"),
    validate_status_update=Later("certificates", "validate_status"),
    parts={"approval": (_update_approval, Later("certificates", "validate_approval"))},
)
