"""Strategies of HorizontalPodAutoscalers. v1 objects are looked at in the form of v2, so there is one set of rules."""

from __future__ import annotations

from collections.abc import Callable

from steersman.api.hpa_conversion import from_v2, to_v2
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import only_status, reset_status, update_status_kind
from steersman.api.strategies.later import Later
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj

_CREATE = Later[FieldError]("autoscaling", "validate_autoscaler")
_UPDATE = Later[FieldError]("autoscaling", "validate_autoscaler_update")
_STATUS = Later[FieldError]("autoscaling", "validate_autoscaler_status")

AUTOSCALER = Strategy(
    prepare_create=reset_status,
    prepare_update=update_status_kind,
    prepare_status_update=only_status,
    validate_create=_CREATE,
    validate_update=_UPDATE,
    validate_status_update=_STATUS,
)


def _create(obj: Obj) -> None:
    new = to_v2(obj)
    reset_status(new)
    _become(obj, from_v2(new))


def _preparing(prepare: Callable[[Obj, Obj], None]) -> Callable[[Obj, Obj], None]:
    def prepared(new: Obj, old: Obj) -> None:
        changed = to_v2(new)
        prepare(changed, to_v2(old))
        _become(new, from_v2(changed))

    return prepared


def _become(obj: Obj, other: Obj) -> None:
    """Change an object in place. Its metadata stays the same dict: the server holds it during an update."""
    metadata = obj["metadata"]
    made = other["metadata"]
    obj.clear()
    obj.update(other)
    metadata.clear()
    metadata.update(made)
    obj["metadata"] = metadata


def _validating(validate: Callable[[Obj, Obj], list[FieldError]]) -> Callable[[Obj, Obj], list[FieldError]]:
    return lambda new, old: validate(to_v2(new), to_v2(old))


AUTOSCALER_V1 = Strategy(
    prepare_create=_create,
    prepare_update=_preparing(update_status_kind),
    prepare_status_update=_preparing(only_status),
    validate_create=lambda obj: _CREATE(to_v2(obj)),
    validate_update=_validating(_UPDATE),
    validate_status_update=_validating(_STATUS),
)
