"""Validation of resource slices: the devices that a driver offers, with attributes, capacities, counters and taints."""

from __future__ import annotations

import re

from steersman.api.validation.common import (
    NOT_NEGATIVE,
    POSITIVE,
    Errors,
    complain,
    each,
    immutable,
    label,
    needs,
    one_of,
    subdomain,
    unique,
)
from steersman.api.validation.devices import EFFECTS, MANY, at_most, driver, qualified
from steersman.api.validation.scheduling import label_key, node_selector
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, required, too_long
from steersman.machinery.meta import Obj

_DEVICES, _RICH_DEVICES, _TAINTS, _SETS, _CONSUMES, _BINDINGS, _TEXT_LIMIT, _POOL_LIMIT = 128, 64, 16, 8, 2, 4, 64, 253
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_VALUES = ("int", "bool", "string", "version")
_NUMBER, _IDENTIFIER = r"(0|[1-9]\d*)", r"(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_version_re = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_IDENTIFIER}(\.{_IDENTIFIER})*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?", re.ASCII
)


def validate_slice(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    driver(errors, "spec.driver", spec.get("driver"))
    _pool(errors, "spec.pool", spec.get("pool") or {})
    _place(errors, "spec", spec, _PLACES)
    devices, counters = spec.get("devices") or [], spec.get("sharedCounters") or []
    if devices and counters:
        errors.append(invalid("spec", None, "only one of `sharedCounters` or `devices` is allowed"))
    rich = any(device.get("taints") or device.get("consumesCounters") for device in devices)
    at_most(errors, "spec.devices", devices, _RICH_DEVICES if rich else _DEVICES)
    _named(errors, "spec.devices", devices)
    for index, device in enumerate(devices):
        _device(errors, f"spec.devices[{index}]", device, bool(spec.get("perDeviceNodeSelection")))
    at_most(errors, "spec.sharedCounters", counters, _SETS)
    _named(errors, "spec.sharedCounters", counters)
    for index, item in enumerate(counters):
        _counters(errors, f"spec.sharedCounters[{index}].counters", item.get("counters") or {})
    return errors


def validate_slice_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_slice(new)
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    for key in ("driver", "nodeName"):
        immutable(errors, f"spec.{key}", spec.get(key), stored.get(key))
    immutable(errors, "spec.pool.name", (spec.get("pool") or {}).get("name"), (stored.get("pool") or {}).get("name"))
    return errors


def slice_warnings(new: Obj, _: Obj | None) -> list[str]:
    value = (new.get("spec") or {}).get("driver") or ""
    return (
        [] if value == value.lower() else ["spec.driver: driver names should be lowercase; names with uppercase are deprecated"]
    )


def _pool(errors: Errors, path: str, pool: Obj) -> None:
    name = pool.get("name") or ""
    if needs(errors, f"{path}.name", name):
        if len(name) > _POOL_LIMIT:
            errors.append(too_long(f"{path}.name", _POOL_LIMIT))
        for part in name.split("/"):
            subdomain(errors, f"{path}.name", part)
    if (count := pool.get("resourceSliceCount") or 0) <= 0:
        errors.append(invalid(f"{path}.resourceSliceCount", count, POSITIVE))
    if (generation := pool.get("generation") or 0) < 0:
        errors.append(invalid(f"{path}.generation", generation, NOT_NEGATIVE))


def _place(errors: Errors, path: str, obj: Obj, keys: tuple[str, ...], *, at: str = "") -> None:
    """Which nodes have it: said in exactly one way."""
    for key in ("allNodes", "perDeviceNodeSelection"):
        if obj.get(key) is False:
            errors.append(invalid(f"{path}.{key}", False, "must be either unset or set to true"))
    given = [key for key in keys if obj.get(key) not in (None, "", False)]
    text = "exactly one of {} is required".format(", ".join(f"`{key}`" for key in keys)) + at
    if not given:
        errors.append(required(path, text))
    elif len(given) > 1:
        shown = "{{{}}}".format(", ".join(f"`{key}`" for key in given))
        errors.append(invalid(path, shown, f"{text}, but multiple fields are set"))
    if obj.get("nodeName"):
        subdomain(errors, f"{path}.nodeName", obj["nodeName"])
    if (selector := obj.get("nodeSelector")) is not None:
        terms = selector.get("nodeSelectorTerms") or []
        if len(terms) > 1:
            errors.append(invalid(f"{path}.nodeSelector.nodeSelectorTerms", terms, "must have exactly one node selector term"))
        node_selector(errors, f"{path}.nodeSelector", selector)


def _named(errors: Errors, path: str, items: list[Obj]) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name") or ""
        if needs(errors, f"{path}[{index}].name", name):
            label(errors, f"{path}[{index}].name", name)
        unique(errors, f"{path}[{index}].name", name, seen)


def _device(errors: Errors, path: str, device: Obj, placed: bool) -> None:
    attributes, capacities = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacities) > MANY:
        text = f"the total number of attributes and capacities must not exceed {MANY}"
        errors.append(invalid(path, len(attributes) + len(capacities), text))
    for key, value in attributes.items():
        qualified(errors, f"{path}.attributes", key)
        _attribute(errors, f"{path}.attributes[{key}]", value)
    for key, value in capacities.items():
        qualified(errors, f"{path}.capacity", key)
        if value.get("requestPolicy") is not None and not device.get("allowMultipleAllocations"):
            text = "allowMultipleAllocations must be true if one or more capacities have a request policy"
            errors.append(forbidden(f"{path}.capacity[{key}].requestPolicy", text))
    at_most(errors, f"{path}.taints", device.get("taints"), _TAINTS)
    each(errors, f"{path}.taints", device.get("taints"), _taint)
    at_most(errors, f"{path}.consumesCounters", device.get("consumesCounters"), _CONSUMES)
    for index, item in enumerate(device.get("consumesCounters") or ()):
        needs(errors, f"{path}.consumesCounters[{index}].counterSet", item.get("counterSet"))
        _counters(errors, f"{path}.consumesCounters[{index}].counters", item.get("counters") or {})
    for key in ("bindingConditions", "bindingFailureConditions"):
        at_most(errors, f"{path}.{key}", device.get(key), _BINDINGS)
        for index, item in enumerate(device.get(key) or ()):
            label_key(errors, f"{path}.{key}[{index}]", item)
    own = _PLACES[:3]
    if placed:
        _place(errors, path, device, own, at=" when `perDeviceNodeSelection` is set to true in the spec")
    else:
        for key in own:
            if device.get(key) is not None:
                text = f"{key} can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
                errors.append(invalid(f"{path}.{key}", device[key], text))


def _attribute(errors: Errors, path: str, value: Obj) -> None:
    given = [key for key in _VALUES if value.get(key) is not None]
    if not given:
        errors.append(required(path, "exactly one value must be specified"))
    elif len(given) > 1:
        errors.append(invalid(path, value, "exactly one value must be specified"))
    for key in ("string", "version"):
        if len(text := value.get(key) or "") > _TEXT_LIMIT:
            errors.append(too_long(f"{path}.{key}", _TEXT_LIMIT))
        elif key == "version" and "version" in given and not _version_re.fullmatch(text):
            wrong = "must be a string compatible with semver.org spec 2.0.0"
            errors.append(invalid(f"{path}.version", text, wrong))


def _counters(errors: Errors, path: str, counters: Obj) -> None:
    if needs(errors, path, counters):
        at_most(errors, path, list(counters), MANY)
        for key in counters:
            label(errors, path, key)


def _taint(errors: Errors, path: str, item: Obj) -> None:
    if needs(errors, f"{path}.key", item.get("key")):
        label_key(errors, f"{path}.key", item["key"])
    complain(errors, f"{path}.value", item.get("value"), names.label_value(item.get("value") or ""))
    one_of(errors, f"{path}.effect", item.get("effect"), EFFECTS, optional=False)
