"""Strategies of resource.k8s.io/v1."""

from __future__ import annotations

from steersman.api.equality import same
from steersman.api.kinds import Strategy
from steersman.api.strategies.common import (
    carry_generation,
    first_generation,
    keep_generation,
    only_bare_status,
    reset_status,
    update_status_kind,
)  # fmt: skip
from steersman.api.strategies.later import Later
from steersman.machinery.meta import Obj

_LISTS = ("bools", "ints", "strings", "versions")
"""Attributes of several values, whose feature gate is off, as is that of the mappings below."""
_MAPPINGS = "nodeAllocatableResourceMappings"


def _counting(new: Obj, old: Obj) -> None:
    carry_generation(new, old, not same(new.get("spec"), old.get("spec")))


def _create_slice(obj: Obj) -> None:
    _drop_gated(obj)
    first_generation(obj)


def _update_slice(new: Obj, old: Obj) -> None:
    _drop_gated(new)
    _counting(new, old)


def _drop_gated(obj: Obj) -> None:
    for device in (obj.get("spec") or {}).get("devices") or ():
        device.pop(_MAPPINGS, None)
        for attribute in (device.get("attributes") or {}).values():
            for key in _LISTS:
                attribute.pop(key, None)


def _update_claim_status(new: Obj, old: Obj) -> None:
    """What drivers say of devices goes with the allocation that gave them to the claim."""
    only_bare_status(new, old)
    status, stored = new.get("status") or {}, old.get("status") or {}
    if stored.get("allocation") is not None and status.get("allocation") is None:
        status.pop("devices", None)


DEVICE_CLASS = Strategy(
    prepare_create=first_generation,
    prepare_update=_counting,
    validate_create=Later("devices", "validate_device_class"),
    validate_update=Later("devices", "validate_device_class_update"),
)
RESOURCE_CLAIM = Strategy(
    prepare_create=reset_status,
    prepare_update=update_status_kind,
    prepare_status_update=_update_claim_status,
    validate_create=Later("devices", "validate_claim"),
    validate_update=Later("devices", "validate_claim_update"),
    validate_status_update=Later("device_status", "validate_claim_status"),
)
RESOURCE_CLAIM_TEMPLATE = Strategy(
    prepare_update=keep_generation,
    validate_create=Later("devices", "validate_claim_template"),
    validate_update=Later("devices", "validate_claim_template_update"),
)
RESOURCE_SLICE = Strategy(
    prepare_create=_create_slice,
    prepare_update=_update_slice,
    validate_create=Later("device_slices", "validate_slice"),
    validate_update=Later("device_slices", "validate_slice_update"),
    warnings=Later("device_slices", "slice_warnings"),
)
