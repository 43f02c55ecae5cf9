"""Validation of device classes, resource claims and their templates: what is asked for. Status: device_status.py.

CEL expressions are only measured here: what evaluates them, an allocator, is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from steersman.api.equality import same
from steersman.api.validation.common import (
    IMMUTABLE,
    POSITIVE,
    Errors,
    complain,
    each,
    label,
    needs,
    one_of,
    subdomain,
    template_metadata,
    unique,
)
from steersman.api.validation.resources import is_extended
from steersman.api.validation.scheduling import label_key
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, required, too_long, too_many
from steersman.machinery.meta import Obj

MANY = 32
_ALTERNATIVES, _EXPRESSION_BYTES, _DATA_BYTES, _DRIVER_LIMIT, _NAME_LIMIT = 8, 10 * 1024, 10 * 1024, 63, 32
_MODES, _OPERATORS, EFFECTS = ("All", "ExactCount"), ("Equal", "Exists"), ("NoExecute", "NoSchedule", "None")
_C_IDENTIFIER = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'"
)
_REQUESTS = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


def validate_device_class(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    _selectors(errors, "spec.selectors", spec.get("selectors"))
    at_most(errors, "spec.config", spec.get("config"), MANY)
    each(errors, "spec.config", spec.get("config"), opaque)
    extended = spec.get("extendedResourceName")
    if extended is not None and not is_extended(extended):
        errors.append(invalid("spec.extendedResourceName", extended, "must be a valid extended resource name"))
    return errors


def validate_device_class_update(new: Obj, _: Obj) -> list[FieldError]:
    return validate_device_class(new)


def validate_claim(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    _claim(errors, "spec.devices", (obj.get("spec") or {}).get("devices") or {})
    return errors


def validate_claim_update(new: Obj, old: Obj) -> list[FieldError]:
    return _unchanged(new, old)


def validate_claim_template(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    template_metadata(errors, "spec.metadata", spec.get("metadata") or {})
    _claim(errors, "spec.spec.devices", (spec.get("spec") or {}).get("devices") or {})
    return errors


def validate_claim_template_update(new: Obj, old: Obj) -> list[FieldError]:
    return _unchanged(new, old)


def _unchanged(new: Obj, old: Obj) -> list[FieldError]:
    return [] if same(new.get("spec"), old.get("spec")) else [invalid("spec", new.get("spec"), IMMUTABLE)]


def at_most(errors: Errors, path: str, items: Sequence[object] | None, limit: int) -> None:
    if items is not None and len(items) > limit:
        errors.append(too_many(path, len(items), limit))


def driver(errors: Errors, path: str, value: str | None) -> None:
    if needs(errors, path, value):
        assert value is not None
        if len(value) > _DRIVER_LIMIT:
            errors.append(too_long(path, _DRIVER_LIMIT))
        # Upper case is only warned of.
        subdomain(errors, path, value.lower())


def qualified(errors: Errors, path: str, value: str) -> None:
    """`name` or `domain/name`, the name a C identifier."""
    domain, slash, name = value.rpartition("/")
    if slash:
        driver(errors, path, domain)
    if not name:
        errors.append(required(path, "the name must not be empty"))
    elif len(name) > _NAME_LIMIT:
        errors.append(too_long(path, _NAME_LIMIT))
    elif not (name.isascii() and name.isidentifier()):
        text = names.regex_error(_C_IDENTIFIER, "[A-Za-z_][A-Za-z0-9_]*", "my_name", "MY_NAME", "MyName")
        errors.append(invalid(path, name, text))


def data(errors: Errors, path: str, value: object) -> None:
    """JSON that a driver gives or takes."""
    if value is None:
        errors.append(required(path))
    elif not isinstance(value, dict):
        errors.append(invalid(path, "<value omitted>", "must be a valid JSON object"))
    elif len(orjson.dumps(value)) > _DATA_BYTES:
        errors.append(too_long(path, _DATA_BYTES))


def opaque(errors: Errors, path: str, item: Obj) -> None:
    """Configuration for a driver; nobody else reads it."""
    inner = item.get("opaque")
    if inner is None:
        errors.append(required(f"{path}.opaque"))
        return
    driver(errors, f"{path}.opaque.driver", inner.get("driver"))
    data(errors, f"{path}.opaque.parameters", inner.get("parameters"))


def _claim(errors: Errors, path: str, devices: Obj) -> None:
    requests = devices.get("requests")
    at_most(errors, f"{path}.requests", requests, MANY)
    seen: set[str] = set()
    for index, request in enumerate(requests or ()):
        inner = f"{path}.requests[{index}]"
        _name(errors, f"{inner}.name", request.get("name") or "", seen)
        _request(errors, inner, request)
    known = request_names(devices)
    for key, check in (("constraints", _constraint), ("config", opaque)):
        at_most(errors, f"{path}.{key}", devices.get(key), MANY)
        for index, item in enumerate(devices.get(key) or ()):
            inner = f"{path}.{key}[{index}]"
            references(errors, f"{inner}.requests", item.get("requests"), known)
            check(errors, inner, item)


def request_names(devices: Obj) -> set[str]:
    """What constraints, configuration and results of a claim may refer to."""
    found: set[str] = set()
    for request in devices.get("requests") or ():
        name = request.get("name") or ""
        found |= {name, *(f"{name}/{item.get('name') or ''}" for item in request.get("firstAvailable") or ())}
    return found


def references(errors: Errors, path: str, items: Sequence[str] | None, known: set[str]) -> None:
    at_most(errors, path, items, MANY)
    seen: set[str] = set()
    for index, item in enumerate(items or ()):
        unique(errors, f"{path}[{index}]", item, seen)
        if item not in known:
            errors.append(invalid(f"{path}[{index}]", item, _REQUESTS))


def _name(errors: Errors, path: str, value: str, seen: set[str]) -> None:
    label(errors, path, value)
    unique(errors, path, value, seen)


def _request(errors: Errors, path: str, request: Obj) -> None:
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    one = "exactly one of `exactly` or `firstAvailable` is required"
    if exactly is None and not alternatives:
        errors.append(required(path, one))
    elif exactly is not None and alternatives:
        errors.append(invalid(path, None, one))
    elif exactly is not None:
        _wanted(errors, f"{path}.exactly", exactly)
    else:
        at_most(errors, f"{path}.firstAvailable", alternatives, _ALTERNATIVES)
        seen: set[str] = set()
        for index, item in enumerate(alternatives):
            inner = f"{path}.firstAvailable[{index}]"
            _name(errors, f"{inner}.name", item.get("name") or "", seen)
            _wanted(errors, inner, item)


def _wanted(errors: Errors, path: str, item: Obj) -> None:
    if needs(errors, f"{path}.deviceClassName", item.get("deviceClassName")):
        subdomain(errors, f"{path}.deviceClassName", item["deviceClassName"])
    _selectors(errors, f"{path}.selectors", item.get("selectors"))
    mode, count = item.get("allocationMode"), item.get("count") or 0
    one_of(errors, f"{path}.allocationMode", mode, _MODES, optional=False)
    if mode == "All" and count:
        errors.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount" and count <= 0:
        errors.append(invalid(f"{path}.count", count, POSITIVE))
    each(errors, f"{path}.tolerations", item.get("tolerations"), toleration)
    for key in (item.get("capacity") or {}).get("requests") or ():
        qualified(errors, f"{path}.capacity.requests", key)


def toleration(errors: Errors, path: str, item: Obj) -> None:
    key, operator = item.get("key") or "", item.get("operator")
    if key:
        label_key(errors, f"{path}.key", key)
    one_of(errors, f"{path}.operator", operator, _OPERATORS, optional=False)
    if operator == "Exists" and item.get("value"):
        errors.append(invalid(f"{path}.value", item["value"], "must be empty for operator `Exists`"))
    elif operator == "Equal":
        if not key:
            errors.append(required(f"{path}.key", "must be specified when `operator` is 'Equal'"))
        complain(errors, f"{path}.value", item.get("value"), names.label_value(item.get("value") or ""))
    one_of(errors, f"{path}.effect", item.get("effect"), EFFECTS)


def _constraint(errors: Errors, path: str, item: Obj) -> None:
    given = [key for key in ("matchAttribute", "distinctAttribute") if item.get(key) is not None]
    if not given:
        errors.append(required(path, "one of `matchAttribute` or `distinctAttribute` must be set"))
    for key in given:
        value = item[key]
        if "/" not in value:
            errors.append(invalid(f"{path}.{key}", value, "must include a domain"))
        qualified(errors, f"{path}.{key}", value)


def _selectors(errors: Errors, path: str, items: Sequence[Obj] | None) -> None:
    at_most(errors, path, items, MANY)
    for index, item in enumerate(items or ()):
        inner, cel = f"{path}[{index}].cel", item.get("cel")
        if cel is None:
            errors.append(required(inner))
        elif needs(errors, f"{inner}.expression", cel.get("expression")) and len(cel["expression"].encode()) > _EXPRESSION_BYTES:
            errors.append(too_long(f"{inner}.expression", _EXPRESSION_BYTES))
