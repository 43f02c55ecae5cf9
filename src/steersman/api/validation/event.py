"""Validation of events, as core/v1 (lenient) and as events.k8s.io/v1 (strict). Both see the stored, core form of the fields."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.validation.common import Errors, complain, needs, subdomain
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, required
from steersman.machinery.meta import Obj, namespace_of

_LIMIT, _MESSAGE_LIMIT = 128, 1024
_UNSET = "needs to be unset"
_CLUSTER_NAMESPACES = ("", "default", "kube-system")


def validate_core(obj: Obj) -> list[FieldError]:
    """core/v1. Without eventTime it is a legacy event and hardly checked."""
    errors: Errors = []
    if obj.get("eventTime"):
        _new_style(errors, obj)
        _involved(errors, obj, new_style=True)
    else:
        _involved(errors, obj, new_style=False)
    return errors


def validate_core_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_core(new)


def validate_v1(obj: Obj) -> list[FieldError]:
    """events.k8s.io/v1, in the stored form."""
    errors: Errors = []
    name = (obj.get("metadata") or {}).get("name") or ""
    subdomain(errors, "metadata.name", name)
    if not obj.get("eventTime"):
        errors.append(required("eventTime"))
    kind = obj.get("type") or ""
    if kind not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {kind}"))
    for key in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if obj.get(key):
            errors.append(invalid(key, "", _UNSET))
    _series(errors, obj)
    _new_style(errors, obj)
    _involved(errors, obj, new_style=True)
    return errors


def _series(errors: Errors, obj: Obj) -> None:
    series = obj.get("series")
    if series is None:
        return
    if series.get("count", 0) < 2:
        errors.append(invalid("series.count", "", "should be at least 2"))
    needs(errors, "series.lastObservedTime", series.get("lastObservedTime"))


def _new_style(errors: Errors, obj: Obj) -> None:
    controller = obj.get("reportingComponent") or ""
    if needs(errors, "reportingController", controller):
        complain(errors, "reportingController", controller, names.qualified_name(controller))
    for key in ("reportingInstance", "action", "reason"):
        value = obj.get(key) or ""
        if needs(errors, key, value) and len(value.encode()) > _LIMIT:
            errors.append(invalid(key, "", f"can have at most {_LIMIT} characters"))
    if len((obj.get("message") or "").encode()) > _MESSAGE_LIMIT:
        errors.append(invalid("message", "", f"can have at most {_MESSAGE_LIMIT} characters"))


def _involved(errors: Errors, obj: Obj, *, new_style: bool) -> None:
    """The event lives in the namespace of what it is about; cluster objects' events in default (or kube-system)."""
    namespace, involved = namespace_of(obj), (obj.get("involvedObject") or {}).get("namespace") or ""
    path, text = "involvedObject.namespace", "does not match event.namespace"
    if not involved:
        fine = namespace in (_CLUSTER_NAMESPACES if new_style else ("", "default"))
    else:
        fine = namespace == involved
    if not fine:
        errors.append(invalid(path, involved, text))
    if namespace:
        subdomain(errors, "namespace", namespace)


_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "related", "type", "eventTime",
    "action", "reportingComponent", "reportingInstance",
)  # fmt: skip


def validate_v1_update(new: Obj, old: Obj) -> list[FieldError]:
    """Only series and metadata may change."""
    errors: Errors = []
    if new.get("series") != old.get("series"):
        _series(errors, new)
    for key in _FIXED:
        if not same(new.get(key), old.get(key)):
            errors.append(invalid(key, new.get(key), "field is immutable"))
    return errors
