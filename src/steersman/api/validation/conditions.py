"""Validation of metav1.Condition lists, for the kinds that check theirs (upstream metav1 validation.ValidateConditions)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from steersman.api.validation.common import Errors, complain, needs, unique
from steersman.machinery import names
from steersman.machinery.fielderrors import invalid, not_supported, too_long
from steersman.machinery.meta import Obj

_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_reason_re = re.compile(_REASON, re.ASCII)
_REASON_TEXT = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or "
    "'_,:', and must end with an alphanumeric character or '_'"
)
_EXAMPLES = ("my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB")
_STATUSES = ("False", "True", "Unknown")
_REASON_LIMIT, _MESSAGE_LIMIT = 1024, 32 * 1024
_SET = "must be set"


def conditions(errors: Errors, path: str, items: Sequence[Obj] | None) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items or ()):
        unique(errors, f"{path}[{index}].type", item.get("type") or "", seen)
        _condition(errors, f"{path}[{index}]", item)


def _condition(errors: Errors, path: str, item: Obj) -> None:
    kind, status, generation = item.get("type") or "", item.get("status") or "", item.get("observedGeneration") or 0
    complain(errors, f"{path}.type", kind, names.qualified_name(kind))
    if status not in _STATUSES:
        errors.append(not_supported(f"{path}.status", status, _STATUSES))
    if generation < 0:
        errors.append(invalid(f"{path}.observedGeneration", generation, "must be greater than or equal to zero"))
    needs(errors, f"{path}.lastTransitionTime", item.get("lastTransitionTime"), _SET)
    reason = item.get("reason") or ""
    if needs(errors, f"{path}.reason", reason, _SET):
        if not _reason_re.fullmatch(reason):
            errors.append(invalid(f"{path}.reason", reason, names.regex_error(_REASON_TEXT, _REASON, *_EXAMPLES)))
        if len(reason.encode()) > _REASON_LIMIT:
            errors.append(too_long(f"{path}.reason", _REASON_LIMIT))
    if len((item.get("message") or "").encode()) > _MESSAGE_LIMIT:
        errors.append(too_long(f"{path}.message", _MESSAGE_LIMIT))
